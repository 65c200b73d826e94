"""LogView: a log, or the part of it that came from one source, as one stretch of bytes."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import BinaryIO

from engine.log.index import Stretch
from engine.log.record import Source

_BLOCK = 256 * 1024


class LogView:
    """`lost`: bytes that are missing in it because the run lasts and its live view has not room for all.

    Closed by `close`, or when `blocks` has come to its end.
    """

    def __init__(self, file: BinaryIO, segments: Iterable[tuple[int, int]], *, lost: int = 0) -> None:
        """`segments`: offset and length in the file, in order."""
        self._file = file
        self._segments = [segment for segment in segments if segment[1]]
        self._ends = list(accumulate(length for _, length in self._segments))
        self.lost = lost

    @classmethod
    def whole(cls, file: BinaryIO) -> LogView:
        return cls(file, [(0, file.seek(0, io.SEEK_END))])

    @classmethod
    def of_source(cls, file: BinaryIO, stretches: Iterable[Stretch], source: Source) -> LogView:
        segments, at = [], 0
        for stretch in stretches:
            if stretch.source == source:
                segments.append((at, stretch.length))
            at += stretch.length
        return cls(file, segments)

    @property
    def size(self) -> int:
        return self._ends[-1] if self._ends else 0

    def close(self) -> None:
        self._file.close()

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to before `end`."""
        with self._file:
            while start < end and (block := self._read(start, min(_BLOCK, end - start))):
                yield block
                start += len(block)

    def last_lines(self, count: int) -> int:
        """Where the last `count` lines begin. An unfinished line at the end counts."""
        if count == 0:
            return self.size
        at = self.size
        wanted = count
        while at > 0:
            start = max(0, at - _BLOCK)
            block = self._between(start, at)
            last = len(block) - 1 if at == self.size and block.endswith(b"\n") else len(block)
            while (last := block.rfind(b"\n", 0, last)) >= 0:
                wanted -= 1
                if wanted == 0:
                    return start + last + 1
            at = start
        return 0

    def tail(self, most: int) -> bytes:
        """The last bytes, at most so many."""
        return self._between(max(0, self.size - most), self.size)

    def _between(self, start: int, end: int) -> bytes:
        found = bytearray()
        while start < end and (block := self._read(start, end - start)):
            found += block
            start += len(block)
        return bytes(found)

    def _read(self, at: int, most: int) -> bytes:
        """From one segment; shorter than asked for at its end, empty when the file is shorter than it should be."""
        number = bisect_right(self._ends, at)
        offset, length = self._segments[number]
        within = at - (self._ends[number] - length)
        self._file.seek(offset + within)
        return self._file.read(min(most, length - within))
