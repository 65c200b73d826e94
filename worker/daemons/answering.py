"""Answering: a worker hears what it is asked about itself, and answers; beside everything else that it does."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from worker.config import Settings
from worker.daemons.log_file import tail_of
from worker.store import StoreError
from worker.store.worker_asks import MOST_BYTES, WorkerAsks

_AWAY_S = 1.0


async def answer_asks(redis: Redis, settings: Settings) -> None:
    """Until cancelled. That the store is away is told by others."""
    asks, path = WorkerAsks(redis), settings.log.file
    while True:
        try:
            ask = await asks.next(settings.worker.name)
            if ask:
                text = None if path is None else await asyncio.to_thread(tail_of, path, ask.lines, MOST_BYTES)
                await asks.answer(ask, text)
        except StoreError:
            await asyncio.sleep(_AWAY_S)
