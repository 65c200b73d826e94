"""Progress: what a command says of how far it is, `::progress 40 Uploading::` on a line of its own."""

from __future__ import annotations

import re

from msgspec import Struct

from engine.log.record import Chunk
from engine.log.text import printable

_BEGIN = b"::progress "
_LINE = re.compile(rb"::progress ([0-9]{1,3})(?: (.*))?::\r?\Z")
TEXT_CHARACTERS = 200
# No longer line is looked at: what is held of an unfinished one is bounded.
_LINE_BYTES = 4096


class Progress(Struct, frozen=True):
    """`percent` from 0 to 100; `text` may be empty and holds no control characters."""

    percent: int
    text: str


def parse_progress(line: bytes) -> Progress | None:
    """A line of stdout, without its end. None: it says nothing of progress."""
    found = _LINE.match(line) if line.startswith(_BEGIN) and len(line) <= _LINE_BYTES else None
    if not found or int(found[1]) > 100:
        return None
    return Progress(int(found[1]), printable((found[2] or b"").decode("utf-8", "replace").strip(), TEXT_CHARACTERS))


class ProgressReader:
    """Finds it in a log as that comes."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: Chunk) -> Progress | None:
        """The newest that this chunk has brought to its end."""
        if chunk.source != "stdout":
            return None
        data = self._held + chunk.data
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        self._held = rest if len(rest) <= _LINE_BYTES else rest[:_LINE_BYTES] + b"?"
        at = data.rfind(_BEGIN, 0, end)
        while at >= 0:
            begin = data.rfind(b"\n", 0, at) + 1
            found = parse_progress(data[begin : data.index(b"\n", at)])
            if found:
                return found
            at = data.rfind(_BEGIN, 0, begin)
        return None
