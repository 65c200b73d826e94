"""Document: a YAML 1.2 file as plain JSON-like values that know where they were written.

Refuses what has no JSON counterpart (tags, other keys than strings, infinity) and what hides mistakes
(duplicate keys, merge keys, several documents). `no`, `on`, `12:30` and dates stay the strings that they
look like.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

from engine.errors import DeclarationError, Problem
from engine.hiding import Hiding
from engine.script.compose import Composer, Node

# A file that people write. What is larger is a mistake, and slow to parse.
MAX_BYTES = 1024 * 1024


class Document(Hiding, frozen=True):
    """`value` is what the file says: an empty mapping when it says nothing. `root` knows the places."""

    HIDDEN = frozenset({"root"})

    value: Any
    file: str
    root: Node

    @classmethod
    def empty(cls, path: str | os.PathLike[str]) -> Document:
        """What a file would be that says nothing; `path` need not exist."""
        return cls({}, os.fspath(path), Node(1, 1, {}))

    def problem(self, pointer: str, message: str) -> Problem:
        """A problem at the place of that JSON Pointer, or of its nearest parent that is written down."""
        *_, (line, column) = self._places(pointer)
        return Problem(message, pointer, self.file, line, column)

    def _places(self, pointer: str) -> Iterator[tuple[int, int]]:
        node = self.root
        yield node.line, node.column
        for part in pointer.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node.content, dict) and name in node.content:
                line, column, node = node.content[name]
                yield line, column
            elif isinstance(node.content, list) and name.isdecimal() and int(name) < len(node.content):
                node = node.content[int(name)]
                yield node.line, node.column
            else:
                return


def read_document(path: str | os.PathLike[str]) -> Document:
    """Raises `DeclarationError` with file, line and column for a file that cannot be read or says what
    it may not.
    """
    file = os.fspath(path)
    text = _text(file)
    composer = Composer(file)
    root = composer.compose(text)
    if root is None or root.content is None:
        return Document.empty(path)
    return Document(root.plain(), file, root)


def _text(file: str) -> str:
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise DeclarationError([Problem("is not a regular file", file=file)])
        with open(file, "rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise DeclarationError([Problem(f"cannot be read: {error.strerror}", file=file)]) from None
    if len(data) > MAX_BYTES:
        raise DeclarationError([Problem(f"is larger than {MAX_BYTES} bytes", file=file)])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DeclarationError([Problem(f"is not UTF-8: {error.reason}", file=file, line=line)]) from None
