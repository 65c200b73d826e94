"""Hiding: values of which some fields stay out of logs and tracebacks."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct


class Hiding(Struct, frozen=True):
    """The fields that HIDDEN names are not in its repr, nor in what Rich makes of it where that is installed."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.HIDDEN]
