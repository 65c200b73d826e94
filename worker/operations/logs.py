"""Logs: where the log of a run that has ended is: here, or in the store for as long as its live view lasts."""

from __future__ import annotations

import io
from typing import BinaryIO

from msgspec import Struct

from engine.log.index import IndexBuffer
from engine.log.record import Chunk
from worker.model.live_log import LiveGap, LiveLines
from worker.model.task import Run
from worker.store.files import Files
from worker.store.live_log import LiveLog


def open_log(files: Files, task_id: str, run: Run) -> BinaryIO:
    """Its bytes, from the record or from the file. FileNotFoundError when there is none here, or none at all."""
    if run.log:
        return io.BytesIO(run.log.text.encode())
    return files.run(task_id, run.number).open_log()


class Viewed(Struct, frozen=True):
    """What the store has of a log: its newest part. `lost_bytes` were before or between."""

    chunks: tuple[Chunk, ...]
    lost_bytes: int

    @property
    def data(self) -> bytes:
        return b"".join(chunk.data for chunk in self.chunks)

    @property
    def index(self) -> bytes:
        """As it would stand beside the file."""
        index = IndexBuffer()
        for chunk in self.chunks:
            index.add(chunk)
        return index.take(last=True)


async def viewed(live_log: LiveLog, task_id: str, run: int) -> Viewed:
    """What the store has of it now; of a run that has ended nothing is left after a while. Raises StoreError."""
    parts = await live_log.so_far(task_id, run)
    return Viewed(
        tuple(part.chunk for part in parts if isinstance(part, LiveLines)),
        sum(part.lost_bytes for part in parts if isinstance(part, LiveGap)),
    )
