"""What is asked of one worker that lives, and what it answers: the end of its own log.

A question is for whoever has the worker's name now, and is forgotten when nobody takes it soon.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable
from typing import Any, cast

from msgspec import Struct
from redis.asyncio import Redis

from worker.store.errors import store_errors
from worker.store.keys import WORKER_ANSWER, WORKER_ASKS
from worker.store.workers import checked_name

MOST_LINES = 1000
MOST_BYTES = 256 * 1024
# An answer that comes later helps nobody.
PATIENCE_S = 5
# Below the socket's timeout.
_BLOCK_S = 2
_ANSWER_S = 30
_ID = re.compile(r"[0-9a-f]{32}\Z")


class LogAsk(Struct, frozen=True):
    """`id` is where the answer goes."""

    id: str
    lines: int


class WorkerAsks:
    """Behind one connection pool. An absent store raises StoreUnavailable, what cannot be a name InvalidName."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def log(self, name: str, lines: int) -> str | None:
        """The last lines of its log file; empty when it keeps none or nothing is in it. Raises TimeoutError when it
        does not answer within PATIENCE_S, ValueError for another number of lines than 1 to MOST_LINES.
        """
        if not 1 <= lines <= MOST_LINES:
            raise ValueError(f"1 to {MOST_LINES} lines, not {lines}")
        key, id = WORKER_ASKS.prefix + checked_name(name), secrets.token_hex(16)
        with store_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.rpush(key, json.dumps([id, lines]))
                pipe.expire(key, PATIENCE_S)
                await pipe.execute()
            for wait_s in (_BLOCK_S, _BLOCK_S, PATIENCE_S - 2 * _BLOCK_S):
                if (found := await self._take(WORKER_ANSWER.prefix + id, wait_s)) is not None:
                    value = found.decode("utf-8", "replace")
                    return value[1:] if value.startswith("+") else None
        raise TimeoutError

    async def next(self, name: str) -> LogAsk | None:
        """For the worker: what it is asked next; None when there is nothing for two seconds, or nonsense."""
        with store_errors():
            found = await self._take(WORKER_ASKS.prefix + checked_name(name), _BLOCK_S)
        try:
            id, lines = json.loads(found or b"")
            known = _ID.match(id) and type(lines) is int and 1 <= lines <= MOST_LINES
        except (ValueError, TypeError, RecursionError):
            return None
        return LogAsk(id, lines) if known else None

    async def answer(self, ask: LogAsk, text: str | None) -> None:
        """None: it keeps no log file."""
        key = WORKER_ANSWER.prefix + ask.id
        with store_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.rpush(key, "-" if text is None else f"+{text}")
                pipe.expire(key, _ANSWER_S)
                await pipe.execute()

    async def _take(self, key: str, wait_s: int) -> bytes | None:
        found = await cast("Awaitable[Any]", self._redis.blpop([key], wait_s))
        return found[1] if found else None
