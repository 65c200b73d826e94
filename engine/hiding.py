"""Hiding: values of which some fields stay out of logs and tracebacks."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct


class Hiding(Struct, frozen=True):
    """The fields that HIDDEN names are not in its repr."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset()

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in self.HIDDEN)
        return f"{type(self).__name__}({', '.join(shown)})"
