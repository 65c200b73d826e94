"""Dead letters: messages that could not become a task, kept as they were received. Publishes nothing itself.

Bounded by number and bytes: the oldest make room, and are counted. Every call may be made twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from typing import Any

from redis.asyncio import Redis

from worker.model.dead_letter import DeadLetter, DeadLetterPage
from worker.store import encoding
from worker.store.errors import InvalidName, store_errors
from worker.store.keys import DEAD_LETTER, DEAD_LETTER_TOTALS, DEAD_LETTERS, LETTER_FIELDS
from worker.store.script import Script, StoreLimits

HEAD_BYTES = 200
PAGE_LIMIT = 1000

# More would keep the event loop from its other work for milliseconds.
_HASHED_AT_ONCE = 1024 * 1024
_DROPPED_AT_ONCE = 500
_QUEUE_CHARACTERS = 500
_ABOUT = ("at", "last_at", "times", "queue", "reason", "source", "size", "head")
_ID = re.compile(r"[0-9a-f]{24}\Z")
_POSITION = re.compile(r"[0-9]{1,17}\Z")


class DeadLetters:
    """The dead letters behind one connection pool; safe for any number of tasks of one event loop.

    An absent or full store raises StoreUnavailable, what cannot be an id or a cursor InvalidName.
    """

    def __init__(self, redis: Redis, limits: StoreLimits = StoreLimits()) -> None:
        self._redis = redis
        self._bury = Script(redis, "bury", limits)
        self._unbury = Script(redis, "unbury", limits)

    async def add(self, queue: str, raw: bytes, reason: str, source: str) -> str:
        """Keep a message; returns the id of its letter, which the same message in the same queue has again.

        Once this has returned, the message may be acknowledged.
        """
        id = await _id_of(queue, raw)
        await self._bury(
            id,
            secrets.token_hex(6),
            encoding.text(queue[:_QUEUE_CHARACTERS]),
            encoding.text(encoding.shortened(reason)),
            encoding.text(encoding.shortened(source)),
            len(raw),
            raw[:HEAD_BYTES],
            raw,
        )
        return id

    async def list(self, limit: int = 50, before: str | None = None) -> DeadLetterPage:
        """Letters in the order in which they were first received, newest first; `before` is the `next` of a page."""
        if not 1 <= limit <= PAGE_LIMIT:
            raise ValueError(f"a page has 1 to {PAGE_LIMIT} letters, not {limit}")
        if before is not None and not _POSITION.match(before):
            raise InvalidName(f"not a cursor: {before[:40]!a}")
        newest = f"({before}" if before is not None else "+inf"
        async with self._redis.pipeline(transaction=True) as index:
            index.zrevrangebyscore(DEAD_LETTERS.name, newest, "-inf", start=0, num=limit + 1, withscores=True)
            index.zcard(DEAD_LETTERS.name)
            index.hmget(DEAD_LETTER_TOTALS.name, ["size", "dropped"])
            with store_errors():
                found, total, (size, dropped) = await index.execute()
        async with self._redis.pipeline(transaction=False) as hashes:
            for id, _ in found[:limit]:
                hashes.hmget(DEAD_LETTER.prefix + id.decode(), _fields())
            with store_errors():
                values = await hashes.execute() if found else []
        return DeadLetterPage(
            letters=tuple(
                _letter(id.decode(), about)
                for (id, _), about in zip(found[:limit], values, strict=True)
                if about[0] is not None  # else it was dropped since
            ),
            total=total,
            size=int(size or 0),
            dropped=int(dropped or 0),
            next=str(int(found[limit - 1][1])) if len(found) > limit else None,
        )

    async def get(self, id: str) -> tuple[DeadLetter, bytes] | None:
        """The letter and the whole message; None when it is not kept (any more)."""
        key = _key(id)
        with store_errors():
            found: Any = await self._redis.hmget(key, [*_fields(), LETTER_FIELDS["raw"]])
        *about, raw = found
        return None if raw is None else (_letter(id, about), bytes(raw))

    async def drop(self, id: str, *, times: int | None = None) -> bool:
        """Forget one; whether there was one. With `times`: only while it has come so often, in one step."""
        _key(id)
        return int(await self._unbury(1, "" if times is None else times, id)) == 1

    async def drop_all(self) -> int:
        """Forget as many as there are, the oldest first; how many those were."""
        left, dropped = await self.count(), 0
        while left > dropped:
            removed = int(await self._unbury(min(_DROPPED_AT_ONCE, left - dropped), ""))
            if not removed:
                break
            dropped += removed
        return dropped

    async def count(self) -> int:
        with store_errors():
            return int(await self._redis.zcard(DEAD_LETTERS.name))


def _fields() -> list[str]:
    return [LETTER_FIELDS[name] for name in _ABOUT]


def _key(id: str) -> str:
    if not _ID.match(id):
        raise InvalidName(f"not the id of a dead letter: {id[:80]!a}")
    return DEAD_LETTER.prefix + id


async def _id_of(queue: str, raw: bytes) -> str:
    def digest() -> str:
        found = hashlib.sha256(encoding.text(queue) + b"\0")
        found.update(raw)
        return found.hexdigest()[:24]

    return digest() if len(raw) <= _HASHED_AT_ONCE else await asyncio.to_thread(digest)


def _letter(id: str, about: list[Any]) -> DeadLetter:
    at, last_at, times, queue, reason, source, size, head = about
    return DeadLetter(
        id=id,
        at=int(at),
        last_at=int(last_at),
        times=int(times),
        queue=queue.decode("utf-8", "replace"),
        reason=reason.decode("utf-8", "replace"),
        source=source.decode("utf-8", "replace"),
        size=int(size),
        head=bytes(head),
    )
