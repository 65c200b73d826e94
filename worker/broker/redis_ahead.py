"""Redis ahead: while a queue is long and runs are short, messages are here before there is room for them.

One look into the queues then serves many runs, and none waits for it. What is not wanted soon goes back to the front of
its queue: it must not wait behind a long run while another worker is idle.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from redis.exceptions import RedisError

from worker.broker.redis_queues import RedisQueues, Taken

# How long a message is held here at most.
_HELD_S = 0.05
# Two looks that found all they asked for, one so soon after the other, tell of a long queue and short runs.
_SOON_S = 0.02
# What the next consumer has to wait for should we be killed. More gained nothing.
_MOST = 8


class RedisAhead:
    """For one event loop, and one who takes."""

    def __init__(self, queues: RedisQueues) -> None:
        self._queues = queues
        self._loop = asyncio.get_running_loop()
        self._held: deque[tuple[float, Taken]] = deque()
        self._more = 0
        self._paused = False
        self._full_at_s = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._refill: asyncio.Task[None] | None = None

    async def take(self, room: int) -> list[Taken]:
        """As `RedisQueues.take`; without a look when enough is held."""
        self._paused = False
        if not self._held and self._refill:
            with suppress(RedisError, OSError):  # the next look tells
                await asyncio.shield(self._refill)
        if not self._held:
            self._look(room, await self._queues.take(room + self._more))
        taken = [self._held.popleft()[1] for _ in range(min(room, len(self._held)))]
        if self._more and len(self._held) <= self._more // 2 and not self._refill:
            self._refill = self._loop.create_task(self._fill(self._more))
            self._refill.add_done_callback(self._filled)
        return taken

    def pause(self) -> None:
        """What is held goes back, and what a `take` that goes on finds."""
        self._paused = True
        self._more = 0
        self._give_back()

    async def close(self) -> None:
        """Give back what is held. Nothing may be taken any more."""
        if self._refill:
            await asyncio.wait((self._refill,))
        if self._timer:
            self._timer.cancel()
        self._give_back()

    async def _fill(self, room: int) -> None:
        self._look(room, await self._queues.take_now(room))

    def _filled(self, refill: asyncio.Task[None]) -> None:
        self._refill = None
        if not refill.cancelled():
            refill.exception()  # whoever takes next meets the same, and says so

    def _look(self, room: int, found: list[Taken]) -> None:
        now_s = self._loop.time()
        if len(found) < room:
            self._more = 0
        else:
            if now_s - self._full_at_s < _SOON_S:
                self._more = min(_MOST, self._more + room)
            self._full_at_s = now_s
        self._held.extend((now_s, one) for one in found)
        if self._paused:
            self.pause()
        if self._held and self._timer is None:
            self._timer = self._loop.call_later(_HELD_S, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._timer = None
        if self._held and self._held[0][0] + _HELD_S <= self._loop.time():
            self._more = 0
            self._give_back()
        elif self._held:
            self._timer = self._loop.call_at(self._held[0][0] + _HELD_S, self._look_at_clock)

    def _give_back(self) -> None:
        if self._held:
            self._queues.give_back([one for _, one in self._held])
            self._held.clear()
