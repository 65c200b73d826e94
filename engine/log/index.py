"""Index: when and from which source each stretch of a log came; it stands beside the log's text.

A record is 16 bytes, little-endian: time in milliseconds since the epoch (u64), length in bytes (u32), source
(u8, its place in SOURCES), three zero bytes. The lengths add up to the log's size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from engine.log.record import SOURCES, Chunk, Source

_RECORD = struct.Struct("<QIB3x")
# Stretches of one source closer than this become one record, so that a chatty command does not make an index as
# large as its log.
MERGE_MS = 50
_MAX_LENGTH = 2**32 - 1


class Stretch(NamedTuple):
    source: Source
    time_ms: int
    length: int


class IndexBuffer:
    """Collects records; `take` hands over the bytes of those that are complete."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._source: Source | None = None
        self._time_ms = 0
        self._length = 0

    @property
    def pending_bytes(self) -> int:
        return len(self._bytes)

    def add(self, chunk: Chunk) -> None:
        length = len(chunk.data)
        if (
            chunk.source == self._source
            and chunk.time_ms - self._time_ms < MERGE_MS
            and self._length + length <= _MAX_LENGTH
        ):
            self._length += length
            return
        self._close()
        self._source, self._time_ms, self._length = chunk.source, chunk.time_ms, length

    def take(self, *, last: bool = False) -> bytes:
        if last:
            self._close()
        data = bytes(self._bytes)
        self._bytes.clear()
        return data

    def _close(self) -> None:
        if self._source is not None and self._length:
            self._bytes += _RECORD.pack(self._time_ms, self._length, SOURCES.index(self._source))
        self._source = None


def read_index(file: BinaryIO) -> Iterator[Stretch]:
    """The stretches in order. A torn last record (the worker died) is left out."""
    while len(record := file.read(_RECORD.size)) == _RECORD.size:
        time_ms, length, source = _RECORD.unpack(record)
        yield Stretch(SOURCES[source], time_ms, length)
