"""What a reader of a run's live log sees."""

from __future__ import annotations

from msgspec import Struct

from engine.log.record import Chunk
from worker.model.status import Status


class LiveLines(Struct, frozen=True):
    """A chunk of the log. `id` is where a reader resumes: with whatever follows this."""

    id: str
    chunk: Chunk


class LiveGap(Struct, frozen=True):
    """`lost_bytes` were not sent to live readers. The log that is kept at the end has them.

    `offset`: how many bytes of the live view come before what follows; `tally`: see worker/store/tally.py.
    """

    id: str
    lost_bytes: int
    offset: int = 0
    tally: str = ""


class LiveEnd(Struct, frozen=True):
    """The run has ended with `status`, and its record says so; nothing follows."""

    id: str
    status: Status


LiveLogPart = LiveLines | LiveGap | LiveEnd
