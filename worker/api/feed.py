"""Feed: the changes of all tasks as they come. One reader of the store's events for everybody in this process."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import islice

import structlog
from msgspec import Struct

from worker.model.listing import Event
from worker.store import Records, StoreError

_logger = structlog.get_logger("penstock.api")
_RETRY_S = 0.5
# Who is further behind reads from the store by itself.
_KEPT = 2000
# What one answer of the store holds; the store itself keeps far more.
_COUNT = 500
_BEGINNING = (0, 0)


def order(event_id: str) -> tuple[int, int]:
    """Ids of events as they follow each other. Raises ValueError."""
    time_ms, _, number = event_id.partition("-")
    return int(time_ms), int(number or 0)


class Following(Struct, frozen=True):
    """`gap`: some that came before these are not kept any more."""

    events: tuple[Event, ...]
    gap: bool = False


class Feed:
    """`follow` has to run meanwhile. For one event loop."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._kept: deque[Event] = deque(maxlen=_KEPT)
        self._behind_kept = _BEGINNING
        self._all: set[asyncio.Event] = set()
        self._of_task: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.newest = "0-0"
        self.stopped = False

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Reads the events until the end of the block."""
        self.newest = await self._records.newest_event()
        self._behind_kept = order(self.newest)
        reader = asyncio.get_running_loop().create_task(self._read())
        try:
            yield
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader

    def stop(self) -> None:
        """The server ends: everybody is woken, now and whenever they ask."""
        self.stopped = True
        self._wake_all()

    @contextmanager
    def watch(self, task_id: str | None = None) -> Iterator[asyncio.Event]:
        """Set whenever that task, or any, may have changed, and at the end of the server."""
        woken = asyncio.Event()
        watchers = self._all if task_id is None else self._of_task[task_id]
        watchers.add(woken)
        if self.stopped:
            woken.set()
        try:
            yield woken
        finally:
            watchers.discard(woken)
            if task_id is not None and not watchers:
                self._of_task.pop(task_id, None)

    async def after(self, event_id: str, count: int) -> Following:
        """The events that follow that one, without waiting. Raises StoreError."""
        place = order(event_id)
        if place < self._behind_kept:
            events = await self._records.events(event_id, block_ms=None, count=count)
            # Looked at afterwards: the store may drop events while it is being read.
            return Following(events, gap=not await self._event_kept(event_id))
        if place >= order(self.newest):
            return Following(())
        missed = 0
        for event in reversed(self._kept):
            if order(event.id) <= place:
                break
            missed += 1
        start = len(self._kept) - missed
        return Following(tuple(islice(self._kept, start, start + count)))

    async def _read(self) -> None:
        away = False
        while True:
            try:
                events = await self._records.events(self.newest, count=_COUNT)
                # Only who has much to read can have come too late.
                lost = len(events) == _COUNT and not await self._event_kept(self.newest)
            except StoreError as error:
                if not away:
                    _logger.warning("cannot read the events of the store; trying again", error=str(error))
                away = True
                await asyncio.sleep(_RETRY_S)
                continue
            if away:
                away = False
                self._wake_all()  # events may be gone; each looks for itself
            if lost:
                # Who has not seen these yet asks the store, and is told of the gap.
                self._kept.clear()
                self._behind_kept = order(events[0].id)
            for event in events:
                if len(self._kept) == _KEPT:
                    self._behind_kept = order(self._kept[0].id)
                self._kept.append(event)
                self.newest = event.id
                for woken in self._of_task.get(event.task_id, ()):
                    woken.set()
            if events:
                for woken in self._all:
                    woken.set()

    async def _event_kept(self, event_id: str) -> bool:
        return order(event_id) == _BEGINNING or await self._records.event_kept(event_id)

    def _wake_all(self) -> None:
        for watchers in (self._all, *self._of_task.values()):
            for woken in watchers:
                woken.set()
