"""Workers: who works, what each does and runs, and what it is asked for. A worker hears it within a second."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from worker.api.auditing import done
from worker.api.body import documented_body, read_body
from worker.api.caller import Asker, Caller
from worker.api.context import Context, Here
from worker.api.problem import ApiError, documented
from worker.api.tasks import AskedNothing
from worker.api.worker_documents import (
    AskedWish,
    StateName,
    WorkerDocument,
    WorkerList,
    WorkerLog,
    in_list,
    of_conflict,
    of_worker,
)
from worker.model.worker import Worker
from worker.operations.fleet import ask, fleet, remove, that_run
from worker.store import InvalidName
from worker.store.worker_asks import MOST_LINES, PATIENCE_S, WorkerAsks
from worker.store.workers import UnknownWorker, WorkerLives, Workers

router = APIRouter(prefix="/workers", tags=["workers"])
_READS = documented(400, 401, 403, 404, 429, 503)
_CHANGES = documented(400, 401, 403, 404, 413, 415, 422, 429, 503)
_CONFLICTS_MOST = 100


@router.get("", responses=documented(400, 401, 403, 429, 503))
async def list_workers(
    here: Here,
    caller: Asker,
    state: Annotated[StateName | None, Query(description="Only those.")] = None,
    script: Annotated[str | None, Query(pattern=r"^[!-~]{1,200}$", description="Only those that run it.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
    cursor: Annotated[
        str | None, Query(pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$", description="`next` of a page.")
    ] = None,
) -> WorkerList:
    """The workers by name, also those that are gone, and what those of one queue disagree on."""
    if script is not None:
        caller.needs(f"scripts:read:{script}")
    found = await fleet(Workers(here.redis))
    runs = None if script is None else await that_run(Workers(here.redis), script)
    readable = [worker for worker in found.workers if caller.principal.may(f"workers:read:{worker.name}")]
    if not readable:
        caller.needs("workers:read")
    chosen = [
        worker
        for worker in readable
        if (state is None or worker.state == state) and (runs is None or worker.name in runs)
    ]
    rest = [worker for worker in chosen if cursor is None or worker.name > cursor]
    names = {worker.name for worker in readable}
    told = [
        conflict
        for conflict in found.conflicts
        if caller.may_read_script(conflict.script) and names.issuperset(name for name, _ in conflict.digests)
    ]
    return WorkerList(
        workers=[in_list(worker, tasks=_all_tasks(caller)) for worker in rest[:limit]],
        conflicts=[of_conflict(conflict) for conflict in told[:_CONFLICTS_MOST]],
        total=len(chosen),
        next=rest[limit - 1].name if len(rest) > limit else None,
    )


@router.get("/{name}", responses=_READS)
async def get_worker(name: str, here: Here, caller: Asker) -> WorkerDocument:
    """One worker, with the scripts that it runs."""
    caller.needs(f"workers:read:{name}")
    try:
        return _document(await Workers(here.redis).get(name), caller)
    except (UnknownWorker, InvalidName):
        raise _unknown() from None


@router.get("/{name}/log", responses=documented(400, 401, 403, 404, 409, 429, 503))
async def read_worker_log(
    name: str,
    request: Request,
    here: Here,
    caller: Asker,
    lines: Annotated[int, Query(ge=1, le=MOST_LINES, description="The newest so many.")] = 100,
) -> WorkerLog:
    """The end of the worker's own log, which it reads itself. 409 when it does not answer within five seconds."""
    caller.needs(f"workers:logs:{name}")
    try:
        await Workers(here.redis).get(name)
        text = await WorkerAsks(here.redis).log(name, lines)
    except (UnknownWorker, InvalidName):
        raise _unknown() from None
    except TimeoutError:
        raise ApiError(409, "no-answer", f"the worker did not answer within {PATIENCE_S} seconds") from None
    if text is None:
        raise ApiError(409, "no-log", "the worker keeps no log file: log.file in its settings names one")
    await done(request, here, caller, name, status=200)
    return WorkerLog(name=name, lines=text.splitlines())


@router.post("/{name}/drain", responses=_CHANGES, openapi_extra=documented_body(AskedWish, example={"why": "a disk"}))
async def drain_worker(name: str, request: Request, here: Here, caller: Asker) -> WorkerDocument:
    """Let it finish what runs and take nothing more, until it is undrained, also over a restart."""
    return await _ask(name, "drain", request, here, caller)


@router.post("/{name}/undrain", responses=_CHANGES, openapi_extra=documented_body(AskedNothing))
async def undrain_worker(name: str, request: Request, here: Here, caller: Asker) -> WorkerDocument:
    """Let it take tasks again after a drain."""
    return await _ask(name, "undrain", request, here, caller)


@router.post("/{name}/pause", responses=_CHANGES, openapi_extra=documented_body(AskedWish))
async def pause_worker(name: str, request: Request, here: Here, caller: Asker) -> WorkerDocument:
    """Let it take nothing for a while, until it is resumed. What is addressed to it waits for it."""
    return await _ask(name, "pause", request, here, caller)


@router.post("/{name}/resume", responses=_CHANGES, openapi_extra=documented_body(AskedNothing))
async def resume_worker(name: str, request: Request, here: Here, caller: Asker) -> WorkerDocument:
    """Let it take tasks again after a pause. One without disk or memory resumes by itself."""
    return await _ask(name, "resume", request, here, caller)


@router.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    responses=documented(400, 401, 403, 404, 409, 429, 503),
)
async def remove_worker(name: str, request: Request, here: Here, caller: Asker) -> Response:
    """Forget a worker that is gone, and what was asked of it."""
    caller.needs(f"workers:write:{name}")
    try:
        await remove(Workers(here.redis), here.publisher, name)
    except (UnknownWorker, InvalidName):
        raise _unknown() from None
    except WorkerLives:
        raise ApiError(409, "worker-lives", "the worker was heard of a moment ago") from None
    await done(request, here, caller, name, status=204)
    return Response(status_code=204)


async def _ask(name: str, verb: str, request: Request, here: Context, caller: Caller) -> WorkerDocument:
    caller.needs(f"workers:write:{name}")
    why = ""
    if verb in ("drain", "pause"):
        why = (await read_body(request, AskedWish)).why
    else:
        await read_body(request, AskedNothing)
    try:
        found = await ask(Workers(here.redis), name, verb, by=caller.principal.name, why=why)
    except (UnknownWorker, InvalidName):
        raise _unknown() from None
    await done(request, here, caller, name, status=200, detail=why)
    return _document(found, caller)


def _document(worker: Worker, caller: Caller) -> WorkerDocument:
    return of_worker(worker, tasks=_all_tasks(caller), may_read=caller.may_read_script)


def _all_tasks(caller: Caller) -> bool:
    """Who may read the tasks of some scripts only learns nothing of the others'."""
    return caller.principal.may("tasks:read") and caller.principal.may("scripts:read")


def _unknown() -> ApiError:
    return ApiError(404, "unknown-worker", "there is no such worker")
