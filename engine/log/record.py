"""Chunk: some bytes of a log that came from one source at one time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

Source = Literal["stdout", "stderr", "worker"]
SOURCES: tuple[Source, ...] = ("stdout", "stderr", "worker")


class Chunk(NamedTuple):
    """`data` as it stands in the log, prefix included; `time_ms` since the epoch.

    Whole lines, or, for live readers only, the beginning or a further piece of a line that is still being
    written: then it does not end with a newline, and the next chunk of the same source goes on with that line.
    """

    source: Source
    time_ms: int
    data: bytes


Tap = Callable[[Chunk], None]
"""Hears every chunk as it is written, in the loop's thread. Must not block."""
