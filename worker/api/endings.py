"""Endings: waits for the end of a task, woken by the one reader of the store's events."""

from __future__ import annotations

import asyncio

from worker.api.feed import Feed
from worker.api.woken import woken
from worker.model.status import FINAL
from worker.model.task import Task
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
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        with self._feed.watch(task_id) as changed:
            # The reader was there before the record was looked at, so that no end can fall between the two.
            task = await self._records.get(task_id)
            in_time = within_s > 0
            while in_time and task and task.status not in FINAL and not self._feed.stopped:
                in_time = await woken(changed, until_s - loop.time())
                changed.clear()
                # Also when nothing was heard: while the store was away the reader may have missed it.
                task = await self._records.get(task_id)
            return task
