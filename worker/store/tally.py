"""Tally: where a place of the live view lies in the log that is kept.

The live view shows the beginning of a line before it has ended, and so the two hold the same lines in the same order,
but not the same bytes. A place of the live view is so many bytes further than in the kept log as there are of lines
that have begun and not ended, and of those that the kept log never gets, because it was cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.log.lines import INFO_PREFIX
from engine.log.record import Chunk, Source

LETTERS: Mapping[Source, str] = {"stdout": "o", "stderr": "e", "worker": "w"}
# A longer line without an end may reach the kept log in pieces, between other lines: then nothing is known any more.
OPEN_BYTES = 1024 * 1024
# The worker's own words, of which a command cannot say the source; what was unfinished by then is not kept.
CUT = INFO_PREFIX + b"log cut after "
_TEXT = re.compile(r"(?P<lines>[0-9]{1,18})(;o(?P<o>[0-9]{1,18}))?(;e(?P<e>[0-9]{1,18}))?(;x(?P<x>[0-9]{1,18}))?\Z")


class Tally:
    """`lines` that have ended; the bytes of those that have not, by source; `dead` bytes that are not kept.

    Not `exact`: the place in the kept log cannot be told.
    """

    __slots__ = ("dead", "exact", "lines", "unfinished")

    def __init__(self) -> None:
        self.lines = 0
        self.unfinished: dict[Source, int] = {}
        self.dead = 0
        self.exact = True

    @property
    def ahead(self) -> int:
        return self.dead + sum(self.unfinished.values())

    def add(self, chunk: Chunk) -> None:
        data = chunk.data
        if chunk.source == "worker":
            if CUT in data:
                self.dead = self.ahead
                self.unfinished.clear()
            self.lines += data.count(b"\n")
            return
        end = data.rfind(b"\n") + 1
        if end:
            self.lines += data.count(b"\n")
            self.unfinished.pop(chunk.source, None)
        if end < len(data):
            size = self.unfinished.get(chunk.source, 0) + len(data) - end
            self.unfinished[chunk.source] = size
            self.exact = self.exact and size <= OPEN_BYTES

    def text(self) -> str:
        """As it stands in an entry."""
        if not self.exact:
            return "?"
        parts = [str(self.lines)]
        parts += [f"{LETTERS[source]}{size}" for source, size in sorted(self.unfinished.items(), reverse=True)]
        if self.dead:
            parts.append(f"x{self.dead}")
        return ";".join(parts)

    @classmethod
    def parse(cls, text: str) -> Tally:
        """Of an entry; one that is not exact for what cannot be read."""
        tally = cls()
        found = _TEXT.match(text)
        if not found:
            tally.exact = False
            return tally
        tally.lines = int(found["lines"])
        if found["o"]:
            tally.unfinished["stdout"] = int(found["o"])
        if found["e"]:
            tally.unfinished["stderr"] = int(found["e"])
        tally.dead = int(found["x"] or 0)
        return tally
