"""Endings: wakes who waits for the end of a task. One reader of the store's events for all of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from worker.model import FINAL, Task
from worker.store import Records, StoreError

_logger = structlog.get_logger("penstock.api")
_RETRY_S = 0.5


class Endings:
    """`follow` has to run meanwhile. For one event loop."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._stopped = False

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Reads the events until the end of the block."""
        reader = asyncio.get_running_loop().create_task(self._read(await self._records.newest_event()))
        try:
            yield
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader

    def stop(self) -> None:
        """Nobody waits any longer, now or later: the server ends."""
        self._stopped = True
        self._wake_all()

    async def ended(self, task_id: str, within_s: float) -> Task | None:
        """The record of the task once it is final, or as it is after that time. None: there is no such task.

        Raises StoreUnavailable.
        """
        until_s = asyncio.get_running_loop().time() + within_s
        woken = asyncio.Event()
        waiters = self._waiters[task_id]
        waiters.add(woken)
        try:
            # The reader was there before the record was looked at, so that no end can fall between the two.
            task = await self._records.get(task_id)
            in_time = within_s > 0
            while in_time and task and task.status not in FINAL and not self._stopped:
                in_time = await _set_by(woken, until_s)
                woken.clear()
                # Also when nothing was heard: while the store was away the reader may have missed it.
                task = await self._records.get(task_id)
            return task
        finally:
            waiters.discard(woken)
            if not waiters:
                self._waiters.pop(task_id, None)

    async def _read(self, after: str) -> None:
        away = False
        while True:
            try:
                events = await self._records.events(after)
            except StoreError as error:
                if not away:
                    _logger.warning("cannot read the events of the store; trying again", error=str(error))
                away = True
                await asyncio.sleep(_RETRY_S)
                continue
            if away:
                away = False
                self._wake_all()  # events may be gone; each looks at its record
            for event in events:
                after = event.id
                if event.status in FINAL:
                    for woken in self._waiters.get(event.task_id, ()):
                        woken.set()

    def _wake_all(self) -> None:
        for waiters in self._waiters.values():
            for woken in waiters:
                woken.set()


async def _set_by(event: asyncio.Event, until_s: float) -> bool:
    try:
        async with asyncio.timeout_at(until_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
