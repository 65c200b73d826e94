"""Identity: as whom a schedule acts now, if whoever made it still may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from engine.errors import PenstockError
from worker.auth.roles import scopes_of
from worker.model.access import Principal
from worker.model.api_key import ApiKey

# A key that was rotated has a successor, and that may have one.
_SUCCESSORS = 20


class KeyLookUp(Protocol):
    async def look_up(self, id: str, /) -> tuple[ApiKey | None, int]:
        """The key, and the time in milliseconds that its expiry is compared with."""


class OwnerGone(PenstockError):
    """Whoever made the schedule may do nothing any more; the message says why."""


async def acting(owner: Principal, keys: KeyLookUp, roles: Mapping[str, frozenset[str]]) -> tuple[Principal, Principal]:
    """The principal as it was when the schedule was made, and as it is now: what is done has to be allowed to both.

    An API key has to work still, or the one has to by which it was replaced before it expired. Of other proofs only
    what they said is known. Raises OwnerGone.
    """
    if owner.key_id is None:
        return owner, owner
    id: str | None = owner.key_id
    for _ in range(_SUCCESSORS):
        key, now = await keys.look_up(id) if id else (None, 0)
        if key is None:
            raise OwnerGone(f"the key {owner.key_id}, by which it was made, is not there any more")
        if key.works(now):
            of_role = scopes_of((key.role,) if key.role else (), roles)
            return owner, Principal(owner.name, owner.kind, key.scopes | of_role, key.id)
        if key.revoked_at is not None or key.replaced_by is None:
            raise OwnerGone(f"the key {key.id}, by which it was made, is {key.state(now)}")
        id = key.replaced_by
    raise OwnerGone(f"the key {owner.key_id}, by which it was made, was replaced too often")
