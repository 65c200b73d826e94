"""Workflow runs: list and read them, end them, repeat them from where they failed."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from worker.api.auditing import done
from worker.api.body import documented_body, read_body
from worker.api.caller import Asker, Caller
from worker.api.context import Context, Here
from worker.api.documents import Document
from worker.api.problem import ApiError, documented
from worker.api.tasks import AskedCancel, AskedNothing
from worker.api.workflow_documents import (
    WorkflowRunDocument,
    WorkflowRunPageDocument,
    WorkflowRunStatus,
    of_run,
    run_in_list,
)
from worker.api.workflows import RunAccepted, accepted
from worker.model.workflow_run import RUN_ID, WorkflowRun, WorkflowStatus
from worker.operations.authorise import may_read_task
from worker.operations.rerun import NotFinal, PayloadForgotten
from worker.workflows.start import NothingToRepeat, repeat
from worker.workflows.stop import stop

router = APIRouter(prefix="/workflow-runs", tags=["workflow-runs"])
_WHY_CHARACTERS = 500
_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"


class RunCancelAnswer(Document):
    """`requested`: what runs is ended, and nothing further begins. `already`: that was asked for before."""

    run_id: str
    outcome: str
    status: WorkflowRunStatus


@router.get("", responses=documented(400, 401, 403, 429))
async def list_workflow_runs(
    here: Here,
    caller: Asker,
    workflow: Annotated[str | None, Query(pattern=_NAME)] = None,
    status: WorkflowRunStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,17}$", description="`next` of a page.")] = None,
) -> WorkflowRunPageDocument:
    """Runs, newest first. Without the right to read all workflows it takes `workflow`."""
    caller.needs("workflows:read" if workflow is None else f"workflows:read:{workflow}")
    page = await here.workflow_runs.page(
        workflow=workflow, status=WorkflowStatus(status) if status else None, limit=limit, before=cursor
    )
    return WorkflowRunPageDocument(runs=[run_in_list(run) for run in page.runs], next=page.next)


@router.get("/{run_id}", responses=documented(400, 401, 403, 404, 429))
async def get_workflow_run(run_id: str, here: Here, caller: Asker) -> WorkflowRunDocument:
    """A run with each of its steps and their tasks."""
    run = await _found(run_id, here, caller, "read")
    ids = {state.task for state in run.steps if state.task}
    found = await asyncio.gather(*(here.records.get(task_id) for task_id in sorted(ids)))
    tasks = {task.id: task for task in found if task and may_read_task(caller.principal, task.script)}
    return of_run(run, json.loads(run.definition), tasks)


@router.post(
    "/{run_id}/cancel",
    status_code=202,
    responses=documented(400, 401, 403, 404, 409, 413, 415, 422, 429),
    openapi_extra=documented_body(AskedCancel),
)
async def cancel_workflow_run(run_id: str, request: Request, here: Here, caller: Asker) -> RunCancelAnswer:
    """End a run: what runs is cancelled, and no step begins any more."""
    run = await _found(run_id, here, caller, "cancel")
    asked = await read_body(request, AskedCancel)
    outcome, status = await stop(
        run.id,
        runs=here.workflow_runs,
        driver=here.driver,
        by=caller.principal.name,
        why=asked.why[:_WHY_CHARACTERS],
    )
    if outcome == "unknown":
        raise _unknown()
    if outcome == "final":
        raise ApiError(409, "final", f"the run has ended: {status or run.status}")
    await done(request, here, caller, run.id, status=202, detail=outcome)
    now = await here.workflow_runs.get(run.id)
    return RunCancelAnswer(run_id=run.id, outcome=outcome, status=(now or run).status.value)


@router.post(
    "/{run_id}/rerun",
    status_code=202,
    response_model=RunAccepted,
    responses=documented(400, 401, 403, 404, 409, 413, 415, 422, 429),
    openapi_extra=documented_body(AskedNothing),
)
async def rerun_workflow_run(run_id: str, request: Request, here: Here, caller: Asker) -> JSONResponse:
    """A new run from the failed steps of one that has ended; the steps before them keep their results.

    When the payload held secrets it is not kept: start the workflow again.
    """
    run = await _found(run_id, here, caller, "read")
    caller.needs(f"workflows:execute:{run.workflow}")
    await read_body(request, AskedNothing)
    try:
        started = await repeat(
            run,
            runs=here.workflow_runs,
            driver=here.driver,
            find=here.catalog.get,
            principal=caller.principal,
            trigger="api",
            address=caller.address,
        )
    except NotFinal as error:
        raise ApiError(409, "not-final", str(error)) from None
    except NothingToRepeat as error:
        raise ApiError(409, "nothing-to-rerun", str(error)) from None
    except PayloadForgotten as error:
        raise ApiError(409, "payload-not-kept", str(error)) from None
    await done(request, here, caller, run.id, status=202, digest=started.digest, detail=started.run_id)
    return await accepted(started.run_id, run.workflow, started.created, here)


async def _found(run_id: str, here: Context, caller: Caller, verb: str) -> WorkflowRun:
    """Raises NotAllowed, or ApiError (404). Who may not do it with any workflow does not learn which runs there are."""
    run = await here.workflow_runs.get(run_id) if RUN_ID.match(run_id) else None
    if run is None:
        caller.needs(f"workflows:{verb}")
        raise _unknown()
    caller.needs(f"workflows:{verb}:{run.workflow}")
    return run


def _unknown() -> ApiError:
    return ApiError(404, "unknown-workflow-run", "there is no such run")
