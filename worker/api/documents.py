"""Documents: tasks and their runs as the API answers with them. Times are ISO 8601 in UTC; what is absent is null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from worker.model import times
from worker.model.status import Status
from worker.model.target import worker_of
from worker.model.task import ArtifactRecord, ChildTask, Run, Task
from worker.operations.digest import open_digest
from worker.store import Records

TASKS = "/api/v1/tasks"

StatusName = Literal["pending", "running", "completed", "partial", "failed", "exception", "timeout", "cancelled"]


class Document(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)


class ArtifactDocument(Document):
    """A stored file of a run. `sha256` in hex, `size` in bytes; `public`: the command left it below `public/`."""

    name: str
    size: int
    sha256: str
    content_type: str
    public: bool


class RunDocument(Document):
    """One attempt at a task. `exitCode` and `signal` are null when the command did not start or did not end."""

    run_id: int
    status: StatusName
    reason: str | None
    message: str | None
    exit_code: int | None
    signal: int | None
    duration_ms: int | None
    log_bytes: int
    log_truncated: bool
    artifacts: list[ArtifactDocument]
    worker: str | None
    created_at: str | None
    claimed_at: str | None
    started_at: str | None
    finished_at: str | None


class CancelDocument(Document):
    by: str
    why: str
    at: str | None


class TimelineEntry(Document):
    """`event`: `created`, `claimed`, `started`, `cancel-requested`, or the status with which the run ended."""

    at: str
    event: str
    run_id: int | None
    worker: str | None


class TaskInList(Document):
    """The short form: without payload, runs and artifacts. `workflow`: the workflow run whose `step` it is.

    `target`: for whom it was submitted; null: for any worker. `parent`: the task that stands for it and those of
    others. `worker` has its newest run, or alone may have it.
    """

    task_id: str
    run_id: int
    script: str
    status: StatusName
    reason: str | None
    message: str | None
    queue: str
    trigger: str
    worker: str | None
    tags: list[str]
    dry_run: bool
    created_at: str
    finished_at: str | None
    duration_ms: int | None
    retries: int
    priority: int
    due_at: str | None
    deadline: str | None
    cancel: CancelDocument | None
    rerun_of: str | None
    submitted_by: str | None
    submitted_from: str | None
    workflow: str | None
    step: str | None
    target: str | None
    parent: str | None


class WorkerResult(Document):
    """What became of the task of one worker. All but these two are null when it is not kept any more; `logUrl` is where
    its log is."""

    worker: str
    task_id: str
    status: StatusName | None
    reason: str | None
    message: str | None
    exit_code: int | None
    signal: int | None
    duration_ms: int | None
    log_bytes: int | None
    log_url: str | None


class TaskDocument(TaskInList):
    """A task with its runs, oldest first; what is said of a run is of the newest. Secrets in `payload` are masked;
    where it held any, `digest`, the SHA-256 of the payload, is null. `results`: of a task for several workers, each."""

    exit_code: int | None
    signal: int | None
    log_bytes: int
    log_truncated: bool
    artifacts: list[ArtifactDocument]
    digest: str | None
    start_by: str | None
    idempotency_key: str | None
    payload: Any
    runs: list[RunDocument]
    timeline: list[TimelineEntry]
    results: list[WorkerResult] | None


class TaskPageDocument(Document):
    """Newest first. `total` and `counts` are of all that the other filters match, `counts` whatever their status; both
    are null when a filter without an index left more to be looked at. `next` continues with what follows.
    """

    tasks: list[TaskInList]
    total: int | None
    counts: dict[str, int] | None
    next: str | None


async def of_task(task: Task, records: Records) -> TaskDocument:
    """Raises StoreUnavailable when it stands for others, and these cannot be read."""
    run = task.runs[-1]
    return TaskDocument(
        **_in_list(task),
        exit_code=run.exit_code,
        signal=run.signal,
        log_bytes=run.log_bytes,
        log_truncated=run.log_truncated,
        artifacts=artifacts(run.artifacts),
        digest=open_digest(task),
        start_by=time(task.start_by),
        idempotency_key=task.key,
        payload=task.payload,
        runs=[_run(run) for run in task.runs],
        timeline=_timeline(task),
        results=await _results(task, records) if task.children else None,
    )


def in_list(task: Task) -> TaskInList:
    return TaskInList(**_in_list(task))


def artifacts(found: Sequence[ArtifactRecord]) -> list[ArtifactDocument]:
    return [
        ArtifactDocument(name=a.name, size=a.size, sha256=a.sha256, content_type=a.content_type, public=a.public)
        for a in found
    ]


def counts_of(counts: Mapping[Status, int] | None) -> dict[str, int] | None:
    return None if counts is None else {status.value: count for status, count in counts.items()}


time = times.time_text
known_time = times.known_time


def _in_list(task: Task) -> dict[str, Any]:
    run = task.runs[-1]
    return {
        "task_id": task.id,
        "run_id": run.number,
        "script": task.script,
        "status": task.status.value,
        "reason": task.reason,
        "message": task.message or None,
        "queue": task.queue,
        "trigger": task.trigger,
        "worker": task.worker,
        "tags": list(task.tags),
        "dry_run": task.dry_run,
        "created_at": known_time(task.created_at),
        "finished_at": time(task.finished_at),
        "duration_ms": run.duration_ms,
        "retries": task.retries,
        "priority": task.priority,
        "due_at": time(task.due_at),
        "deadline": time(task.deadline),
        "cancel": _cancel(task),
        "rerun_of": task.rerun_of,
        "submitted_by": task.submitted_by,
        "submitted_from": task.submitted_from,
        "workflow": task.workflow.run if task.workflow else None,
        "step": task.workflow.step if task.workflow else None,
        "target": task.target or worker_of(task.queue),
        "parent": task.parent,
    }


async def _results(task: Task, records: Records) -> list[WorkerResult]:
    found = await records.several([child.task_id for child in task.children])
    return [_result(child, its) for child, its in zip(task.children, found, strict=True)]


def _result(child: ChildTask, task: Task | None) -> WorkerResult:
    run = task.runs[-1] if task else None
    return WorkerResult(
        worker=child.worker,
        task_id=child.task_id,
        status=task.status.value if task else None,
        reason=task.reason if task else None,
        message=(task.message or None) if task else None,
        exit_code=run.exit_code if run else None,
        signal=run.signal if run else None,
        duration_ms=run.duration_ms if run else None,
        log_bytes=run.log_bytes if run else None,
        log_url=f"{TASKS}/{child.task_id}/log" if task else None,
    )


def _run(run: Run) -> RunDocument:
    return RunDocument(
        run_id=run.number,
        status=run.status.value,
        reason=run.reason,
        message=run.message or None,
        exit_code=run.exit_code,
        signal=run.signal,
        duration_ms=run.duration_ms,
        log_bytes=run.log_bytes,
        log_truncated=run.log_truncated,
        artifacts=artifacts(run.artifacts),
        worker=run.worker,
        created_at=time(run.created_at),
        claimed_at=time(run.claimed_at),
        started_at=time(run.started_at),
        finished_at=time(run.finished_at),
    )


def _cancel(task: Task) -> CancelDocument | None:
    if task.cancel is None:
        return None
    return CancelDocument(by=task.cancel.by, why=task.cancel.why, at=time(task.cancel.at))


def _timeline(task: Task) -> list[TimelineEntry]:
    entries: list[tuple[int, str, int | None, str | None]] = []
    for run in task.runs:
        for at, event in ((run.created_at, "created"), (run.claimed_at, "claimed"), (run.started_at, "started")):
            if at is not None:
                entries.append((at, event, run.number, None if event == "created" else run.worker))
        if run.finished_at is not None and run.status is not Status.RUNNING:
            entries.append((run.finished_at, run.status.value, run.number, run.worker))
    if task.cancel is not None:
        entries.append((task.cancel.at, "cancel-requested", None, None))
    entries.sort(key=lambda entry: entry[0])  # stable: at one millisecond in the order in which things happen
    return [TimelineEntry(at=known_time(at), event=event, run_id=run, worker=who) for at, event, run, who in entries]
