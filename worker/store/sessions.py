"""Sessions in the store: begun, found, ended; each is gone by itself in time. Judges none; that is worker.auth's."""

from __future__ import annotations

import json
import re
from typing import Any

from redis.asyncio import Redis

from worker.model.session import LIFETIME_S, Session
from worker.store.errors import InvalidName, store_errors
from worker.store.keys import SESSION

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class Sessions:
    """By the digests of their texts. An absent store raises StoreUnavailable, what is no digest InvalidName."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def begin(self, digest: str, session: Session) -> None:
        """From now on it is there, for LIFETIME_S."""
        value = json.dumps({"kind": session.kind, "holder": session.holder, "stamp": session.stamp})
        with store_errors():
            await self._redis.set(_key(digest), value, ex=LIFETIME_S)

    async def look_up(self, digest: str) -> Session | None:
        with store_errors():
            value: Any = await self._redis.get(_key(digest))
        return None if value is None else Session(**json.loads(value))

    async def end(self, digest: str) -> None:
        """From now on it is not there. Twice is the same as once."""
        with store_errors():
            await self._redis.delete(_key(digest))


def _key(digest: str) -> str:
    if not _DIGEST.match(digest):
        raise InvalidName("not the digest of a session")
    return SESSION.prefix + digest
