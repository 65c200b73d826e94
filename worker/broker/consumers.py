"""Consumers: the workers that take from queues in Redis, as they have said it of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from worker.broker.redis_queues import ALIVE_S, CONSUMERS
from worker.broker.source import BrokerAway


@dataclass(frozen=True, slots=True)
class Consumer:
    """`silent_s`: for how long nothing was heard of it; it speaks every few seconds."""

    worker: str
    host: str
    pid: int
    silent_s: float


async def consumers(redis: Redis) -> tuple[Consumer, ...]:
    """Those that are not taken for dead, by name. Raises BrokerAway."""
    try:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zrangebyscore(CONSUMERS[0], "-inf", "+inf", withscores=True)
            answers: list[Any] = await pipe.execute()
    except (RedisError, OSError) as error:
        raise BrokerAway(str(error) or type(error).__name__) from error
    now_s = answers[0][0]
    found = []
    for member, score in answers[1]:
        worker, host, pid, _ = (member.decode("utf-8", "replace").split(":") + [""] * 4)[:4]
        if now_s - score <= ALIVE_S and pid.isdigit():
            found.append(Consumer(worker, host, int(pid), max(0.0, now_s - score)))
    return tuple(sorted(found, key=lambda consumer: (consumer.worker, consumer.host, consumer.pid)))
