"""Me: who the caller is taken for, and what they may do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from worker.api.caller import Asker
from worker.api.documents import Document, time
from worker.api.problem import documented
from worker.model.access import Principal

router = APIRouter(tags=["me"])


class Me(Document):
    """`kind` is the proof: `key`, `jwt` or `basic`. `scopes` are with those of its roles. `expiresAt`: of the proof."""

    name: str
    kind: str
    scopes: list[str]
    key_id: str | None
    expires_at: str | None


@router.get("/me", responses=documented(400, 401, 429))
async def get_me(caller: Asker) -> Me:
    """Whose key or token this is. Any proof will do."""
    return Me(**facts_of(caller.principal))


def facts_of(principal: Principal) -> dict[str, Any]:
    """The fields of `Me`, which a session has too."""
    return {
        "name": principal.name,
        "kind": principal.kind,
        "scopes": sorted(principal.scopes),
        "key_id": principal.key_id,
        "expires_at": time(principal.expires_at),
    }
