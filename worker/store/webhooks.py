"""Webhooks in the store: what is still to be delivered, to whom and when. Sends nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError

from worker.store.errors import store_errors
from worker.store.keys import (
    FINISHED,
    FINISHED_SCRIPTS,
    WEBHOOK_CURSOR,
    WEBHOOK_DUE,
    WEBHOOK_SENDER,
    WEBHOOK_TOTALS,
    WEBHOOK_TRIED,
    checked_id,
)

# The sender's lease: another server takes over so long after it is gone.
LEASE_S = 15.0
# For one webhook; what would come on top is given up, and counted.
MOST_WAITING = 100_000


class Delivery(Struct, frozen=True):
    """The end of a task, to be told to one webhook. `created_at` in milliseconds."""

    task_id: str
    run: int
    attempts: int
    created_at: int

    @property
    def member(self) -> str:
        return f"{self.task_id}:{self.run:d}"


class WebhookTotals(Struct, frozen=True):
    """`failed`: given up. Ever, over all servers."""

    waiting: int
    sent: int
    failed: int


class Webhooks:
    """The deliveries behind one connection pool. Every call may be made twice. Raises StoreUnavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def lease(self) -> Lease:
        """Who holds it sends."""
        return Lease(self._redis)

    async def cursor(self) -> str | None:
        """The last event of which the deliveries are recorded; None: none ever."""
        with store_errors():
            found: Any = await self._redis.get(WEBHOOK_CURSOR.name)
        return None if found is None else found.decode()

    async def record(self, deliveries: Mapping[str, Collection[tuple[str, int]]], cursor: str, now_ms: int) -> None:
        """Tasks and runs by webhook, and in the same call how far the events were read."""
        with store_errors():
            room = {name: MOST_WAITING - await self._redis.zcard(_due(name)) for name in deliveries}
            async with self._redis.pipeline(transaction=True) as batch:
                for name, ends in deliveries.items():
                    for number, (task_id, run) in enumerate(ends):
                        if number >= room[name]:
                            batch.hincrby(WEBHOOK_TOTALS.name, f"{name}:failed", len(ends) - number)
                            break
                        member = f"{checked_id(task_id)}:{run:d}"
                        batch.zadd(_due(name), {member: now_ms}, nx=True)
                        batch.hsetnx(_tried(name), member, json.dumps([0, now_ms]))
                batch.set(WEBHOOK_CURSOR.name, cursor)
                await batch.execute()

    async def due(self, name: str, now_ms: int, count: int) -> tuple[Delivery, ...]:
        """What is to be sent by now, the oldest first."""
        with store_errors():
            members: Any = await self._redis.zrangebyscore(_due(name), "-inf", now_ms, start=0, num=count)
            tried: Any = await self._redis.hmget(_tried(name), members) if members else ()
        return tuple(
            _delivery(member.decode(), json.loads(each) if each else (0, now_ms))
            for member, each in zip(members, tried, strict=True)
        )

    async def next_due(self, name: str) -> int | None:
        """When the next is due, in milliseconds."""
        with store_errors():
            found: Any = await self._redis.zrange(_due(name), 0, 0, withscores=True)
        return int(found[0][1]) if found else None

    async def again(self, name: str, delivery: Delivery, due_ms: int) -> None:
        """It was not taken; the next attempt is at that time."""
        with store_errors():
            async with self._redis.pipeline(transaction=True) as batch:
                batch.zadd(_due(name), {delivery.member: due_ms}, xx=True)
                tried = json.dumps([delivery.attempts + 1, delivery.created_at])
                batch.hset(_tried(name), delivery.member, tried)
                await batch.execute()

    async def close(self, name: str, delivery: Delivery, *, sent: bool) -> None:
        """It was taken, or is given up."""
        with store_errors():
            async with self._redis.pipeline(transaction=True) as batch:
                batch.zrem(_due(name), delivery.member)
                batch.hdel(_tried(name), delivery.member)
                batch.hincrby(WEBHOOK_TOTALS.name, f"{name}:{'sent' if sent else 'failed'}", 1)
                await batch.execute()

    async def totals(self, names: Collection[str]) -> dict[str, WebhookTotals]:
        with store_errors():
            waiting = {name: await self._redis.zcard(_due(name)) for name in names}
            found: Any = await self._redis.hgetall(WEBHOOK_TOTALS.name) if names else {}
        totals = {key.decode(): int(value) for key, value in found.items()}
        return {
            name: WebhookTotals(waiting[name], totals.get(f"{name}:sent", 0), totals.get(f"{name}:failed", 0))
            for name in names
        }

    async def finished_since(self, time_ms: int) -> list[str]:
        """Ids of tasks that have ended since, and are kept; when the events that said so are not."""
        found: list[str] = []
        with store_errors():
            scripts: Any = await self._redis.smembers(FINISHED_SCRIPTS.name)
            for script in sorted(scripts):
                page: Any = await self._redis.zrangebyscore(FINISHED.prefix + script.decode(), time_ms, "+inf")
                found.extend(task_id.decode() for task_id in page)
        return found


class Lease:
    """Of one sender among all servers."""

    def __init__(self, redis: Redis) -> None:
        self._lock = Lock(redis, WEBHOOK_SENDER.name, timeout=LEASE_S, blocking=False, thread_local=False)

    async def take(self) -> bool:
        with store_errors():
            return bool(await self._lock.acquire(blocking=False))

    async def renew(self) -> bool:
        """False: it is lost, to another one perhaps."""
        try:
            with store_errors():
                return bool(await self._lock.reacquire())
        except LockError:
            return False

    async def give_back(self) -> None:
        try:
            with store_errors():
                await self._lock.release()
        except LockError:
            pass


def _delivery(member: str, tried: Collection[int]) -> Delivery:
    task_id, _, run = member.rpartition(":")
    attempts, created_at = tried
    return Delivery(task_id, int(run), attempts, created_at)


def _due(name: str) -> str:
    return WEBHOOK_DUE.prefix + name


def _tried(name: str) -> str:
    return WEBHOOK_TRIED.prefix + name
