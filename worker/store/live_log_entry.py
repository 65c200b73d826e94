"""The entries of a live log's stream: many chunks in one, so that a fast log costs few commands.

Fields of an entry: `o`, the offset of its first byte in the whole log; `h`, a header of
`<source><time>,<length>` for each chunk, joined by `;`, with the source as its first letter (o stdout, e
stderr, w worker) and the time in milliseconds; `d`, the bytes of the chunks one after the other; `n`, where the entry
lies in the log that is kept: see tally.py. The last entry has `e`, the status of the run. One with `r` says that
somebody reads. What was left out or cut off shows as a jump of `o`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from engine.log.record import Chunk, Source
from worker.store.tally import LETTERS, Tally

# An entry holds about as much; what is longer is cut into several chunks.
ENTRY_BYTES = 64 * 1024
# Neighbours of one source within this time become one chunk, when whole lines are joined.
JOIN_MS = 50

_SOURCES: Mapping[str, Source] = {letter: source for source, letter in LETTERS.items()}


class Entry(Struct, frozen=True):
    """`offset` of the first byte, and `size` in all. `before`: the tally of what comes before it."""

    offset: int
    size: int
    header: str
    data: bytes
    before: str

    def fields(self) -> dict[str, str | bytes | int]:
        return {"o": self.offset, "h": self.header, "n": self.before, "d": self.data}


def pack(chunks: Iterable[Chunk], offset: int, tally: Tally) -> list[Entry]:
    """The chunks, of which the first starts at `offset`, as few entries; `tally` counts them."""
    entries: list[Entry] = []
    gathered: list[Chunk] = []
    size = 0
    for chunk in _joined(_cut(chunks)):
        if size and size + len(chunk.data) > ENTRY_BYTES:
            entries.append(_entry(gathered, offset, tally))
            offset += size
            gathered, size = [], 0
        gathered.append(chunk)
        size += len(chunk.data)
    if gathered:
        entries.append(_entry(gathered, offset, tally))
    return entries


def unpack(fields: Mapping[bytes, bytes]) -> Iterator[tuple[int, Chunk]]:
    """Each chunk of an entry with the offset behind its last byte."""
    offset, data, at = int(fields[b"o"]), fields[b"d"], 0
    for part in fields[b"h"].decode().split(";"):
        time, length = part[1:].split(",")
        piece = data[at : at + int(length)]
        at += len(piece)
        yield offset + at, Chunk(_SOURCES[part[0]], int(time), piece)


def _entry(chunks: list[Chunk], offset: int, tally: Tally) -> Entry:
    before = tally.text()
    for chunk in chunks:
        tally.add(chunk)
    header = ";".join(f"{LETTERS[chunk.source]}{chunk.time_ms},{len(chunk.data)}" for chunk in chunks)
    data = b"".join(chunk.data for chunk in chunks)
    return Entry(offset, len(data), header, data, before)


def _cut(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        if len(chunk.data) <= ENTRY_BYTES:
            yield chunk
            continue
        for at in range(0, len(chunk.data), ENTRY_BYTES):
            yield Chunk(chunk.source, chunk.time_ms, chunk.data[at : at + ENTRY_BYTES])


def _joined(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Neighbours that may be one chunk as one; the pieces of unfinished lines stay as they came."""
    run: list[bytes] = []
    size = 0
    first: Chunk | None = None
    for chunk in chunks:
        joins = (
            first is not None
            and chunk.source == first.source
            and run[-1].endswith(b"\n")
            and chunk.data.endswith(b"\n")
            and 0 <= chunk.time_ms - first.time_ms <= JOIN_MS
            and size + len(chunk.data) <= ENTRY_BYTES
        )
        if first is not None and not joins:
            yield Chunk(first.source, first.time_ms, b"".join(run))
        if joins:
            run.append(chunk.data)
            size += len(chunk.data)
        else:
            first, run, size = chunk, [chunk.data], len(chunk.data)
    if first is not None:
        yield Chunk(first.source, first.time_ms, b"".join(run))
