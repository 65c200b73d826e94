"""History: how many tasks were recorded when, counted by the indexes alone: no record is looked at."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from typing import Any

from redis.asyncio import Redis

from worker.model.overview import Span
from worker.model.status import Status
from worker.store.errors import store_errors
from worker.store.keys import script_key, status_key

# What one round trip asks for, so that the store has its turn with others.
_TOGETHER = 1000


async def read_history(redis: Redis, span: Span, scripts: Collection[str] | None) -> tuple[dict[Status, int], ...]:
    """The buckets, oldest first; every status is in each."""
    counts = tuple(dict.fromkeys(Status, 0) for _ in range(span.buckets))
    names = [None] if scripts is None else sorted(scripts)
    wanted = list(product(names, Status, enumerate(span.starts())))
    for start in range(0, len(wanted), _TOGETHER):
        asked = wanted[start : start + _TOGETHER]
        async with redis.pipeline(transaction=True) as indexes:
            for script, status, (_, since_ms) in asked:
                key = status_key(status) if script is None else script_key(script, status)
                # Positions are microseconds.
                indexes.zcount(key, since_ms * 1000, f"({(since_ms + span.bucket_ms) * 1000}")
            with store_errors():
                answers: list[Any] = await indexes.execute()
        for (_, status, (bucket, _)), count in zip(asked, answers, strict=True):
            counts[bucket][status] += count
    return counts
