"""Streams: who reads what live in this process; counts and bounds them, and ends them with the server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from msgspec import Struct, field

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


class _Followed(Struct):
    tail: Tail
    reading: asyncio.Task[None]
    who: str
    readers: int = 0


class Streams(Struct, frozen=True):
    """`spool`: where the workers of this machine keep the logs that they are writing."""

    feed: Feed
    live_log: LiveLog
    spool: Path
    behind: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BEHIND))
    """For whoever reads from the store by itself."""
    _followed: dict[tuple[str, int], _Followed] = field(default_factory=dict)
    _open: dict[str, int] = field(default_factory=lambda: {"task": 0, "events": 0})
    _readers: Counter[str] = field(default_factory=Counter)
    _tails: Counter[str] = field(default_factory=Counter)
    _seated: dict[str, set[asyncio.Event]] = field(default_factory=dict)

    @property
    def open(self) -> dict[str, int]:
        """How many readers there are, by what they read: `task` or `events`."""
        return dict(self._open)

    @contextmanager
    def seat(self, kind: str, who: str, proofs: Collection[str] = ()) -> Iterator[asyncio.Event]:
        """Of one more reader, until what it gives is set: one of `proofs` is over. Raises ApiError (503)."""
        _check_share(self._readers, who, READERS)
        over = asyncio.Event()
        for proof in proofs:
            self._seated.setdefault(proof, set()).add(over)
        self._open[kind] += 1
        self._readers[who] += 1
        try:
            yield over
        finally:
            self._open[kind] -= 1
            _give_back(self._readers, who)
            for proof in proofs:
                self._seated[proof].discard(over)
                if not self._seated[proof]:
                    del self._seated[proof]

    def end(self, proof: str) -> None:
        """Whoever reads by it here reads no further. Other servers ask for themselves, every now and then."""
        for over in self._seated.get(proof, ()):
            over.set()

    def check_tail(self, task_id: str, run: int, who: str) -> None:
        """Whether that run can be followed. Raises ApiError (503)."""
        followed = self._followed.get((task_id, run))
        if followed is None or followed.tail.ended:
            _check_share(self._tails, who, TAILS)

    @asynccontextmanager
    async def tail(self, task_id: str, run: int, woken: asyncio.Event, who: str) -> AsyncIterator[Tail]:
        """The live view of that run; `woken` is set whenever there is more. Raises ApiError (503)."""
        key = (task_id, run)
        self.check_tail(task_id, run, who)
        followed = self._followed.get(key)
        if followed is None or followed.tail.ended:
            tail = Tail(self.live_log, task_id, run)
            followed = self._followed[key] = _Followed(tail, asyncio.get_running_loop().create_task(tail.read()), who)
            self._tails[who] += 1
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
                _give_back(self._tails, followed.who)
                followed.reading.cancel()
                with suppress(asyncio.CancelledError):
                    await followed.reading


def _check_share(held: Counter[str], who: str, most: int) -> None:
    """Nobody has more than what is left for all others: one alone half, so that there is always room for one more."""
    if held[who] >= most - held.total():
        raise ApiError(503, "too-many-streams", "too many streams are open", headers={"Retry-After": "5"})


def _give_back(held: Counter[str], who: str) -> None:
    held[who] -= 1
    if not held[who]:
        del held[who]
