"""Tasks: list and read them, and what may be done to one. `/executions` is the same with another document."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from worker.api.auditing import done
from worker.api.body import Asked as AskedBody
from worker.api.body import documented_body, read_body
from worker.api.caller import Asker
from worker.api.content import add_content
from worker.api.context import Here
from worker.api.documents import (
    TASKS,
    Document,
    StatusName,
    TaskDocument,
    TaskPageDocument,
    counts_of,
    in_list,
    of_task,
)
from worker.api.execute import Accepted, executable_script
from worker.api.listing import Asked, select
from worker.api.problem import ApiError, documented
from worker.api.readable import found_task, readable_task, unknown_task
from worker.broker import BrokerAway
from worker.model.answers import CancelOutcome
from worker.operations.cancel import cancel as cancel_tasks
from worker.operations.digest import open_digest
from worker.operations.remove import FilesRemain
from worker.operations.remove import remove as remove_task
from worker.operations.rerun import NotFinal, PayloadForgotten, rerun
from worker.operations.submit import Submitted

router = APIRouter(prefix="/tasks", tags=["tasks"])


Outcome = Literal["cancelled", "requested", "already"]


class AskedCancel(AskedBody):
    why: Annotated[str, Field(max_length=500)] = ""


class AskedNothing(AskedBody):
    pass


class CancelAnswer(Document):
    """`cancelled`: it never starts. `requested`: its worker is told. `already`: it was told before."""

    task_id: str
    outcome: Outcome
    status: StatusName
    worker: str | None


@router.get("", responses=documented(400, 401, 403, 429))
async def list_tasks(here: Here, caller: Asker, asked: Asked) -> TaskPageDocument:
    """Tasks, newest first. A filter that is given more than once admits any of its values; of `tag`, all."""
    found = await select(here, caller, asked)
    return TaskPageDocument(
        tasks=[in_list(task) for task in found.tasks],
        total=found.total,
        counts=counts_of(found.counts),
        next=found.next,
    )


@router.get("/{task_id}", responses=documented(400, 401, 403, 404, 429))
async def get_task(task_id: str, here: Here, caller: Asker) -> TaskDocument:
    """A task with its runs."""
    return await of_task(await readable_task(task_id, here, caller), here.records)


async def cancel(task_id: str, request: Request, here: Here, caller: Asker) -> CancelAnswer:
    """End a task that waits or runs. What runs is ended by its worker, within a second."""
    task = await found_task(task_id, here, caller, "tasks:cancel")
    asked = await read_body(request, AskedCancel)
    answers = [
        answer async for _, answer in cancel_tasks(here.records, [task.id], by=caller.principal.name, why=asked.why)
    ]
    answer = answers[0]
    match answer.outcome:
        case CancelOutcome.UNKNOWN:
            raise unknown_task()
        case CancelOutcome.FINAL:
            raise ApiError(409, "final", f"the task has ended: {answer.status or task.status}")
        case outcome:
            await done(request, here, caller, task.id, status=202, detail=outcome.value)
            return CancelAnswer(
                task_id=task.id,
                outcome=cast("Outcome", outcome.value),
                status=(answer.status or task.status).value,
                worker=answer.worker,
            )


async def run_again(task_id: str, request: Request, here: Here, caller: Asker) -> JSONResponse:
    """A new task with the payload, the tags, the priority and the target of one that has ended.

    That needs the right to execute the script. When the payload held secrets it is not kept: submit it again.
    """
    task = await readable_task(task_id, here, caller)
    prepared = executable_script(task.script, here, caller)
    await read_body(request, AskedNothing)
    new_id = str(uuid.uuid4())
    try:
        submitted = await rerun(
            task,
            prepared,
            records=here.records,
            publisher=here.publisher,
            default_queue=here.settings.default_queue,
            trigger="api",
            principal=caller.principal,
            address=caller.address,
            task_id=new_id,
            fleet=here.fleet,
        )
    except NotFinal as error:
        raise ApiError(409, "not-final", str(error)) from None
    except PayloadForgotten as error:
        raise ApiError(409, "payload-not-kept", str(error)) from None
    except BrokerAway:
        submitted = Submitted(new_id, True, open_digest(task))
    await done(request, here, caller, task.id, status=202, digest=submitted.digest, detail=submitted.task_id)
    where = f"{TASKS}/{submitted.task_id}"
    accepted = Accepted(task_id=submitted.task_id, status="pending", created=submitted.created, poll_url=where)
    return JSONResponse(accepted.model_dump(), 202, headers={"Location": where})


async def remove(task_id: str, request: Request, here: Here, caller: Asker) -> Response:
    """Forget a task that has ended, with its log and artifacts."""
    task = await found_task(task_id, here, caller, "tasks:delete")
    try:
        removed = await remove_task(here.records, here.files, task)
    except NotFinal as error:
        raise ApiError(409, "not-final", str(error)) from None
    except FilesRemain as error:
        raise ApiError(409, "files-remain", str(error)) from None
    if not removed:
        raise unknown_task()
    await done(request, here, caller, task.id, status=204)
    return Response(status_code=204)


def add_verbs(to: APIRouter) -> None:
    """The routes below `/{task_id}` that change something."""
    to.add_api_route(
        "/{task_id}/cancel",
        cancel,
        methods=["POST"],
        status_code=202,
        responses=documented(400, 401, 403, 404, 409, 413, 415, 422, 429),
        openapi_extra=documented_body(AskedCancel),
    )
    to.add_api_route(
        "/{task_id}/rerun",
        run_again,
        methods=["POST"],
        status_code=202,
        response_model=Accepted,
        responses=documented(400, 401, 403, 404, 409, 413, 415, 422, 429),
        openapi_extra=documented_body(AskedNothing),
    )
    to.add_api_route(
        "/{task_id}",
        remove,
        methods=["DELETE"],
        status_code=204,
        response_class=Response,
        responses=documented(400, 401, 403, 404, 409, 429),
    )


add_verbs(router)
add_content(router)
