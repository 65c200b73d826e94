"""Redis queues: the consumer of kombu's lists in Redis that loses nothing.

A message is moved, in one step, from its queue into the in-flight list of this consumer, and stays there until it is
acknowledged. The lists of a consumer that gives no sign of life go back to where they came from. kombu's own consumer
pops first and notes afterwards, and dies of what it cannot parse; here a message is bytes until we look at it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from worker.broker.kombu_redis import PRIORITY_STEPS, binding, list_keys

# A consumer that has not been heard of for this long is taken for dead. What it held is delivered again; a run that it
# still performs is protected by its lease, so a mistake costs one needless delivery.
ALIVE_S = 15
_BLOCK_S = 1
# Queues and priorities that nobody blocks on are looked at this often.
_LOOK_S = 0.1
_RETRY_S = 0.5

# KEYS: for each queue its in-flight list, then its lists by priority. ARGV: room, number of queues, lists per queue,
# which queue comes first. Returns queue number and message alternately; one from each queue in turn.
_FETCH = """
local room, queues, lists, first = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local taken, found = {}, true
while found and #taken < room * 2 do
  found = false
  for step = 0, queues - 1 do
    if #taken >= room * 2 then break end
    local queue = (first + step) % queues
    local base = queue * (lists + 1) + 1
    for number = 1, lists do
      local message = redis.call('LMOVE', KEYS[base + number], KEYS[base], 'RIGHT', 'LEFT')
      if message then
        taken[#taken + 1] = queue
        taken[#taken + 1] = message
        found = true
        break
      end
    end
  end
end
return taken
"""

# KEYS: the consumers by their last sign of life. ARGV: seconds. Gives the lists of the dead back to their queues.
_RECOVER = """
local now = redis.call('TIME')
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now[1] - ARGV[1], 'LIMIT', 0, 20)
local moved = 0
for _, consumer in ipairs(dead) do
  for queue, list in pairs(cjson.decode(redis.call('HGET', KEYS[2], consumer) or '{}')) do
    while redis.call('LMOVE', list, queue, 'LEFT', 'RIGHT') do moved = moved + 1 end
  end
  redis.call('ZREM', KEYS[1], consumer)
  redis.call('HDEL', KEYS[2], consumer)
end
return moved
"""

_ALIVE = """
redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
"""
_CONSUMERS = ("penstock:consumers", "penstock:consumers:lists")


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that is ours until it is acknowledged or given back."""

    queue: str
    raw: bytes


class RedisQueues:
    """One consumer of some queues, for one event loop. `consumer` is unique to this process.

    Every method raises redis-py's errors when the server is away; then nothing is lost, and calling again is right.
    """

    def __init__(self, redis: Redis, consumer: str, queues: Sequence[str]) -> None:
        self._redis = redis
        self._consumer = consumer
        self._queues = tuple(queues)
        self._held = {queue: f"penstock:inflight:{consumer}:{queue}" for queue in self._queues}
        self._fetch_keys = [key for queue in self._queues for key in (self._held[queue], *list_keys(queue))]
        self._fetch = redis.register_script(_FETCH)
        self._recover = redis.register_script(_RECOVER)
        self._alive = redis.register_script(_ALIVE)
        self._turn = 0
        self._waits: dict[str, asyncio.Task[bytes | None]] = {}
        self._known: Counter[Taken] = Counter()
        self._suspects: Counter[Taken] = Counter()
        self._taking = False
        self._returning: set[asyncio.Future[None]] = set()
        self._done: list[Taken] = []
        self._done_soon = asyncio.Event()

    async def open(self) -> None:
        """Declare the queues, as any consumer does, and say that we live."""
        for queue in self._queues:
            key, member = binding(queue)
            await self._redis.sadd(key, member)
        await self.beat()

    async def take(self, room: int) -> list[Taken]:
        """Up to `room` messages; waits about a second for the first, and returns nothing when there is none."""
        self._taking = True
        try:
            taken = self._collect_waits(room) or await self._take_now(room)
            if not taken:
                for queue in self._queues:
                    if queue not in self._waits:
                        self._waits[queue] = asyncio.ensure_future(self._block(queue))
                        self._waits[queue].add_done_callback(self._arrived)
                await asyncio.wait(self._waits.values(), timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                taken = self._collect_waits(room)
            return taken
        finally:
            self._taking = False

    def _arrived(self, wait: asyncio.Task[bytes | None]) -> None:
        """A message that a blocked call brings while nobody takes belongs to another consumer."""
        if not self._taking and not wait.cancelled():
            with suppress(RedisError):
                self._collect_waits(0)

    def acknowledge(self, taken: Taken) -> None:
        """It has been dealt with: forget it, soon. In the loop's thread."""
        self._done.append(taken)
        self._done_soon.set()

    async def replace(self, taken: Taken, raw: bytes) -> Taken:
        """Put other bytes in the place of a message that is ours: what is delivered again, should we die, is this."""
        held = self._held[taken.queue]
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.lrem(held, 1, taken.raw)  # type: ignore[arg-type]
            pipe.lpush(held, raw)
            await pipe.execute()
        self._known[taken] -= 1
        self._known += Counter()
        return self._know(taken.queue, raw)

    def give_back(self, taken: Taken) -> None:
        """Another consumer shall have it: back to the front of its queue, soon."""
        returning = asyncio.ensure_future(self._return(taken))
        self._returning.add(returning)
        returning.add_done_callback(self._returning.discard)

    async def keep_acknowledging(self) -> None:
        """Runs beside everything else until it is cancelled; many acknowledgements go in one round trip."""
        while True:
            await self._done_soon.wait()
            self._done_soon.clear()
            await self._flush()

    async def beat(self) -> int:
        """Say that we live, take back what dead consumers held, and what we hold without knowing it.

        Call it every few seconds. Returns how many messages of others came back.
        """
        lists = json.dumps(dict(self._held))
        await self._alive(keys=_CONSUMERS, args=[self._consumer, lists])
        moved = int(await self._recover(keys=_CONSUMERS, args=[ALIVE_S]))
        await self._look_for_strays()
        return moved

    async def close(self) -> None:
        """Give back everything that is not acknowledged, and be gone. Nothing may be taken any more."""
        for wait in self._waits.values():
            wait.cancel()
        await asyncio.gather(*self._waits.values(), return_exceptions=True)
        await self._flush()
        for queue, held in self._held.items():
            while await self._redis.lmove(held, queue, "LEFT", "RIGHT"):
                continue
        await self._redis.zrem(_CONSUMERS[0], self._consumer)
        await self._redis.hdel(_CONSUMERS[1], self._consumer)

    async def _take_now(self, room: int) -> list[Taken]:
        self._turn = (self._turn + 1) % len(self._queues)
        args = [room, len(self._queues), len(PRIORITY_STEPS), self._turn]
        found = await self._fetch(keys=self._fetch_keys, args=args)
        return [self._know(self._queues[number], raw) for number, raw in zip(found[::2], found[1::2], strict=True)]

    async def _block(self, queue: str) -> bytes | None:
        raw: Any = await self._redis.blmove(queue, self._held[queue], _BLOCK_S, "RIGHT", "LEFT")
        return cast("bytes | None", raw)

    def _collect_waits(self, room: int) -> list[Taken]:
        """What the blocked calls have brought; what there is no room for goes back."""
        taken: list[Taken] = []
        failed: BaseException | None = None
        for queue in [queue for queue, wait in self._waits.items() if wait.done()]:
            wait = self._waits.pop(queue)
            failed = wait.exception() or failed
            if not wait.exception() and (raw := wait.result()) is not None:
                taken.append(self._know(queue, raw))
        for one in taken[room:]:
            self.give_back(one)
        if failed and not taken:
            raise failed
        return taken[:room]

    def _know(self, queue: str, raw: bytes) -> Taken:
        taken = Taken(queue, raw)
        self._known[taken] += 1
        return taken

    async def _flush(self) -> None:
        while self._done:
            done, self._done = self._done, []
            try:
                async with self._redis.pipeline(transaction=False) as pipe:
                    for taken in done:
                        pipe.lrem(self._held[taken.queue], 1, taken.raw)  # type: ignore[arg-type]
                    await pipe.execute()
            except RedisError:
                # Acknowledging twice does no harm; not at all would bring the message again.
                self._done = done + self._done
                await asyncio.sleep(_RETRY_S)
                continue
            self._known.subtract(done)
            self._known += Counter()

    async def _return(self, taken: Taken) -> None:
        with suppress(RedisError):  # it is found again as a stray
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.lrem(self._held[taken.queue], 1, taken.raw)  # type: ignore[arg-type]
                pipe.rpush(taken.queue, taken.raw)
                await pipe.execute()
        self._known[taken] -= 1
        self._known += Counter()

    async def _look_for_strays(self) -> None:
        """A reply that was lost leaves a message in our list that we know nothing of; the second look is sure."""
        strays: Counter[Taken] = Counter()
        for queue, held in self._held.items():
            found: Any = await self._redis.lrange(held, 0, -1)
            strays.update(Taken(queue, raw) for raw in found)
        strays.subtract(self._known)
        strays = +strays
        for taken in (strays & self._suspects).elements():
            self._known[taken] += 1
            await self._return(taken)
        self._suspects = strays
