"""Celery source: deliveries that a Celery worker of this process hands over from its own thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from worker.broker.celery_consumer import Receipt
from worker.broker.delivery import Delivery
from worker.broker.source import Unreadable

# The broker sends ahead, as many as run at a time, from each queue. What finds no room here for this long is another
# worker's; it must not wait behind a run of hours, nor until the broker's consumer timeout closes the channel.
_WAIT_S = 5.0
_LOOK_S = 1.0


class CelerySource:
    """Made in the event loop that takes; `put` is for the other thread. Celery's prefetch count bounds the queue."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, Delivery | Unreadable]] = deque()
        self._arrived = asyncio.Event()
        self._held_back: Receipt | None = None
        self._paused = False

    def put(self, delivery: Delivery | Unreadable) -> None:
        self._loop.call_soon_threadsafe(self._put, delivery)

    async def open(self) -> None:
        """Celery has the connection."""

    async def take(self, room: int) -> Sequence[Delivery | Unreadable]:
        self._paused = False
        if self._held_back:
            self._held_back.resume()
            self._held_back = None
        await self._arrived.wait()
        taken = [self._waiting.popleft()[1] for _ in range(min(room, len(self._waiting)))]
        if not self._waiting:
            self._arrived.clear()
        return taken

    def pause(self) -> None:
        self._paused = True
        self._give_back()
        self._arrived.set()

    async def tend(self) -> None:
        """Give back what waits for room too long. Celery does the rest."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._waiting and self._loop.time() - self._waiting[0][0] > _WAIT_S:
                self._give_back()

    async def close(self) -> None:
        """What was not acknowledged is delivered again when Celery's connection ends."""
        self._give_back()

    def _put(self, delivery: Delivery | Unreadable) -> None:
        self._waiting.append((self._loop.time(), delivery))
        if self._paused:
            self._give_back()
        self._arrived.set()

    def _give_back(self) -> None:
        while self._waiting:
            _, delivery = self._waiting.popleft()
            assert isinstance(delivery.acknowledge, Receipt)
            delivery.acknowledge.give_back()
            self._held_back = delivery.acknowledge
        self._arrived.clear()
