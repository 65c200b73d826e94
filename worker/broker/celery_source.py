"""Celery source: deliveries that a Celery worker of this process hands over from its own thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from worker.broker.delivery import Delivery
from worker.broker.source import Unreadable


class CelerySource:
    """Made in the event loop that takes; `put` is for the other thread. Celery's prefetch count bounds the queue."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[Delivery | Unreadable] = asyncio.Queue()

    def put(self, delivery: Delivery | Unreadable) -> None:
        self._loop.call_soon_threadsafe(self._waiting.put_nowait, delivery)

    async def open(self) -> None:
        """Celery has the connection."""

    async def take(self, room: int) -> Sequence[Delivery | Unreadable]:
        taken = [await self._waiting.get()]
        while len(taken) < room and not self._waiting.empty():
            taken.append(self._waiting.get_nowait())
        return taken

    async def tend(self) -> None:
        """Celery does."""

    async def close(self) -> None:
        """What was not acknowledged is delivered again when Celery's connection ends."""
