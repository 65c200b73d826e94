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
from typing import Any, cast

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from worker.broker.kombu_redis import binding, list_key, list_keys

# A consumer that has not been heard of for this long is taken for dead. What it held is delivered again; a run that it
# still performs is protected by its lease, so a mistake costs one needless delivery.
ALIVE_S = 15
# The lists of a consumer that is taken for dead are looked at for this long: it may only have slept.
_FORGET_S = 24 * 3600
_BLOCK_S = 1
# Queues and priorities that nobody blocks on are looked at this often.
_LOOK_S = 0.1
_RETRY_S = 0.5
# Who takes says that it lives when it has not for this long.
_SILENT_S = 2.0

_SAY_ALIVE = """
redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
"""

# KEYS: those of the consumers, then for each list of a queue the list and its in-flight list, queue by queue, and those
# of the consumer's own queue, if any. ARGV: the consumer and its lists, whether it is time for a sign of life (whoever
# takes is known to live, or its lists would be looked for by nobody), room, number of queues, lists per queue, which
# queue comes first. Returns the number of the list and the message alternately: first what is in the own queue, which
# nobody else can take, then one from each queue in turn, the most urgent first.
_FETCH = f"""
if ARGV[3] == '1' or not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
{_SAY_ALIVE}
end
local room, queues, lists, first = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local taken, found = {{}}, true
local own = queues * lists
while KEYS[3 + own * 2] and #taken < room * 2 do
  local message = redis.call('LMOVE', KEYS[3 + own * 2], KEYS[4 + own * 2], 'RIGHT', 'LEFT')
  if not message then break end
  taken[#taken + 1] = own
  taken[#taken + 1] = message
end
while found and #taken < room * 2 do
  found = false
  for step = 0, queues - 1 do
    if #taken >= room * 2 then break end
    for number = 0, lists - 1 do
      local list = ((first + step) % queues) * lists + number
      local message = redis.call('LMOVE', KEYS[3 + list * 2], KEYS[4 + list * 2], 'RIGHT', 'LEFT')
      if message then
        taken[#taken + 1] = list
        taken[#taken + 1] = message
        found = true
        break
      end
    end
  end
end
return taken
"""

# KEYS: the consumers by their last sign of life, and their lists. ARGV: seconds after which one is taken for dead, and
# after which it is forgotten. Gives the lists of the dead back to where they came from.
_RECOVER = """
local now = tonumber(redis.call('TIME')[1])
local moved = 0
-- Heard of in the future: the clock went back. It is given the time to be heard of again.
for _, consumer in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now + ARGV[1], '+inf')) do
  redis.call('ZADD', KEYS[1], now, consumer)
end
for _, consumer in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1])) do
  local left = false
  for list, held in pairs(cjson.decode(redis.call('HGET', KEYS[2], consumer) or '{}')) do
    -- A queue that is none of ours may be closed to our account; who takes from it gives the message back.
    local message = redis.pcall('LMOVE', held, list, 'LEFT', 'RIGHT')
    while message and not message.err do
      moved = moved + 1
      message = redis.pcall('LMOVE', held, list, 'LEFT', 'RIGHT')
    end
    left = left or message
  end
  if not left and tonumber(redis.call('ZSCORE', KEYS[1], consumer)) < now - ARGV[2] then
    redis.call('ZREM', KEYS[1], consumer)
    redis.call('HDEL', KEYS[2], consumer)
  end
end
return moved
"""

# KEYS: in-flight list and list of each message. ARGV: the messages. Moves them back, the last one first, but for those
# with which others have done so meanwhile.
_RETURN = """
for at = #ARGV, 1, -1 do
  if redis.call('LREM', KEYS[at * 2 - 1], 1, ARGV[at]) == 1 then redis.call('RPUSH', KEYS[at * 2], ARGV[at]) end
end
"""

# KEYS: the in-flight list of each message. ARGV: the messages, which have been dealt with.
_DONE = """
for at = 1, #ARGV do redis.call('LREM', KEYS[at], 1, ARGV[at]) end
"""
CONSUMERS = ("penstock:consumers", "penstock:consumers:lists")


class Taken(Struct, frozen=True):
    """A message that is ours until it is acknowledged or given back. `key` is the list that it was taken from."""

    queue: str
    key: str
    raw: bytes


class RedisQueues:
    """One consumer of some queues, for one event loop. `consumer` is unique to this process.

    `own`: a queue that nobody else consumes. It is looked at first, and knows no priorities.

    Every method raises redis-py's errors when the server is away; then nothing is lost, and calling again is right.
    """

    def __init__(self, redis: Redis, consumer: str, queues: Sequence[str], own: str | None = None) -> None:
        self._redis = redis
        self._queues = tuple(queues)
        self._lists = [(queue, key) for queue in self._queues for key in list_keys(queue)]
        self._lists_each = len(self._lists) // len(self._queues)
        self._own = own
        if own is not None:
            self._lists.append((own, own))
        # Of each list, the in-flight list in which its messages are held.
        self._held = {key: f"penstock:inflight:{consumer}:{key}" for _, key in self._lists}
        self._identity = [consumer, json.dumps(self._held)]
        self._fetch_keys = [*CONSUMERS, *(key for pair in self._held.items() for key in pair)]
        self._fetch = redis.register_script(_FETCH)
        self._recover = redis.register_script(_RECOVER)
        self._alive = redis.register_script(_SAY_ALIVE)
        self._give_back = redis.register_script(_RETURN)
        self._dealt_with = redis.register_script(_DONE)
        self._consumer = consumer
        self._turn = 0
        self._taking = False
        self._said_alive_s = float("-inf")
        # Where messages without a word on priority are: those of Celery's producers and our own.
        self._blocked = {key: queue for queue in self._queues for key in (list_key(queue, 0), list_key(queue, 9))}
        if own is not None:
            self._blocked[own] = own
        self._waits: dict[str, asyncio.Task[bytes | None]] = {}
        self._returning: set[asyncio.Task[None]] = set()
        self._known: Counter[Taken] = Counter()
        self._suspects: Counter[Taken] = Counter()
        self._done: list[Taken] = []
        self._done_soon = asyncio.Event()
        self._flushing = asyncio.Lock()

    async def open(self) -> None:
        """Declare the queues, as any consumer does, and say that we live."""
        for queue in (*self._queues, *([] if self._own is None else [self._own])):
            key, member = binding(queue)
            await self._redis.sadd(key, member)
        await self.beat()

    async def take(self, room: int) -> list[Taken]:
        """Up to `room` messages; waits a moment for the first, and returns nothing when there is none."""
        self._taking = True
        try:
            taken = self._collect_waits(room) or await self.take_now(room)
            if not taken:
                self._wait_for_more()
                await asyncio.wait(self._waits.values(), timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                taken = self._collect_waits(room)
            return taken
        finally:
            self._taking = False
            self._give_back_waits()  # what a blocked call has brought meanwhile

    def acknowledge(self, taken: Taken) -> None:
        """It has been dealt with: forget it, soon. In the loop's thread."""
        self._done.append(taken)
        self._done_soon.set()

    async def replace(self, taken: Taken, raw: bytes) -> Taken:
        """Put other bytes in the place of a message that is ours: what is delivered again, should we die, is this."""
        held = self._held[taken.key]
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.lrem(held, 1, taken.raw)  # type: ignore[arg-type]
            pipe.lpush(held, raw)
            await pipe.execute()
        self._forget([taken])
        return self._know(Taken(taken.queue, taken.key, raw))

    def give_back(self, taken: Sequence[Taken]) -> None:
        """Another consumer shall have them: back to the front of their lists in their order, soon."""
        returning = asyncio.ensure_future(self._return(taken))
        self._returning.add(returning)
        returning.add_done_callback(self._returning.discard)

    async def keep_acknowledging(self) -> None:
        """Runs beside everything else until it is cancelled; many acknowledgements go in one round trip."""
        while True:
            await self._done_soon.wait()
            self._done_soon.clear()
            if not await self._flush():
                await asyncio.sleep(_RETRY_S)
                self._done_soon.set()

    async def beat(self) -> int:
        """Say that we live, take back what dead consumers held, and what we hold without knowing it.

        Call it every few seconds. Returns how many messages of others came back.
        """
        self._say_alive_now()
        await self._alive(keys=CONSUMERS, args=self._identity)
        moved = int(await self._recover(keys=CONSUMERS, args=[ALIVE_S, _FORGET_S]))
        await self._look_for_strays()
        if self._own is not None:
            # What a producer of its own put there with a priority.
            for key in list_keys(self._own)[1:]:
                while await self._redis.lmove(key, self._own, "RIGHT", "LEFT"):
                    continue
        return moved

    async def close(self) -> None:
        """Give back everything that is not acknowledged, and be gone. Nothing may be taken any more."""
        # Waited for and not cancelled: the server might still hand a message to a call that nobody reads.
        if self._waits:
            await asyncio.wait(self._waits.values())
        if self._returning:
            await asyncio.wait(self._returning)
        await self._flush()
        for key, held in self._held.items():
            while await self._redis.lmove(held, key, "LEFT", "RIGHT"):
                continue
        # Not forgotten: should a message come to light after all, it is found there by the others.
        await self._redis.zadd(CONSUMERS[0], {self._consumer: 0})

    async def take_now(self, room: int) -> list[Taken]:
        """Up to `room` messages that are there."""
        self._turn = (self._turn + 1) % len(self._queues)
        say = asyncio.get_running_loop().time() > self._said_alive_s + _SILENT_S
        if say:
            self._say_alive_now()
        found = await self._fetch(
            keys=self._fetch_keys,
            args=[*self._identity, int(say), room, len(self._queues), self._lists_each, self._turn],
        )
        return [
            self._know(Taken(self._lists[number][0], self._lists[number][1], raw))
            for number, raw in zip(found[::2], found[1::2], strict=True)
        ]

    def _wait_for_more(self) -> None:
        """Block on each queue, so that a message starts at once; not when others may take us for dead."""
        if asyncio.get_running_loop().time() < self._said_alive_s + ALIVE_S - _BLOCK_S - 1:
            for key in self._blocked:
                if key not in self._waits:
                    self._waits[key] = asyncio.ensure_future(self._block(key))
                    self._waits[key].add_done_callback(self._arrived)

    def _say_alive_now(self) -> None:
        self._said_alive_s = asyncio.get_running_loop().time()

    async def _block(self, key: str) -> bytes | None:
        raw: Any = await self._redis.blmove(key, self._held[key], _BLOCK_S, "RIGHT", "LEFT")
        return cast("bytes | None", raw)

    def _arrived(self, _: asyncio.Task[bytes | None]) -> None:
        if not self._taking:
            self._give_back_waits()

    def _give_back_waits(self) -> None:
        """A message that a blocked call brings while nobody takes belongs to another consumer."""
        if any(wait.done() for wait in self._waits.values()):
            with suppress(RedisError, OSError):  # who takes next hears of it
                self._collect_waits(0)

    def _collect_waits(self, room: int) -> list[Taken]:
        """What the blocked calls have brought; what there is no room for goes back."""
        taken: list[Taken] = []
        failed: BaseException | None = None
        for key in [key for key, wait in self._waits.items() if wait.done()]:
            wait = self._waits.pop(key)
            if wait.cancelled():
                continue
            failed = wait.exception() or failed
            if not wait.exception() and (raw := wait.result()) is not None:
                taken.append(self._know(Taken(self._blocked[key], key, raw)))
        if taken[room:]:
            self.give_back(taken[room:])
        if failed and not taken:
            raise failed
        return taken[:room]

    def _know(self, taken: Taken) -> Taken:
        self._known[taken] += 1
        return taken

    def _forget(self, gone: Sequence[Taken]) -> None:
        self._known.subtract(gone)
        self._known += Counter()

    async def _flush(self) -> bool:
        """Tell the server what was acknowledged; False when it does not answer: then it is told again."""
        async with self._flushing:
            done, self._done = self._done, []
            if not done:
                return True
            try:
                await self._dealt_with(keys=[self._held[one.key] for one in done], args=[one.raw for one in done])
            except BaseException as error:
                # Acknowledging twice does no harm; not at all would bring the message again.
                self._done = done + self._done
                if isinstance(error, RedisError | OSError):
                    return False
                raise
            self._forget(done)
            return True

    async def _return(self, taken: Sequence[Taken]) -> None:
        with suppress(RedisError, OSError):  # they are found again as strays
            keys = [key for one in taken for key in (self._held[one.key], one.key)]
            await self._give_back(keys=keys, args=[one.raw for one in taken])
        self._forget(taken)

    async def _look_for_strays(self) -> None:
        """A reply that was lost leaves a message in our list that we know nothing of; the second look is sure."""
        strays: Counter[Taken] = Counter()
        for queue, key in self._lists:
            found: Any = await self._redis.lrange(self._held[key], 0, -1)
            strays.update(Taken(queue, key, raw) for raw in found)
        strays.subtract(self._known)
        strays = +strays
        for taken in (strays & self._suspects).elements():
            await self._return([self._know(taken)])
        self._suspects = strays
