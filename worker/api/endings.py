"""Endings: waits for the end of a task, woken by the one reader of the store's events."""

from __future__ import annotations

import asyncio

from worker.api.feed import Feed
from worker.model import FINAL, Task
from worker.store import Records


class Endings:
    """`feed` has to be followed meanwhile. For one event loop."""

    def __init__(self, records: Records, feed: Feed) -> None:
        self._records = records
        self._feed = feed

    async def ended(self, task_id: str, within_s: float) -> Task | None:
        """The record of the task once it is final, or as it is after that time. None: there is no such task.

        Raises StoreUnavailable.
        """
        until_s = asyncio.get_running_loop().time() + within_s
        with self._feed.watch(task_id) as woken:
            # The reader was there before the record was looked at, so that no end can fall between the two.
            task = await self._records.get(task_id)
            in_time = within_s > 0
            while in_time and task and task.status not in FINAL and not self._feed.stopped:
                in_time = await _set_by(woken, until_s)
                woken.clear()
                # Also when nothing was heard: while the store was away the reader may have missed it.
                task = await self._records.get(task_id)
            return task


async def _set_by(event: asyncio.Event, until_s: float) -> bool:
    try:
        async with asyncio.timeout_at(until_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
