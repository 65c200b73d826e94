"""Event stream: server-sent events out of bytes that come in any pieces. What a server sends is bounded."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

# A line of a log comes in pieces of 64 KiB, which JSON makes six times as long at most.
EVENT_BYTES = 4 * 1024 * 1024


class StreamEvent(Struct, frozen=True):
    """`id` is that of the newest event that had one; `data` is what it carries, UTF-8."""

    id: str
    name: str
    data: bytes


class TooLarge(ValueError):
    """An event is larger than any that a server of ours sends."""


class EventStream:
    """As the HTML standard says, without `retry`: when to come again is for us to say."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._id = b""

    def feed(self, block: bytes) -> Iterator[StreamEvent]:
        """The events that are complete now. Raises TooLarge."""
        lines = (self._rest + block).replace(b"\r\n", b"\n").split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line:
                self._field(line)
            elif self._data:
                yield StreamEvent(
                    self._id.decode("utf-8", "replace"), self._name.decode("utf-8", "replace"), b"\n".join(self._data)
                )
                self._name, self._data, self._size = b"", [], 0
            else:
                self._name = b""
        if len(self._rest) + self._size > EVENT_BYTES:
            raise TooLarge("an event is too large")

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data.append(value)
                self._size += len(value) + 1
                if self._size > EVENT_BYTES:
                    raise TooLarge("an event is too large")
            case b"event":
                self._name = value[:100]
            case b"id" if b"\0" not in value and len(value) <= 200:
                self._id = value
