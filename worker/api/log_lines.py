"""Log lines: a run's log as events, from the live view or from the log that is kept; the same ones from both."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

from engine.log.index import Stretch
from engine.log.lines import ERROR_PREFIX, INFO_PREFIX
from engine.log.record import Chunk, Source
from worker.api.documents import known_time
from worker.api.place import LogPlace
from worker.api.sse import encode_json
from worker.store.tally import CUT, OPEN_BYTES, Tally

# A longer line is told in pieces, cut where a character begins.
PIECE_BYTES = 64 * 1024
_BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Batch:
    """Events one after the other without a gap, from `start` on; `places`: where each of them ends in the kept log."""

    start: int
    places: tuple[LogPlace, ...]
    events: tuple[bytes, ...]

    @property
    def end(self) -> LogPlace:
        return self.places[-1]

    @cached_property
    def size(self) -> int:
        return sum(map(len, self.events))

    def after(self, offset: int) -> tuple[bytes, ...]:
        """The events of which a reader who is at `offset` has not seen the end."""
        if offset <= self.start:
            return self.events
        return self.events[bisect_right(self.places, offset, key=lambda place: place.bytes) :]


class _Writer:
    """Turns lines into events, and counts."""

    def __init__(self, run: int, at: LogPlace) -> None:
        self._run = run
        self.bytes = self._start = at.bytes
        self.lines = at.lines
        self._places: list[LogPlace] = []
        self._events: list[bytes] = []

    def line(self, source: Source, time: str, line: bytes, *, ended: bool = True) -> None:
        """A line without its end, or, when it has not `ended`, a piece of it."""
        while len(line) > PIECE_BYTES:
            cut = _cut(line)
            self._event(source, time, line[:cut], ended=False)
            line = line[cut:]
        self._event(source, time, line, ended=ended)

    def batch(self) -> Batch | None:
        """What was written since the last one."""
        if not self._events:
            return None
        made = Batch(self._start, tuple(self._places), tuple(self._events))
        self._places, self._events, self._start = [], [], self.bytes
        return made

    def skip(self, size: int, lines: int) -> None:
        """Go on behind what cannot be told; not in the middle of a batch."""
        self.bytes += size
        self.lines += lines
        self._start = self.bytes

    def _event(self, source: Source, time: str, piece: bytes, *, ended: bool) -> None:
        number = self.lines + 1
        self.bytes += len(piece) + ended
        self.lines += ended
        more = "" if ended else ',"more":true'
        text = encode_json(piece.decode("utf-8", "replace"))
        self._places.append(LogPlace(self.bytes, self.lines))
        self._events.append(
            (
                f"id: {self._run}.log.{self.lines}.{self.bytes}\nevent: log\n"
                f'data: {{"runId":{self._run},"seq":{number},"time":{time},"source":"{source}",'
                f'"line":{text}{more}}}\n\n'
            ).encode()
        )


class LiveLines:
    """Puts the chunks of the live view together to whole lines. Not `exact`: no line can be told any more."""

    def __init__(self, run: int) -> None:
        self._run = run
        self._writer = _Writer(run, LogPlace())
        self._open: dict[Source, bytes] = {}
        self._torn: dict[Source, int] = {}
        self.exact = True

    @property
    def at(self) -> LogPlace:
        """How much of the kept log has been seen here, told or not."""
        return LogPlace(self._writer.bytes, self._writer.lines)

    def jump(self, offset: int, tally: str) -> None:
        """What follows begins so far in the live view. Lines that began before cannot be told."""
        found = Tally.parse(tally)
        self._open.clear()
        self._torn = found.unfinished
        self.exact = self.exact and found.exact and offset >= found.ahead
        if self.exact:
            self._writer = _Writer(self._run, LogPlace(offset - found.ahead, found.lines))

    def add(self, chunk: Chunk) -> Iterator[Batch]:
        if not self.exact:
            return
        data, source = chunk.data, chunk.source
        if source == "worker" and CUT in data:
            self._open.clear()
            self._torn.clear()
        *lines, rest = data.split(b"\n")
        time = encode_json(known_time(chunk.time_ms))
        if lines:
            lines[0] = self._open.pop(source, b"") + lines[0]
            torn = self._torn.pop(source, 0)
            if torn:
                self._writer.skip(torn + len(lines.pop(0)) + 1, 1)
            for line in lines:
                self._writer.line(source, time, line)
        if rest:
            held = self._open.get(source, b"") + rest
            self._open[source] = held
            self.exact = len(held) + self._torn.get(source, 0) <= OPEN_BYTES
        if batch := self._writer.batch():
            yield batch


def kept_lines(
    run: int, log: BinaryIO, stretches: Iterable[Stretch], at: LogPlace, *, complete: bool
) -> Iterator[Batch]:
    """What the log has behind `at`. Blocks on the disk. Not `complete`: it is still being written."""
    sources = _Sources(stretches)
    writer = _Writer(run, at)
    log.seek(at.bytes)
    held = b""
    while block := log.read(_BLOCK_BYTES):
        *lines, held = (held + block).split(b"\n")
        for line in lines:
            writer.line(*sources.of(writer.bytes, line), line)
        while len(held) > PIECE_BYTES:
            cut = _cut(held)
            writer.line(*sources.of(writer.bytes, held), held[:cut], ended=False)
            held = held[cut:]
        if batch := writer.batch():
            yield batch
    if held and complete:
        writer.line(*sources.of(writer.bytes, held), held)
        if batch := writer.batch():
            yield batch


class _Sources:
    """Source and time by the index; where that has nothing, by the prefix, and no time."""

    def __init__(self, stretches: Iterable[Stretch]) -> None:
        self._stretches = iter(stretches)
        self._end = 0
        self._found: tuple[Source, str] | None = ("stdout", "null")

    def of(self, offset: int, line: bytes) -> tuple[Source, str]:
        while self._found and self._end <= offset:
            stretch = next(self._stretches, None)
            if stretch is None:
                self._found = None
            else:
                self._end += stretch.length
                self._found = (stretch.source, encode_json(known_time(stretch.time_ms)))
        if self._found:
            return self._found
        if line.startswith(ERROR_PREFIX):
            return "stderr", "null"
        return ("worker" if line.startswith(INFO_PREFIX) else "stdout"), "null"


def _cut(line: bytes) -> int:
    """Where its first piece ends."""
    cut = PIECE_BYTES
    while cut > PIECE_BYTES - 4 and line[cut] & 0xC0 == 0x80:
        cut -= 1
    return cut
