"""Local keyring: the API keys in the store of the deployment, and the record of what was done with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from worker.cli.deployment import store_failures
from worker.cli.failure import unknown
from worker.cli.keyring import MadeKey, SeenKey, about, not_active
from worker.cli.local import entry, local_principal, record
from worker.model.access import ROLES
from worker.store import InvalidName
from worker.store.api_keys import ApiKeys, UnknownKey

if TYPE_CHECKING:
    from worker.config import Settings
    from worker.daemons.wiring import Store
    from worker.model.api_key import NewKey


class LocalKeyring:
    """For as long as its store is open."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._keys = ApiKeys(store.redis)

    async def create(self, new: NewKey) -> MadeKey:
        known = [*ROLES, *self._settings.auth.roles]
        if new.role is not None and new.role not in known:
            raise unknown("role", new.role, known)
        with store_failures():
            created = await self._keys.create(replace(new, made_by=local_principal().name))
            await self._record("keys.create", created.key.id, detail=about(created.key))
        return MadeKey(created.key, created.text)

    async def list(self) -> tuple[SeenKey, ...]:
        with store_failures():
            keys, now = await self._keys.list(), await self._keys.now()
        return tuple(SeenKey(key, key.state(now)) for key in keys)

    async def revoke(self, key_id: str) -> bool:
        with store_failures():
            try:
                done = await self._keys.revoke(key_id)
            except InvalidName:
                done = False
            await self._record("keys.revoke", key_id, done=done)
        return done

    async def rotate(self, key_id: str, *, overlap_s: float, ttl_s: float | None) -> MadeKey:
        with store_failures():
            try:
                created = await self._keys.rotate(key_id, overlap_s=overlap_s, ttl_s=ttl_s)
            except (InvalidName, UnknownKey):
                await self._record("keys.rotate", key_id, done=False)
                raise not_active(key_id) from None
            await self._record("keys.rotate", key_id, detail=f"by {created.key.id}, {about(created.key)}")
        return MadeKey(created.key, created.text)

    async def _record(self, action: str, target: str, *, done: bool = True, detail: str = "") -> None:
        await record(self._settings, self._store, [entry(action, target, done=done, detail=detail)])
