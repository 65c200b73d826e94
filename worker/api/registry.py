"""Registry: scripts that are registered over the API, and the files that could be. Registering runs nothing."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from engine.errors import DeclarationError, Problem
from worker.api.auditing import done
from worker.api.body import Asked, documented_body, read_body, read_object
from worker.api.caller import Asker, Caller
from worker.api.context import Context, Here
from worker.api.documents import Document, known_time
from worker.api.problem import ApiError, documented
from worker.config.available import available, slug
from worker.config.registered import REGISTRATION_SCHEMA
from worker.model.registration import Registration
from worker.operations.register import AlreadyDeclared, approve, difference, register, unregister, update
from worker.operations.registered_scripts import named_files
from worker.store.registry import NotRegistered, TooManyApprovals, VersionReplaced

router = APIRouter(prefix="/scripts", tags=["scripts"])
_NAMED = {"name": {"type": "string", "description": "The script's name; made from the path without it."}}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    key: {**value, **(_NAMED if key == "properties" else {})} if isinstance(value, dict) else value
                    for key, value in REGISTRATION_SCHEMA.items()
                    if key != "$schema"
                },
                "example": {"path": "scripts/rotate-logs.sh", "parameters": [{"name": "days", "type": "number"}]},
            }
        },
    }
}


class AvailableFile(Document):
    """An executable file that no script names. `name`: what it could be called; null: say one. `size` in bytes."""

    path: str
    name: str | None
    kind: Literal["shell", "python", "node", "direct"]
    size: int
    modified_at: str


class AvailableFiles(Document):
    files: list[AvailableFile]
    total: int


class VersionInList(Document):
    """One version. `digest` is what an approval is of; `sha256` of the file, when it was registered, or of the body."""

    version: int
    digest: str
    sha256: str
    removed: bool
    registered_by: str
    registered_at: str


class Version(VersionInList):
    """`declaration` is what was registered, with the kind and SHA-256 of its file."""

    name: str
    declaration: dict[str, Any]


class History(Document):
    """Newest first."""

    name: str
    versions: list[VersionInList]
    total: int


class Difference(Document):
    """`diff` is a unified diff of the two declarations as JSON; empty when they are the same."""

    name: str
    from_version: int
    to_version: int
    diff: str


class AskedApproval(Asked):
    """`approval` is what `penstock scripts approve --print` prints."""

    approval: str


@router.get("/available", responses=documented(400, 401, 403, 429))
async def list_available(here: Here, caller: Asker) -> AvailableFiles:
    """The executable files below scripts/ of this server's deployment that no script names yet."""
    caller.needs("scripts:write")
    found = [
        AvailableFile(path=f.path, name=f.name, kind=f.kind, size=f.size, modified_at=known_time(f.modified_ms))  # type: ignore[arg-type]
        for f in available(here.settings.home, named_files(here.catalog))
    ]
    return AvailableFiles(files=found, total=len(found))


@router.post("", status_code=201, responses=documented(400, 401, 403, 409, 413, 415, 429), openapi_extra=_BODY)
async def register_script(request: Request, here: Here, caller: Asker) -> Version:
    """Register a script: a file of the deployment, or a body.

    Workers run it when their operators admit it: by config/allow.yaml, or by an approval.
    """
    asked = await read_object(request)
    name = _name_in(asked)
    if name is None:
        caller.needs("scripts:write")
        raise _wrong([Problem("a name is needed: nothing is left of the path's to make one of", "/name")])
    caller.needs(f"scripts:write:{name}")
    made = await _told(register(name, asked, caller.principal.name, here.registered, here.settings))
    await done(request, here, caller, made.name, status=201, digest=made.digest, detail=f"version {made.version}")
    return JSONResponse(  # type: ignore[return-value]
        _version(made).model_dump(), 201, headers={"Location": f"/api/v1/scripts/{made.name}"}
    )


@router.put("/{name}", responses=documented(400, 401, 403, 404, 409, 413, 415, 429), openapi_extra=_BODY)
async def update_script(name: str, request: Request, here: Here, caller: Asker) -> Version:
    """Change a registered script: a new version, which says everything anew. It needs an approval of its own."""
    _known(name, here, caller)
    asked = await read_object(request)
    if asked.pop("name", name) != name:
        raise _wrong([Problem("a script cannot be renamed", "/name")])
    made = await _told(update(name, asked, caller.principal.name, here.registered, here.settings))
    await done(request, here, caller, name, status=200, digest=made.digest, detail=f"version {made.version}")
    return _version(made)


@router.delete("/{name}", status_code=204, responses=documented(401, 403, 404, 409, 429))
async def unregister_script(name: str, request: Request, here: Here, caller: Asker) -> Response:
    """Remove a registered script. Its history stays; tasks that wait for it end as `script-disabled`."""
    _known(name, here, caller)
    made = await _told(unregister(name, caller.principal.name, here.registered))
    await done(request, here, caller, name, status=204, detail=f"version {made.version}")
    return Response(status_code=204)


@router.get("/{name}/versions", responses=documented(401, 403, 404, 429))
async def list_versions(name: str, here: Here, caller: Asker) -> History:
    """The versions of a registered script, also of one that was removed."""
    caller.needs(f"scripts:write:{name}")
    found = await here.registered.registry.history(_name(name))
    if not found:
        raise _unknown()
    return History(name=name, versions=[VersionInList(**_said(each)) for each in found], total=len(found))


@router.get("/{name}/versions/{number}", responses=documented(401, 403, 404, 429))
async def get_version(name: str, number: int, here: Here, caller: Asker) -> Version:
    caller.needs(f"scripts:write:{name}")
    return _version(await _told(here.registered.registry.version(_name(name), number)))


@router.get("/{name}/diff", responses=documented(400, 401, 403, 404, 429))
async def get_diff(
    name: str,
    here: Here,
    caller: Asker,
    from_: Annotated[int | None, Query(alias="from", ge=1, description="The one before `to`, if not given.")] = None,
    to: Annotated[int | None, Query(ge=1, description="The newest, if not given.")] = None,
) -> Difference:
    """What changed between two versions: of the newest and the one before it, unless others are given."""
    caller.needs(f"scripts:write:{name}")
    registry = here.registered.registry
    if to is None:
        to = max((each.version for each in await registry.history(_name(name))), default=1)
    # The first has none before it: nothing changed.
    from_ = max(to - 1, 1) if from_ is None else from_
    one, other = [await _told(registry.version(_name(name), each)) for each in (from_, to)]
    return Difference(name=name, from_version=from_, to_version=to, diff=difference(one, other))


@router.post(
    "/{name}/approvals",
    status_code=201,
    response_model=None,
    responses=documented(400, 401, 403, 404, 409, 413, 415, 422, 429),
    openapi_extra=documented_body(AskedApproval),
)
async def approve_script(name: str, request: Request, here: Here, caller: Asker) -> Response:
    """Keep an approval that somebody signed elsewhere. Workers verify it; this server does not."""
    _known(name, here, caller)
    asked = await read_body(request, AskedApproval)
    found = await _told(approve(name, asked.approval, here.registered))
    await done(request, here, caller, name, status=201, digest=found.digest, detail=f"version {found.version}")
    return Response(status_code=201)


def _known(name: str, here: Context, caller: Caller) -> None:
    """Raises ApiError for one that cannot be changed here; NotAllowed before that."""
    caller.needs(f"scripts:write:{name}")
    if here.catalog.declares(name):
        raise ApiError(409, "declared-in-file", "a file of the deployment declares this script; it is read-only here")
    if name not in here.catalog.scripts and name not in here.registered.registrations:
        raise _unknown()


def _name(name: str) -> str:
    if slug(name) != name:
        raise _unknown()
    return name


async def _told(call: Any) -> Registration:
    try:
        found: Registration = await call
    except DeclarationError as error:
        raise _wrong(error.problems) from None
    except NotRegistered:
        raise _unknown() from None
    except (AlreadyDeclared, VersionReplaced) as error:
        raise ApiError(409, "conflict", str(error)) from None
    except TooManyApprovals as error:
        raise ApiError(409, "too-many-approvals", str(error)) from None
    return found


def _wrong(problems: Any) -> ApiError:
    return ApiError(400, "invalid-registration", "the script cannot be registered so", problems=problems)


def _unknown() -> ApiError:
    return ApiError(404, "unknown-script", "there is no such registered script")


def _name_in(asked: dict[str, Any]) -> str | None:
    """What a new script is to be called; taken out of the body."""
    given, path = asked.pop("name", None), asked.get("path")
    if given is None and isinstance(path, str):
        given = slug(os.path.splitext(os.path.basename(path))[0])
    return given if isinstance(given, str) and given else None


def _said(each: Registration) -> dict[str, Any]:
    return {
        "version": each.version,
        "digest": each.digest,
        "sha256": each.sha256,
        "removed": each.removed,
        "registered_by": each.by,
        "registered_at": known_time(each.at),
    }


def _version(each: Registration) -> Version:
    return Version(**_said(each), name=each.name, declaration=dict(each.declaration))
