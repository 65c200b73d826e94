"""Tail: the live view of one run, read and put into events once for all who follow it in this process."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import islice
from typing import cast

import structlog

from worker.api.log_lines import Batch, LiveLines
from worker.api.place import LogPlace
from worker.api.sse import CHUNK_BYTES
from worker.model.live_log import LiveEnd, LiveGap, LiveLogPart
from worker.model.live_log import LiveLines as Lines
from worker.store import LiveLog, StoreUnavailable, UnknownTask

_logger = structlog.get_logger("penstock.api")
# What is held for readers who are not the fastest. Who is further behind reads from the store by itself.
HELD_BYTES = 1024 * 1024
# So long the reader waits for the fastest of its own readers, when it holds much that nobody has taken.
_PATIENCE_S = 0.25
_RETRY_S = 0.5


class Tail:
    """`read` has to run meanwhile. It sets the events of those who watch, whenever there is more, and at the end."""

    def __init__(self, live_log: LiveLog, task_id: str, run: int) -> None:
        self._live_log = live_log
        self._task_id = task_id
        self._run = run
        self._lines = LiveLines(run)
        self._held: list[Batch] = []
        self._size = 0
        self._untaken = 0
        self._taken = asyncio.Event()
        self.watchers: set[asyncio.Event] = set()
        self.ended = False
        """Nothing more comes: the run has ended, or its task is gone."""

    async def read(self) -> None:
        reader = LiveReader(self._live_log, self._task_id, self._run, self._lines)
        try:
            while not reader.ended:
                try:
                    async with aclosing(reader.batches()) as batches:
                        async for batch in batches:
                            await self._hold(batch)
                except StoreUnavailable:
                    await asyncio.sleep(_RETRY_S)
        except UnknownTask:
            pass
        except Exception:
            _logger.exception("cannot read a live log", task=self._task_id, run=self._run)
        finally:
            self.ended = True
            self._wake()

    def after(self, at: LogPlace) -> tuple[Batch, ...] | None:
        """What follows, about `CHUNK_BYTES` of it; nothing yet; or None: that is not here any more."""
        if not self._lines.exact:
            return None
        first = bisect_right(self._held, at.bytes, key=lambda batch: batch.end.bytes)
        if first == len(self._held):
            return () if at.bytes >= self._lines.at.bytes else None
        if self._held[first].start > at.bytes:
            return None
        found = [self._held[first]]
        size = found[0].size
        for batch in islice(self._held, first + 1, None):
            if batch.start != found[-1].end.bytes or size > CHUNK_BYTES:
                break
            found.append(batch)
            size += batch.size
        if found[-1] is self._held[-1]:
            self._untaken = 0
            self._taken.set()
        return tuple(found)

    async def _hold(self, batch: Batch) -> None:
        self._held.append(batch)
        self._size += batch.size
        self._untaken += batch.size
        while self._size > HELD_BYTES and len(self._held) > 1:
            self._size -= self._held.pop(0).size
        self._wake()
        if self._untaken > HELD_BYTES // 2:
            self._taken.clear()
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await self._taken.wait()
            except TimeoutError:
                self._untaken = 0

    def _wake(self) -> None:
        for woken in self.watchers:
            woken.set()


class LiveReader:
    """Reads a live view on from where it is."""

    def __init__(self, live_log: LiveLog, task_id: str, run: int, lines: LiveLines) -> None:
        self._live_log = live_log
        self._task_id = task_id
        self._run = run
        self._lines = lines
        self._after = "0"
        self.ended = False
        self.behind = False
        """Set by who found that something was missing."""

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """As they come, until the end of the run. Close it; then another call goes on. Raises StoreError."""
        found = self._live_log.follow(self._task_id, self._run, self._after)
        async with aclosing(cast("AsyncGenerator[LiveLogPart, None]", found)) as parts:
            async for part in parts:
                self._after = part.id
                match part:
                    case Lines():
                        for batch in self._lines.add(part.chunk):
                            yield batch
                        await asyncio.sleep(0)  # a large log is not to hold up everybody else
                    case LiveGap():
                        self._lines.jump(part.offset, part.tally)
                    case LiveEnd():
                        self.ended = True
                        return


async def until(batches: AsyncIterator[Batch], size: int) -> tuple[Batch, ...]:
    """The next ones, until there are so many bytes."""
    found: list[Batch] = []
    async for batch in batches:
        found.append(batch)
        size -= batch.size
        if size <= 0:
            break
    return tuple(found)
