"""Schedules: what runs by itself. Beats submit; here schedules are read, tried, kept, switched and triggered."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from engine.errors import DeclarationError, Problem
from worker.api.auditing import done
from worker.api.body import documented_body, read_body
from worker.api.caller import Asker, Caller
from worker.api.context import Context, Here
from worker.api.documents import TASKS, in_list, known_time
from worker.api.problem import ApiError, documented
from worker.api.schedule_documents import (
    AskedChange,
    AskedFields,
    AskedPreview,
    AskedSchedule,
    Preset,
    Presets,
    Preview,
    ScheduleDocument,
    ScheduleList,
    ScheduleRuns,
    ScheduleTasks,
    Triggered,
    of_view,
)
from worker.api.tasks import AskedNothing
from worker.api.workflow_documents import RUNS, run_in_list
from worker.model.schedule import Schedule
from worker.model.sealing import Unsealable
from worker.schedules.amend import amended
from worker.schedules.change import Changing, ReadOnly, UnknownSchedule
from worker.schedules.cron import PRESETS, Cron, CronError
from worker.schedules.decide import Timing
from worker.schedules.read import time_zone
from worker.schedules.submitting import Submitting, trigger
from worker.schedules.target import NotSubmitted
from worker.schedules.view import ScheduleView, views
from worker.store.api_keys import ApiKeys
from worker.store.schedules import ScheduleChanged, ScheduleExists, TooManySchedules

_logger = structlog.get_logger("penstock.api")
router = APIRouter(prefix="/schedules", tags=["schedules"])
_SCHEDULES = "/api/v1/schedules"
_READS = documented(400, 401, 403, 404, 429, 503)
_CHANGES = documented(400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
_DELETES = documented(400, 401, 403, 404, 409, 429, 503)
_EXAMPLE = {"name": "nightly", "script": "checksum-tree", "cronExpression": "0 3 * * *", "payload": {"folder": "docs"}}


@router.get("", responses=documented(400, 401, 403, 429, 503))
async def list_schedules(here: Here, caller: Asker) -> ScheduleList:
    """The schedules that the caller may read, by name."""
    found = [schedule for schedule in await _changing(here).all() if _may_read(caller, schedule)]
    if not found:
        caller.needs("schedules:read")
    documents = [of_view(view) for view in await _views(here, found)]
    return ScheduleList(schedules=documents, total=len(documents))


@router.get("/presets", responses=documented(400, 401, 403, 429))
async def list_presets(here: Here, caller: Asker) -> Presets:
    """Short names for common expressions."""
    caller.needs("schedules:read")
    return Presets(presets=[Preset(name=name, cron_expression=text) for name, text in PRESETS.items()])


@router.post(
    "/preview",
    responses=documented(400, 401, 403, 413, 415, 422, 429),
    openapi_extra=documented_body(AskedPreview, example={"cronExpression": "@daily", "timezone": "Europe/Berlin"}),
)
async def preview_schedule(request: Request, here: Here, caller: Asker) -> Preview:
    """When an expression is due next. Nothing is kept."""
    caller.needs("schedules:read")
    asked = await read_body(request, AskedPreview)
    problems = []
    try:
        cron = Cron.parse(asked.cron_expression)
    except CronError as error:
        problems += [Problem(each, "/cronExpression") for each in error.problems]
    try:
        zone = time_zone(asked.timezone)
    except ValueError as error:
        problems.append(Problem(str(error), "/timezone"))
    if problems:
        raise _invalid(problems)
    now = round(datetime.now(UTC).timestamp() * 1000)
    times = Timing(cron, zone, None, None).next(now, asked.count)
    return Preview(timezone=zone.key, times=[known_time(at) for at in times])


@router.post(
    "",
    status_code=201,
    response_model=ScheduleDocument,
    responses=documented(400, 401, 403, 409, 413, 415, 422, 429, 503),
    openapi_extra=documented_body(AskedSchedule, example=_EXAMPLE),
)
async def create_schedule(request: Request, here: Here, caller: Asker) -> JSONResponse:
    """Make a schedule. It acts as the caller, who has to be allowed to run what it runs, now and whenever it is due."""
    if not any(scope.startswith("schedules:write:") for scope in caller.principal.scopes):
        caller.needs("schedules:write")
    asked = await read_body(request, AskedSchedule)
    caller.needs(f"schedules:write:{asked.name}")
    made = await _kept(here, caller, asked.name, asked.written(), new=True)
    await done(request, here, caller, made.name, status=201)
    document = (await _document(here, made)).model_dump()
    return JSONResponse(document, 201, headers={"Location": f"{_SCHEDULES}/{made.name}"})


@router.get("/{name}", responses=_READS)
async def get_schedule(name: str, here: Here, caller: Asker) -> ScheduleDocument:
    return await _document(here, await _readable(here, caller, name))


@router.put("/{name}", responses=_CHANGES, openapi_extra=documented_body(AskedFields))
async def update_schedule(name: str, request: Request, here: Here, caller: Asker) -> ScheduleDocument:
    """Put another schedule in its place, as a whole. From then on it acts as the caller."""
    caller.needs(f"schedules:write:{name}")
    await _found(here, name)
    asked = await read_body(request, AskedFields)
    made = await _kept(here, caller, name, asked.written(), new=False)
    await done(request, here, caller, name, status=200)
    return await _document(here, made)


@router.patch("/{name}", responses=_CHANGES, openapi_extra=documented_body(AskedChange, example={"overlap": "queue"}))
async def change_schedule(name: str, request: Request, here: Here, caller: Asker) -> ScheduleDocument:
    """Change what is given, and leave the rest; with another script or workflow the payload is not kept.

    From then on it acts as the caller.
    """
    caller.needs(f"schedules:write:{name}")
    before = await _found(here, name)
    asked = await read_body(request, AskedChange)
    try:
        value = amended(before, asked.written())
    except Unsealable as error:
        raise _refused(error) from None
    made = await _kept(here, caller, name, value, new=False)
    await done(request, here, caller, name, status=200)
    return await _document(here, made)


@router.delete("/{name}", status_code=204, response_class=Response, responses=_DELETES)
async def delete_schedule(name: str, request: Request, here: Here, caller: Asker) -> Response:
    """Delete a schedule. Its tasks stay."""
    caller.needs(f"schedules:write:{name}")
    try:
        await _changing(here).remove(name)
    except (UnknownSchedule, ReadOnly) as error:
        raise _refused(error) from None
    await done(request, here, caller, name, status=204)
    return Response(status_code=204)


@router.post("/{name}/enable", responses=_CHANGES, openapi_extra=documented_body(AskedNothing))
async def enable_schedule(name: str, request: Request, here: Here, caller: Asker) -> ScheduleDocument:
    """Let it be due again, from now on. It goes on to act as whoever made it."""
    return await _switch(name, request, here, caller, enabled=True)


@router.post("/{name}/disable", responses=_CHANGES, openapi_extra=documented_body(AskedNothing))
async def disable_schedule(name: str, request: Request, here: Here, caller: Asker) -> ScheduleDocument:
    """Let it be due no more. What runs goes on."""
    return await _switch(name, request, here, caller, enabled=False)


@router.post(
    "/{name}/trigger",
    status_code=202,
    response_model=Triggered,
    responses=_CHANGES,
    openapi_extra=documented_body(AskedNothing),
)
async def trigger_schedule(name: str, request: Request, here: Here, caller: Asker) -> JSONResponse:
    """Submit its task, or start its workflow, now and as the caller. Its times stay as they are."""
    caller.needs(f"schedules:write:{name}")
    await read_body(request, AskedNothing)
    try:
        schedule = await _changing(here).find(name)
        id = await trigger(schedule, caller.principal, here.catalog, _submitting(here), caller.address)
    except (UnknownSchedule, NotSubmitted) as error:
        raise _refused(error) from None
    await done(request, here, caller, name, status=202, detail=id)
    if schedule.workflow is None:
        answer = Triggered(task_id=id, run_id=None, poll_url=f"{TASKS}/{id}")
    else:
        answer = Triggered(task_id=None, run_id=id, poll_url=f"{RUNS}/{id}")
    return JSONResponse(answer.model_dump(), 202, headers={"Location": answer.poll_url})


_Limit = Annotated[int, Query(ge=1, le=200)]
_Skip = Annotated[int, Query(ge=0, le=1000, description="`next` of a page.")]


@router.get("/{name}/tasks", responses=_READS)
async def list_schedule_tasks(
    name: str,
    here: Here,
    caller: Asker,
    limit: _Limit = 50,
    skip: _Skip = 0,
) -> ScheduleTasks:
    """The tasks that it has submitted, newest first. Those of workflows' steps are with the runs that `/runs` lists."""
    caller.needs("tasks:read")
    schedule = await _readable(here, caller, name)
    found, total = await here.schedules.tasks(schedule.name, limit, skip)
    readable = [in_list(task) for task in found if caller.may_read_script(task.script)]
    return ScheduleTasks(tasks=readable, total=total, next=skip + limit if skip + limit < total else None)


@router.get("/{name}/runs", responses=_READS)
async def list_schedule_runs(
    name: str,
    here: Here,
    caller: Asker,
    limit: _Limit = 50,
    skip: _Skip = 0,
) -> ScheduleRuns:
    """The workflow runs that it has started, newest first."""
    schedule = await _readable(here, caller, name)
    ids, total = await here.schedules.run_ids(schedule.name, limit, skip)
    found = await asyncio.gather(*(here.workflow_runs.get(id) for id in ids))
    readable = [run_in_list(run) for run in found if run and caller.principal.may(f"workflows:read:{run.workflow}")]
    return ScheduleRuns(runs=readable, total=total, next=skip + limit if skip + limit < total else None)


def _may_read(caller: Caller, schedule: Schedule) -> bool:
    return caller.principal.may(f"schedules:read:{schedule.name}") and caller.principal.may(_to_read(schedule))


def _to_read(schedule: Schedule) -> str:
    """What it takes to read what it runs."""
    if schedule.workflow is not None:
        return f"workflows:read:{schedule.workflow}"
    return f"scripts:read:{schedule.script}"


async def _readable(here: Context, caller: Caller, name: str) -> Schedule:
    """Raises ApiError: 403 without the scope, 404, and 403 without the right to read what it runs."""
    caller.needs(f"schedules:read:{name}")
    schedule = await _found(here, name)
    caller.needs(_to_read(schedule))
    return schedule


async def _found(here: Context, name: str) -> Schedule:
    """Raises ApiError (404)."""
    try:
        return await _changing(here).find(name)
    except UnknownSchedule as error:
        raise _refused(error) from None


async def _kept(here: Context, caller: Caller, name: str, value: dict[str, Any], *, new: bool) -> Schedule:
    for kind, room in (("script", "scripts"), ("workflow", "workflows")):
        if kind in value:
            # Else the problems of a payload would tell the schema to who may not see it.
            caller.needs(f"{room}:execute:{value[kind]}")
    changing = _changing(here)
    try:
        schedule = await changing.read(name, value, caller.principal)
        return await (changing.create(schedule) if new else changing.update(schedule))
    except DeclarationError as error:
        raise _invalid(list(error.problems)) from None
    except (UnknownSchedule, ReadOnly, ScheduleExists, ScheduleChanged, TooManySchedules) as error:
        raise _refused(error) from None
    except Unsealable as error:
        # It names a file of ours, which is the operator's to know.
        _logger.error("the secrets of a schedule cannot be encrypted", schedule=name, why=str(error))
        raise ApiError(
            503, "no-secret-key", "secrets cannot be encrypted here; the log of the server says why"
        ) from None


async def _switch(name: str, request: Request, here: Context, caller: Caller, *, enabled: bool) -> ScheduleDocument:
    caller.needs(f"schedules:write:{name}")
    await read_body(request, AskedNothing)
    try:
        made = await _changing(here).switch(name, caller.principal, enabled=enabled)
    except (UnknownSchedule, ReadOnly, ScheduleChanged) as error:
        raise _refused(error) from None
    await done(request, here, caller, name, status=200)
    return await _document(here, made)


def _changing(here: Context) -> Changing:
    here.declared.refresh()
    if here.declared.wrong:
        # The operator's mistake: `penstock check` and our log tell it.
        raise ApiError(503, "wrong-deployment", "a file in config/schedules is wrong")
    return Changing(here.schedules, here.catalog, here.scheduled, here.declared.known.files)


def _submitting(here: Context) -> Submitting:
    return Submitting(
        here.schedules,
        here.records,
        here.publisher,
        ApiKeys(here.redis),
        here.settings.auth.roles,
        here.settings.default_queue,
        here.scheduled,
        here.audit,
        here.fleet,
    )


async def _views(here: Context, found: list[Schedule]) -> tuple[ScheduleView, ...]:
    return await views(found, _changing(here), _submitting(here).launched)


async def _document(here: Context, schedule: Schedule) -> ScheduleDocument:
    [view] = await _views(here, [schedule])
    return of_view(view)


def _invalid(problems: list[Problem]) -> ApiError:
    return ApiError(422, "invalid-schedule", "the schedule is not valid", problems=problems)


def _refused(error: Exception) -> ApiError:
    match error:
        case UnknownSchedule():
            return ApiError(404, "unknown-schedule", "there is no such schedule")
        case ReadOnly():
            return ApiError(409, "read-only", str(error))
        case NotSubmitted():
            return ApiError(409, "not-submitted", str(error))
        case TooManySchedules():
            return ApiError(409, "too-many-schedules", str(error))
        case _:
            return ApiError(409, "conflict", str(error))
