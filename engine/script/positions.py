"""Positions: where in its file each part of a script was written."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, field

from engine.errors import Problem
from engine.script.document import Document


class Positions(Struct, frozen=True):
    """`moved` pairs the start of a pointer with where that part stands in a file of the older form."""

    document: Document
    moved: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def problem(self, pointer: str, message: str) -> Problem:
        """A problem with file, line and column; its pointer is the one into the file."""
        for start, place in self.moved.items():
            if pointer == start or pointer.startswith(start + "/"):
                pointer = place + pointer[len(start) :]
                break
        return self.document.problem(pointer, message)
