"""API keys in the store: made, found, rotated, revoked. Compares no secret; that is worker.auth's.

A key is never removed: what is revoked or expired stays, so that the audit can be understood.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis

from engine.hiding import Hiding
from worker.model.api_key import KEY_ID, RANDOM_BYTES, ApiKey, NewKey, id_in, key_digest, key_text
from worker.store import encoding
from worker.store.errors import InvalidName, StoreError, StoreUnavailable, store_errors
from worker.store.hashes import read_hash_and_time
from worker.store.keys import API_KEY, API_KEY_FIELDS, API_KEYS
from worker.store.script import Script, StoreLimits

# The last use of a key is kept as coarse as this, and written as rarely.
USED_MS = 5 * 60_000
_MADE_BY_CHARACTERS = 200
_TRIES = 5


class CreatedKey(Hiding, frozen=True):
    """A key that was just made, and its text, which nobody can ask for again."""

    HIDDEN = frozenset({"text"})

    key: ApiKey
    text: str


class UnknownKey(StoreError):
    """No key with that id that could be changed so: unknown, revoked, expired or rotated already."""


class ApiKeys:
    """The keys behind one connection pool; safe for any number of tasks of one event loop.

    An absent or full store raises StoreUnavailable, what cannot be an id InvalidName.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._create = Script(redis, "key_create", StoreLimits())
        self._mark = Script(redis, "key_mark", StoreLimits())

    async def create(self, new: NewKey) -> CreatedKey:
        """Make a key. A call whose answer was lost may have made one that nobody knows: it can do no harm."""
        created = await self._made(new)
        assert created is not None
        return created

    async def create_first(self, new: NewKey, text: str) -> CreatedKey | None:
        """Make the key of that text (see `fresh_text`), unless there is or ever was one: then None."""
        return await self._made(new, first=text)

    async def rotate(self, id: str, *, overlap_s: float, ttl_s: float | None = None) -> CreatedKey:
        """Make a key with the name, scopes and role of another, which works for `overlap_s` more.

        It lives for `ttl_s`, or without that as long as the old one was meant to. Raises UnknownKey for one that is
        revoked, expired or was rotated before.
        """
        if not 0 <= overlap_s <= 10**9:
            raise ValueError(f"not a duration in seconds: {overlap_s}")
        for _ in range(_TRIES):
            text = fresh_text()
            answer, _ = await self._create(
                id_in(text) or "",
                key_digest(text),
                *("", "", "", "" if ttl_s is None else round(ttl_s * 1000), ""),
                "",
                _checked(id),
                round(overlap_s * 1000),
            )
            if answer == b"created":
                return await self._read_back(text)
            if answer == b"gone":
                raise UnknownKey(f"no active key {id} that was not rotated before")
        raise StoreError("no free id for a key was found")

    async def revoke(self, id: str) -> bool:
        """From now on it does not work. False for an unknown one; twice is the same as once."""
        return int(await self._mark(_checked(id), "revoked", USED_MS)) == 1

    async def touch(self, id: str) -> None:
        """It was used now; kept rounded down to USED_MS. Who calls that often does it for nothing.

        A store that is full or read-only keeps nothing, and that is no reason to refuse the key.
        """
        with suppress(StoreUnavailable):
            await self._mark(_checked(id), "used", USED_MS)

    async def get(self, id: str) -> ApiKey | None:
        key, _ = await self.look_up(id)
        return key

    async def look_up(self, id: str) -> tuple[ApiKey | None, int]:
        """The key, and the time by the store's clock in milliseconds, in one round trip."""
        values, now = await read_hash_and_time(self._redis, _key(id))
        return _api_key(id, values), now

    async def list(self) -> tuple[ApiKey, ...]:
        """All keys, the newest first."""
        with store_errors():
            found: Any = await self._redis.zrevrange(API_KEYS.name, 0, -1)
        ids = [id.decode() for id in found]
        async with self._redis.pipeline(transaction=False) as pipeline:
            for id in ids:
                pipeline.hgetall(_key(id))
            with store_errors():
                values = await pipeline.execute() if ids else []
        keys = (_api_key(id, value) for id, value in zip(ids, values, strict=True))
        return tuple(key for key in keys if key is not None)

    async def now(self) -> int:
        """The store's clock in milliseconds."""
        with store_errors():
            seconds, microseconds = await self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def _made(self, new: NewKey, *, first: str | None = None) -> CreatedKey | None:
        for _ in range(_TRIES):
            text = first or fresh_text()
            answer, _ = await self._create(
                id_in(text) or "",
                key_digest(text),
                encoding.text(new.name),
                " ".join(sorted(new.scopes)),
                new.role or "",
                "" if new.ttl_s is None else round(new.ttl_s * 1000),
                encoding.text(new.made_by[:_MADE_BY_CHARACTERS]),
                "first" if first else "",
                "",
                0,
            )
            if answer == b"created":
                return await self._read_back(text)
            if first:
                return None
        raise StoreError("no free id for a key was found")

    async def _read_back(self, text: str) -> CreatedKey:
        key = await self.get(id_in(text) or "")
        if key is None:
            raise StoreError("a key that was just made is gone")
        return CreatedKey(key, text)


def fresh_text() -> str:
    return key_text(secrets.token_bytes(RANDOM_BYTES))


def _checked(id: str) -> str:
    if not KEY_ID.match(id):
        raise InvalidName(f"not the id of an API key: {id[:80]!a}")
    return id


def _key(id: str) -> str:
    return API_KEY.prefix + _checked(id)


def _api_key(id: str, values: Mapping[bytes, bytes]) -> ApiKey | None:
    if not values:
        return None

    def text(name: str) -> str | None:
        value = values.get(API_KEY_FIELDS[name].encode())
        return None if value is None else value.decode("utf-8", "replace")

    def number(name: str) -> int | None:
        value = text(name)
        return int(value) if value else None

    return ApiKey(
        id=id,
        name=text("name") or "",
        digest=text("digest") or "",
        created_at=number("created") or 0,
        scopes=frozenset((text("scopes") or "").split()),
        role=text("role") or None,
        expires_at=number("expires"),
        revoked_at=number("revoked"),
        last_used_at=number("used"),
        replaced_by=text("replaced_by"),
        made_by=text("made_by") or "",
    )
