"""Commands: `exec` and `shell` on workers, for operators."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from engine.errors import Problem
from worker.api.auditing import done
from worker.api.body import Asked, documented_body, read_body
from worker.api.caller import Asker, Caller
from worker.api.context import Context, Here
from worker.api.execute import ANSWERS, Async, Wait, answer
from worker.api.problem import ApiError
from worker.config.commands import asked_commands
from worker.model.command import EXEC, MOST_TIMEOUT_S, SCOPE, SHELL
from worker.model.target import NotATarget, Target, parse_target
from worker.model.task import TASK_ID
from worker.operations.command import audited, payload_of, submit_command
from worker.operations.submit import Submitted
from worker.store.workers import UnknownWorker

router = APIRouter(prefix="/workers", tags=["commands"])
_Tag = Annotated[str, Field(min_length=1, max_length=100)]


class AskedCommand(Asked):
    """`timeout` is in seconds: 30 by default. `cwd` has to be in the worker's list."""

    cwd: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    timeout: Annotated[float, Field(gt=0, le=MOST_TIMEOUT_S)] | None = None
    id: Annotated[str, Field(pattern=TASK_ID.pattern.removesuffix(r"\Z") + "$", max_length=64)] | None = None
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    tags: Annotated[list[_Tag], Field(max_length=20)] = []


class AskedProgram(AskedCommand):
    """`program` is a name in the worker's `programs`; each of `args` has to fit its schema there."""

    program: Annotated[str, Field(min_length=1, max_length=63)]
    args: list[str] = []


class AskedShell(AskedCommand):
    """`text` is run by /bin/sh."""

    text: Annotated[str, Field(min_length=1)]


@router.post(
    "/{target}/exec",
    responses=ANSWERS,
    response_model=None,
    openapi_extra=documented_body(AskedProgram, example={"program": "uptime", "args": ["-p"]}),
)
async def run_program(
    target: str, request: Request, here: Here, caller: Asker, at_once: Async = "false", wait: Wait = None
) -> JSONResponse:
    """Run a program that the workers list, without a shell.

    `target` is `_any`, a worker's name, labels as `group:web.dev,zone:eu`, or `_all`. Needs `command:execute`.
    """
    caller.needs(f"{SCOPE}:{EXEC}")
    meant = await _target(target, here)
    asked = await read_body(request, AskedProgram)
    what = {"program": asked.program, "args": asked.args, "cwd": asked.cwd}
    return await _run(EXEC, what, asked, meant, request, here, caller, at_once == "true", wait)


@router.post(
    "/{target}/shell",
    responses=ANSWERS,
    response_model=None,
    openapi_extra=documented_body(AskedShell, example={"text": "df -h | sort"}),
)
async def run_shell(
    target: str, request: Request, here: Here, caller: Asker, at_once: Async = "false", wait: Wait = None
) -> JSONResponse:
    """Run a text with /bin/sh, on workers that allow it.

    `target` as for `exec`. Needs `command:execute`.
    """
    caller.needs(f"{SCOPE}:{SHELL}")
    meant = await _target(target, here)
    asked = await read_body(request, AskedShell)
    what = {"text": asked.text, "cwd": asked.cwd}
    return await _run(SHELL, what, asked, meant, request, here, caller, at_once == "true", wait)


async def _run(
    name: str,
    what: Mapping[str, Any],
    asked: AskedCommand,
    target: Target | None,
    request: Request,
    here: Context,
    caller: Caller,
    at_once: bool,
    wait: float | None,
) -> JSONResponse:
    for place, text in (("/idempotencyKey", asked.idempotency_key), *(("/tags", tag) for tag in asked.tags)):
        if text is not None and not text.isprintable():
            raise ApiError(422, "invalid-body", "it has to be printable", problems=[Problem("not printable", place)])
    most_s = here.settings.api.max_wait_s
    wait_s = 0.0 if at_once else most_s if wait is None else min(wait, most_s)
    # A task of its own: who goes away in the middle leaves no half of it.
    submitting = asyncio.get_running_loop().create_task(
        _submit(name, payload_of(what, asked.timeout), asked, target, request, here, caller, wait_s <= 0)
    )
    return await answer(await asyncio.shield(submitting), here, wait_s)


async def _submit(
    name: str,
    payload: bytes,
    asked: AskedCommand,
    target: Target | None,
    request: Request,
    here: Context,
    caller: Caller,
    at_once: bool,
) -> Submitted:
    submitted = await submit_command(
        asked_commands()[name],
        payload,
        target=target,
        fleet=here.fleet,
        records=here.records,
        publisher=here.publisher,
        trigger="api",
        principal=caller.principal,
        address=caller.address,
        task_id=asked.id or str(uuid.uuid4()),
        tags=tuple(asked.tags),
        key=asked.idempotency_key,
    )
    on = str(target or "_any")
    detail = audited(on, submitted.task_id, payload)
    await done(request, here, caller, name, status=202 if at_once else None, digest=submitted.digest, detail=detail)
    return submitted


async def _target(text: str, here: Context) -> Target | None:
    """Raises ApiError (404) for what is none, and for a worker that nobody has heard of."""
    try:
        found = parse_target(text.split(","))
        if found and found.worker:
            await here.fleet.workers.get(found.worker)
    except NotATarget as error:
        raise ApiError(404, "unknown-target", str(error)) from None
    except UnknownWorker as error:
        raise ApiError(404, "unknown-worker", str(error)) from None
    return found
