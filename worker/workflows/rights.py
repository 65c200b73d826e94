"""Rights: what whoever started a workflow may do by now."""

from __future__ import annotations

from collections.abc import Mapping

from worker.auth.roles import scopes_of
from worker.model.access import Principal, shared
from worker.store.api_keys import ApiKeys
from worker.workflows.drive import Rights


def current_rights(keys: ApiKeys, roles: Mapping[str, frozenset[str]]) -> Rights:
    """For the holder of an API key what the key may do now, and no more than it might at the start.

    For others what was proved at the start: a token or a password is not shown again.
    """

    async def look(principal: Principal) -> Principal | None:
        if principal.key_id is None:
            return principal
        key, now = await keys.look_up(principal.key_id)
        if key is None or not key.works(now):
            return None
        held = key.scopes | scopes_of((key.role,) if key.role else (), roles)
        return Principal(principal.name, principal.kind, shared(principal.scopes, held), key.id)

    return look
