"""Streams: who reads what live in this process; counts and bounds them, and ends them with the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from worker.api.feed import Feed
from worker.api.problem import ApiError
from worker.api.tail import Tail
from worker.store import LiveLog

# Each holds a socket, and memory for what it is about to send.
READERS = 1000
# Each run that is followed holds a connection to the store, of which there are 500, and what `Tail` keeps.
TAILS = 250
# So many readers that have fallen behind read from the store at a time, each about a MiB.
BEHIND = 4


@dataclass(slots=True)
class _Followed:
    tail: Tail
    reading: asyncio.Task[None]
    readers: int = 0


@dataclass(frozen=True, slots=True)
class Streams:
    """`spool`: where the workers of this machine keep the logs that they are writing."""

    feed: Feed
    live_log: LiveLog
    spool: Path
    behind: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BEHIND))
    """For whoever reads from the store by itself."""
    _followed: dict[tuple[str, int], _Followed] = field(default_factory=dict)
    _open: dict[str, int] = field(default_factory=lambda: {"task": 0, "events": 0})

    @property
    def open(self) -> dict[str, int]:
        """How many readers there are, by what they read: `task` or `events`."""
        return dict(self._open)

    @contextmanager
    def reader(self, kind: str) -> Iterator[None]:
        self._open[kind] += 1
        try:
            yield
        finally:
            self._open[kind] -= 1

    def check_room(self) -> None:
        """Raises ApiError (503)."""
        if sum(self._open.values()) >= READERS or len(self._followed) >= TAILS:
            raise ApiError(503, "too-many-streams", "too many streams are open", headers={"Retry-After": "5"})

    @asynccontextmanager
    async def tail(self, task_id: str, run: int, woken: asyncio.Event) -> AsyncIterator[Tail]:
        """The live view of that run; `woken` is set whenever there is more."""
        key = (task_id, run)
        followed = self._followed.get(key)
        if followed is None or followed.tail.ended:
            tail = Tail(self.live_log, task_id, run)
            followed = self._followed[key] = _Followed(tail, asyncio.get_running_loop().create_task(tail.read()))
        followed.readers += 1
        followed.tail.watchers.add(woken)
        try:
            yield followed.tail
        finally:
            followed.readers -= 1
            followed.tail.watchers.discard(woken)
            if not followed.readers:
                if self._followed.get(key) is followed:
                    del self._followed[key]
                followed.reading.cancel()
                with suppress(asyncio.CancelledError):
                    await followed.reading
