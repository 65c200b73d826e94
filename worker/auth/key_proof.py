"""Key proof: an API key against the digest that is kept of it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Protocol

from worker.auth.denied import Denied
from worker.auth.roles import scopes_of
from worker.model.access import Principal
from worker.model.api_key import ApiKey, id_in, key_digest

# What is compared with when there is no such key, so that an unknown id takes as long as a wrong secret.
_DUMMY = key_digest("")
# The last use is written at most so often for each key.
_TOUCH_MS = 5 * 60_000
_WRONG = "the key or token is not valid"


class KeySource(Protocol):
    """Where keys are kept."""

    async def look_up(self, id: str, /) -> tuple[ApiKey | None, int]:
        """The key, and the time in milliseconds that its expiry is compared with."""

    async def touch(self, id: str, /) -> None:
        """It was used now."""


class KeyProof:
    """Every call looks the key up, so that a revocation holds at once."""

    def __init__(self, keys: KeySource, roles: Mapping[str, frozenset[str]]) -> None:
        self._keys = keys
        self._roles = roles
        self._touched: dict[str, int] = {}

    async def prove(self, text: str) -> Principal:
        """Raises Denied, in the same words whatever is wrong."""
        id = id_in(text)
        if id is None:
            raise Denied(_WRONG, kind="key", detail="no API key by its form")
        key, now = await self._keys.look_up(id)
        same = hmac.compare_digest(key_digest(text), key.digest if key else _DUMMY)
        if key is None or not same:
            raise Denied(_WRONG, kind="key", tried=id, detail="wrong secret" if key else "unknown key")
        return await self._principal(key, now)

    async def prove_id(self, id: str) -> Principal:
        """Who holds the key with that id, for whom has proved it before. Raises Denied when it works no more."""
        key, now = await self._keys.look_up(id)
        if key is None:
            raise Denied(_WRONG, kind="key", tried=id, detail="unknown key")
        return await self._principal(key, now)

    async def _principal(self, key: ApiKey, now: int) -> Principal:
        if not key.works(now):
            raise Denied(_WRONG, kind="key", tried=key.id, detail=f"the key is {key.state(now)}")
        await self._touch(key, now)
        roles = (key.role,) if key.role else ()
        return Principal(key.name, "key", key.scopes | scopes_of(roles, self._roles), key.id, key.expires_at)

    async def _touch(self, key: ApiKey, now: int) -> None:
        last = max(key.last_used_at or 0, self._touched.get(key.id, 0))
        if not 0 <= now - last < _TOUCH_MS:
            # First, so that many calls at the same time write once.
            self._touched[key.id] = now
            await self._keys.touch(key.id)
