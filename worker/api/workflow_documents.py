"""Documents of workflow runs as the API answers with them."""

from __future__ import annotations

from typing import Any, Literal

from worker.api.documents import CancelDocument, Document, TaskInList, in_list, known_time, time
from worker.model.task import Task
from worker.model.workflow_run import StepState, WorkflowRun
from worker.operations.digest import open_digest

RUNS = "/api/v1/workflow-runs"
WorkflowRunStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
StepStatusName = Literal["waiting", "running", "completed", "failed", "exception", "timeout", "cancelled", "skipped"]


class StepDocument(Document):
    """A step of a run. `attempt` counts from 0. `kept`: its task is that of the run that this one repeats.

    `task` is null for a step without one, and for one that the caller may not read.
    """

    name: str
    status: StepStatusName
    reason: str | None
    message: str | None
    attempt: int
    kept: bool
    task_id: str | None
    started_at: str | None
    finished_at: str | None
    task: TaskInList | None


class WorkflowRunInList(Document):
    """A run, without its payload and its steps' tasks. `failedSteps`: which of them failed, whatever followed."""

    run_id: str
    workflow: str
    status: WorkflowRunStatus
    failed_steps: list[str]
    trigger: str
    created_at: str
    finished_at: str | None
    started_by: str
    started_from: str | None
    rerun_of: str | None
    cancel: CancelDocument | None
    steps_done: int
    steps_total: int


class WorkflowRunDocument(WorkflowRunInList):
    """Secrets in `payload` are masked; of one that held some `digest` is null.

    `definition` is the workflow as it was when the run was started.
    """

    payload: Any
    digest: str | None
    steps: list[StepDocument]
    definition: dict[str, Any]


class WorkflowRunPageDocument(Document):
    """Newest first. `next` continues with what follows."""

    runs: list[WorkflowRunInList]
    next: str | None


def run_in_list(run: WorkflowRun) -> WorkflowRunInList:
    return WorkflowRunInList(**_in_list(run))


def of_run(run: WorkflowRun, definition: dict[str, Any], tasks: dict[str, Task]) -> WorkflowRunDocument:
    """`tasks`: those that may be shown, by id."""
    return WorkflowRunDocument(
        **_in_list(run),
        payload=run.shown,
        digest=open_digest(run),
        steps=[_step(state, tasks) for state in run.steps],
        definition=definition,
    )


def _in_list(run: WorkflowRun) -> dict[str, Any]:
    cancel = None
    if run.cancel is not None:
        cancel = CancelDocument(by=run.cancel.by, why=run.cancel.why, at=time(run.cancel.at))
    return {
        "run_id": run.id,
        "workflow": run.workflow,
        "status": run.status.value,
        "failed_steps": list(run.failed_steps),
        "trigger": run.trigger,
        "created_at": known_time(run.created_at),
        "finished_at": time(run.finished_at),
        "started_by": run.principal.name,
        "started_from": run.address,
        "rerun_of": run.rerun_of,
        "cancel": cancel,
        "steps_done": sum(state.status.final for state in run.steps),
        "steps_total": len(run.steps),
    }


def _step(state: StepState, tasks: dict[str, Task]) -> StepDocument:
    task = tasks.get(state.task or "")
    return StepDocument(
        name=state.name,
        status=state.status.value,
        reason=state.reason,
        message=state.message or None,
        attempt=state.attempt,
        kept=state.kept,
        task_id=state.task,
        started_at=time(state.started_at),
        finished_at=time(state.finished_at),
        task=in_list(task) if task else None,
    )
