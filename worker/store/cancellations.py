"""Hear of cancel requests at once.

A renewal tells the same a little later, so what is missed here is no loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

from worker.store.connect import BLOCK_MS
from worker.store.errors import StoreUnavailable, store_errors
from worker.store.keys import cancel_channel

PAUSE_S = 1.0


async def cancellations(redis: Redis, worker: str) -> AsyncIterator[tuple[str, int] | None]:
    """The task id and the run of each cancel request for that worker, from now on.

    Subscribes again by itself.

    Yields None once it listens, and again after each interruption: time for a renewal that tells what was
    missed.
    """
    channel = cancel_channel(worker)
    while True:
        try:
            async with redis.pubsub() as subscription:
                with store_errors():
                    await subscription.subscribe(channel)
                while True:
                    with store_errors():
                        message: Any = await subscription.get_message(timeout=BLOCK_MS / 1000)
                    if message is None:
                        continue
                    if message["type"] == "subscribe":
                        yield None
                    elif message["type"] == "message":
                        run, _, task_id = message["data"].decode("utf-8", "replace").partition(" ")
                        if run.isdecimal():
                            yield task_id, int(run)
        except StoreUnavailable:
            await asyncio.sleep(PAUSE_S)
