"""Executions: tasks once more, with the fields that users of other script servers know."""

from __future__ import annotations

import asyncio
import codecs
from typing import Any

from fastapi import APIRouter

from worker.api.caller import Asker
from worker.api.content import add_content, log_of
from worker.api.context import Context, Here
from worker.api.documents import Document, StatusName, counts_of, known_time, time
from worker.api.listing import Asked, select
from worker.api.problem import ApiError, documented
from worker.api.readable import readable_task
from worker.api.tasks import add_verbs
from worker.model.task import Task

# Larger ones are not in lists.
PARAMETERS_BYTES = 4 * 1024
router = APIRouter(prefix="/executions", tags=["executions"])


class Execution(Document):
    """A task. `output` is the head of its log, and null in a list, as are `parameters` of more than 4 KiB.

    Secrets are masked.
    """

    id: str
    script_id: str
    status: StatusName
    is_dry_run: bool
    triggered_by: str
    triggered_ip: str | None
    parameters: Any
    output: str | None
    exit_code: int | None
    started_at: str | None
    completed_at: str | None
    created_at: str


class ExecutionPage(Document):
    """As of tasks, newest first."""

    executions: list[Execution]
    total: int | None
    counts: dict[str, int] | None
    next: str | None


@router.get("", responses=documented(400, 401, 403, 429))
async def list_executions(here: Here, caller: Asker, asked: Asked) -> ExecutionPage:
    """Tasks, newest first, with the same filters as `/tasks`."""
    found = await select(here, caller, asked, PARAMETERS_BYTES)
    return ExecutionPage(
        executions=[_execution(task, None) for task in found.tasks],
        total=found.total,
        counts=counts_of(found.counts),
        next=found.next,
    )


@router.get("/{task_id}", responses=documented(400, 401, 403, 404, 429))
async def get_execution(task_id: str, here: Here, caller: Asker) -> Execution:
    """A task with the head of its log."""
    task = await readable_task(task_id, here, caller)
    return _execution(task, await _output(task, here))


add_verbs(router)
add_content(router)


async def _output(task: Task, here: Context) -> str | None:
    try:
        log = await log_of(task, task.runs[-1], here)
    except ApiError:
        return None  # it is kept elsewhere
    most = here.settings.api.max_output
    data = await asyncio.to_thread(lambda: b"".join(log.blocks(0, min(most, log.size))))
    # A character that was cut in two is left out.
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(data, final=log.size <= most)
    return text if log.size <= most else f"{text}\n\n[Output truncated at {most} bytes]"


def _execution(task: Task, output: str | None) -> Execution:
    run = task.runs[-1]
    return Execution(
        id=task.id,
        script_id=task.script,
        status=task.status.value,
        is_dry_run=task.dry_run,
        triggered_by=task.submitted_by or task.trigger,
        triggered_ip=task.submitted_from,
        parameters=task.payload,
        output=output,
        exit_code=run.exit_code,
        started_at=time(run.started_at or run.claimed_at),
        completed_at=time(task.finished_at),
        created_at=known_time(task.created_at),
    )
