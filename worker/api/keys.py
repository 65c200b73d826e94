"""Keys: the API keys of the deployment. Who makes, rotates or revokes one has to hold all that it may do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from engine.errors import Problem
from engine.script.quantities import parse_duration
from worker.api.auditing import done
from worker.api.body import Asked, documented_body, read_body
from worker.api.caller import Asker, Caller
from worker.api.context import Context, Here
from worker.api.documents import Document, known_time, time
from worker.api.problem import ApiError, documented
from worker.auth.roles import scopes_of
from worker.model.access import ROLES
from worker.model.api_key import KEY_ID, NAME_CHARACTERS, SCOPES, ApiKey, NewKey, WrongNewKey
from worker.operations.authorise import check_grant
from worker.store.api_keys import CreatedKey, UnknownKey

router = APIRouter(prefix="/keys", tags=["keys"])
_WRITE = "keys:write"
_DAY = "1d"
_Duration = Annotated[str, Field(min_length=1, max_length=64)]


class AskedKey(Asked):
    """`expiresIn` is a duration such as `90d`; without it the key works until it is revoked."""

    name: Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS)]
    scopes: Annotated[list[str], Field(max_length=SCOPES)] = []
    role: str | None = None
    expires_in: _Duration | None = None


class AskedRotation(Asked):
    """`overlap`: how long the old one works. Without `expiresIn` the new one lives as long as the old was meant to."""

    overlap: _Duration = _DAY
    expires_in: _Duration | None = None


class KeyDocument(Document):
    """An API key without its secret part. `lastUsedAt` is rounded down to five minutes."""

    id: str
    name: str
    state: Literal["active", "revoked", "expired"]
    scopes: list[str]
    role: str | None
    created_at: str
    created_by: str | None
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None
    replaced_by: str | None


class NewKeyDocument(KeyDocument):
    """`key` is shown this once."""

    key: str


class KeyList(Document):
    keys: list[KeyDocument]
    total: int


@router.get("", responses=documented(400, 401, 403, 429))
async def list_keys(here: Here, caller: Asker) -> KeyList:
    """All keys, newest first, also those that are revoked or expired; never the secret part."""
    caller.needs(_WRITE)
    now = await here.keys.now()
    keys = [KeyDocument(**_fields(key, now)) for key in await here.keys.list()]
    return KeyList(keys=keys, total=len(keys))


@router.post(
    "",
    status_code=201,
    responses=documented(400, 401, 403, 413, 415, 422, 429),
    openapi_extra=documented_body(AskedKey, example={"name": "ci", "scopes": ["tasks:read"], "expiresIn": "90d"}),
)
async def create_key(request: Request, here: Here, caller: Asker) -> NewKeyDocument:
    """Make a key, and show it this once. Nobody hands on what they do not hold."""
    caller.needs(_WRITE)
    asked = await read_body(request, AskedKey)
    if asked.role is not None and asked.role not in {*ROLES, *here.settings.auth.roles}:
        raise _refused("there is no such role", "/role")
    ttl_s = _seconds(asked.expires_in, "/expiresIn")
    try:
        new = NewKey(asked.name, frozenset(asked.scopes), asked.role, ttl_s, caller.principal.name)
    except WrongNewKey as error:
        raise _refused(str(error), f"/{error.member}") from None
    _check_holds(caller, here, new.scopes, new.role)
    created = await here.keys.create(new)
    await done(request, here, caller, created.key.id, status=201, detail=_about(created.key))
    return _shown_once(created)


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    responses=documented(400, 401, 403, 404, 409, 413, 415, 422, 429),
    openapi_extra=documented_body(AskedRotation),
)
async def rotate_key(key_id: str, request: Request, here: Here, caller: Asker) -> NewKeyDocument:
    """Make a key in the place of another, with its name, scopes and role, and show it this once."""
    old = await _changeable(key_id, here, caller)
    asked = await read_body(request, AskedRotation)
    overlap_s = _seconds(asked.overlap, "/overlap", least=0)
    ttl_s = _seconds(asked.expires_in, "/expiresIn")
    assert overlap_s is not None
    try:
        created = await here.keys.rotate(old.id, overlap_s=overlap_s, ttl_s=ttl_s)
    except UnknownKey:
        raise ApiError(409, "not-active", "the key is revoked, expired or was rotated before") from None
    await done(request, here, caller, old.id, status=201, detail=f"by {created.key.id}, {_about(created.key)}")
    return _shown_once(created)


@router.delete(
    "/{key_id}",
    status_code=204,
    response_class=Response,
    responses=documented(400, 401, 403, 404, 429),
)
async def revoke_key(key_id: str, request: Request, here: Here, caller: Asker) -> Response:
    """End a key: from the next call on it is refused. Twice is the same as once."""
    key = await _changeable(key_id, here, caller)
    await here.keys.revoke(key.id)
    here.streams.end(key.id)
    await done(request, here, caller, key.id, status=204, detail=_about(key))
    return Response(status_code=204)


async def _changeable(key_id: str, here: Context, caller: Caller) -> ApiKey:
    """A key that the caller could have made. Who rotates one learns its text; who revokes one locks somebody out."""
    caller.needs(_WRITE)
    key = await here.keys.get(key_id) if KEY_ID.match(key_id) else None
    if key is None:
        raise ApiError(404, "unknown-key", "there is no such key")
    if key.id != caller.principal.key_id:
        _check_holds(caller, here, key.scopes, key.role)
    return key


def _check_holds(caller: Caller, here: Context, scopes: frozenset[str], role: str | None) -> None:
    """Raises NotAllowed. A role that is not declared may be some day, as anything."""
    own = here.settings.auth.roles
    of_role = scopes_of((role,), own) if role else frozenset()
    if role and role not in {*ROLES, *own}:
        of_role = frozenset({"*"})
    check_grant(caller.principal, scopes | of_role)


def _seconds(text: str | None, place: str, *, least: float = 1.0) -> float | None:
    if text is None:
        return None
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise _refused(str(error), place) from None
    if found < least:
        raise _refused(f"expected {least:g} s at least", place)
    return found


def _refused(message: str, place: str) -> ApiError:
    return ApiError(
        422, "invalid-body", "the body has other content than asked for", problems=[Problem(message, place)]
    )


def _about(key: ApiKey) -> str:
    return f"{key.name}: {' '.join([*([key.role] if key.role else []), *sorted(key.scopes)])}"


def _shown_once(created: CreatedKey) -> NewKeyDocument:
    return NewKeyDocument(**_fields(created.key, created.key.created_at), key=created.text)


def _fields(key: ApiKey, now: int) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "state": key.state(now),
        "scopes": sorted(key.scopes),
        "role": key.role,
        "created_at": known_time(key.created_at),
        "created_by": key.made_by or None,
        "expires_at": time(key.expires_at),
        "revoked_at": time(key.revoked_at),
        "last_used_at": time(key.last_used_at),
        "replaced_by": key.replaced_by,
    }
