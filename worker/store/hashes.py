"""Hashes: read several in one round trip, at the small cost of PipedRedis where that is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from worker.store.errors import store_errors
from worker.store.piped import PipedRedis

Hash = dict[bytes, bytes]


async def read_hashes(redis: Redis, keys: Sequence[str]) -> list[Hash]:
    """Empty where there is none. Raises StoreUnavailable."""
    if not keys:
        return []
    with store_errors():
        if isinstance(redis, PipedRedis):
            return [_hash(answer) for answer in await redis.ask_together([("HGETALL", key) for key in keys])]
        async with redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hgetall(key)
            found: list[Hash] = await pipeline.execute()
            return found


async def ask(redis: Redis, commands: Sequence[tuple[str, ...]]) -> list[Any]:
    """Several commands that only read, in one round trip; for those whose answers need no conversion."""
    if not commands:
        return []
    with store_errors():
        if isinstance(redis, PipedRedis):
            return await redis.ask_together(commands)
        async with redis.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            found: list[Any] = await pipeline.execute()
            return found


async def read_hash_and_time(redis: Redis, key: str) -> tuple[Hash, int]:
    """The hash, and the time by the store's clock in milliseconds. Raises StoreUnavailable."""
    with store_errors():
        if isinstance(redis, PipedRedis):
            answer, now = await redis.ask_together([("HGETALL", key), ("TIME",)])
        else:
            async with redis.pipeline(transaction=False) as pipeline:
                pipeline.hgetall(key)
                pipeline.time()
                answer, now = await pipeline.execute()
    return _hash(answer), int(now[0]) * 1000 + int(now[1]) // 1000


def _hash(answer: Any) -> Hash:
    """RESP3 has maps; in RESP2 names and values take turns."""
    return answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
