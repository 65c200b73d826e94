"""Execute: a task from a request to its record, and to its end when that comes soon."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from engine.errors import Problem
from engine.plugin import Prepared
from engine.schema import dump_payload
from engine.script.quantities import parse_duration
from worker.api.auditing import done
from worker.api.body import documented_body, read_body
from worker.api.caller import Asker, Caller
from worker.api.context import Context, Here
from worker.api.documents import TASKS, Document, StatusName, TaskDocument, of_task
from worker.api.problem import ApiError, documented
from worker.api.scripts import AskedPayload, known_script, payload_of
from worker.api.targets import AskedTarget, target_of
from worker.broker import BrokerAway
from worker.model.status import FINAL
from worker.model.task import TASK_ID
from worker.operations.authorise import check_execute
from worker.operations.digest import open_digest_of
from worker.operations.moments import moment_ms
from worker.operations.submit import Submitted, submit

router = APIRouter(prefix="/scripts", tags=["scripts"])
_DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+\Z")
_ERRORS = documented(400, 401, 403, 404, 409, 413, 415, 422, 429)


class AskedRun(AskedPayload):
    """`dueAt`, before which it does not start, and `deadline` are ISO 8601 times, or durations from now such as `10m`.
    `target` is for whom it is: `_any`, a worker's name, labels as `group:web.dev`, all of which have to match, `_all`.
    """

    dry_run: bool = False
    id: Annotated[str, Field(pattern=TASK_ID.pattern.removesuffix(r"\Z") + "$", max_length=64)] | None = None
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    priority: Annotated[int, Field(ge=0, le=9)] = 0
    due_at: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    deadline: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    tags: Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=20)] = []
    target: AskedTarget | None = None


class Accepted(Document):
    """The task is recorded. `created` is false for one that was there already, by its id or idempotency key."""

    task_id: str
    status: StatusName
    created: bool
    poll_url: str


class Executed(TaskDocument):
    created: bool


Async = Annotated[Literal["true", "false"], Query(alias="async", description="true: answer 202 at once.")]
Wait = Annotated[float | None, Query(ge=0, le=3600, description="Seconds to wait for the end; at most `api.maxWait`.")]

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Executed, "description": "The task has ended."},
    202: {"model": Accepted, "description": "The task waits or runs; `Location` is where to look."},
    **_ERRORS,
}


@router.post(
    "/{name}/execute",
    responses=ANSWERS,
    response_model=None,
    openapi_extra=documented_body(AskedRun, example={"payload": {}}),
)
async def execute(
    name: str, request: Request, here: Here, caller: Asker, at_once: Async = "false", wait: Wait = None
) -> JSONResponse:
    """Run a script.

    Waits for the end, for some seconds. A client that goes away cancels nothing. The same `idempotencyKey`, or the
    same `id`, with the same payload is the same task; with another one it is a conflict.
    """
    return await _run(name, request, here, caller, at_once == "true", wait, dry_run=False)


@router.post("/{name}/dry-run", responses=ANSWERS, response_model=None, openapi_extra=documented_body(AskedRun))
async def dry_run(
    name: str, request: Request, here: Here, caller: Asker, at_once: Async = "false", wait: Wait = None
) -> JSONResponse:
    """Run a script with `dryRun`: the command gets DRY_RUN=true and is to change nothing."""
    return await _run(name, request, here, caller, at_once == "true", wait, dry_run=True)


async def _run(
    name: str, request: Request, here: Context, caller: Caller, at_once: bool, wait: float | None, *, dry_run: bool
) -> JSONResponse:
    prepared = executable_script(name, here, caller)
    asked = await read_body(request, AskedRun)
    most_s = here.settings.api.max_wait_s
    wait_s = 0.0 if at_once else most_s if wait is None else min(wait, most_s)
    # A task of its own: who goes away in the middle leaves no half of it.
    submitting = asyncio.get_running_loop().create_task(
        _submit(request, prepared, asked, here, caller, dry_run=dry_run, at_once=wait_s <= 0)
    )
    submitted = await asyncio.shield(submitting)
    return await answer(submitted, here, wait_s)


def executable_script(name: str, here: Context, caller: Caller) -> Prepared:
    """Raises NotAllowed before ApiError (404)."""
    caller.needs(f"scripts:execute:{name}")
    prepared = known_script(name, here)
    check_execute(caller.principal, prepared.script)
    return prepared


async def answer(submitted: Submitted, here: Context, wait_s: float) -> JSONResponse:
    """200 with the task when it ends in time, else 202."""
    # What was just recorded waits; to look would cost as much as to record it.
    asks = wait_s > 0 or not submitted.created
    task = await here.endings.ended(submitted.task_id, wait_s) if asks else None
    if task is not None and task.status in FINAL and wait_s > 0:
        document = Executed(**(await of_task(task, here.records)).model_dump(), created=submitted.created)
        return JSONResponse(document.model_dump(), 200, headers={"Location": f"{TASKS}/{task.id}"})
    where = f"{TASKS}/{submitted.task_id}"
    accepted = Accepted(
        task_id=submitted.task_id,
        status=(task.status if task else submitted.status).value,
        created=submitted.created,
        poll_url=where,
    )
    return JSONResponse(accepted.model_dump(), 202, headers={"Location": where})


async def _submit(
    request: Request,
    prepared: Prepared,
    asked: AskedRun,
    here: Context,
    caller: Caller,
    *,
    dry_run: bool,
    at_once: bool,
) -> Submitted:
    payload = _payload(prepared, asked, dry_run=dry_run)
    task_id = asked.id or str(uuid.uuid4())
    due_at, deadline = _ms(asked.due_at, "/dueAt"), _ms(asked.deadline, "/deadline")
    if deadline is not None and deadline <= max(due_at or 0, time.time() * 1000):
        raise _refused("invalid-body", "the deadline has passed before the task can start", "/deadline")
    try:
        submitted = await submit(
            prepared,
            dump_payload(payload),
            records=here.records,
            publisher=here.publisher,
            default_queue=here.settings.default_queue,
            trigger="api",
            principal=caller.principal,
            address=caller.address,
            task_id=task_id,
            tags=tuple(asked.tags),
            priority=asked.priority,
            due_at=due_at,
            deadline=deadline,
            key=asked.idempotency_key,
            target=target_of(asked.target),
            fleet=here.fleet,
        )
    except BrokerAway:
        # It is recorded, and a worker publishes it when the broker is back.
        submitted = Submitted(task_id, True, open_digest_of(dump_payload(payload), payload, prepared.schema))
    # Not after the wait: a server that ends meanwhile would leave no trace of what it has accepted.
    status = 202 if at_once else None
    name = prepared.script.name
    await done(request, here, caller, name, status=status, digest=submitted.digest, detail=submitted.task_id)
    return submitted


def _payload(prepared: Prepared, asked: AskedRun, *, dry_run: bool) -> dict[str, Any]:
    for place, text in (("/idempotencyKey", asked.idempotency_key), *(("/tags", tag) for tag in asked.tags)):
        if text is not None and not text.isprintable():
            raise _refused("invalid-body", "it has to be printable", place)
    payload = payload_of(asked)
    if dry_run or asked.dry_run:
        if "dryRun" not in prepared.schema.owners:
            raise _refused("unsupported", "the script has no dry run", "/dryRun")
        payload = {**payload, "dryRun": True}
    return payload


def _ms(text: str | None, place: str) -> int | None:
    """Since the epoch."""
    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        if _DURATION.match(text):
            return round((now.timestamp() + parse_duration(text)) * 1000)
        return moment_ms(text, now)
    except (ValueError, OverflowError) as error:
        raise _refused("invalid-body", str(error), place) from None


def _refused(code: str, message: str, place: str) -> ApiError:
    return ApiError(422, code, message, problems=[Problem(message, place)])
