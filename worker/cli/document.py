"""Document: tasks, runs and outcomes as the JSON that `exec`, `run`, `show` and `tasks` print.

Times are ISO 8601 in UTC with milliseconds; what is absent is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from worker.model.target import worker_of
from worker.model.times import time_text

if TYPE_CHECKING:
    from engine.artifacts import Artifact
    from engine.outcome import Outcome
    from worker.model.answers import Cancelled
    from worker.model.api_key import ApiKey
    from worker.model.dead_letter import DeadLetter
    from worker.model.overview import Overview
    from worker.model.task import ArtifactRecord, ChildTask, Run, Task


def of_outcome(outcome: Outcome, *, task_id: str, run_id: int, script: str) -> dict[str, Any]:
    """The document of `exec`."""
    return _run(
        task_id=task_id,
        run_id=run_id,
        script=script,
        status=outcome.status,
        reason=outcome.reason,
        message=outcome.message,
        exit_code=outcome.exit.code if outcome.exit else None,
        signal=outcome.exit.signal if outcome.exit else None,
        duration_ms=round(outcome.duration_s * 1000),
        log_bytes=outcome.log_bytes,
        log_truncated=outcome.log_truncated,
        artifacts=outcome.artifacts,
    )


def of_task(task: Task, children: Sequence[Task | None] = ()) -> dict[str, Any]:
    """The document of `run` and `show`: that of `exec` for the newest run, and the rest of the record.

    `children`: the tasks that it stands for, in its order; None for one that is not kept any more.
    """
    from worker.operations.digest import open_digest

    run = task.runs[-1]
    return {
        **_of_run(task, run),
        "status": task.status.value,
        "reason": task.reason,
        "message": task.message or None,
        "createdAt": time_text(task.created_at),
        "finishedAt": time_text(task.finished_at),
        "queue": task.queue,
        "trigger": task.trigger,
        "worker": task.worker,
        "tags": list(task.tags),
        "submittedBy": task.submitted_by,
        "submittedFrom": task.submitted_from,
        "rerunOf": task.rerun_of,
        "workflow": task.workflow.run if task.workflow else None,
        "step": task.workflow.step if task.workflow else None,
        "target": task.target or worker_of(task.queue),
        "parent": task.parent,
        "digest": open_digest(task),
        "dryRun": task.dry_run,
        "retries": task.retries,
        **_schedule(task),
        "startBy": time_text(task.start_by),
        "idempotencyKey": task.key,
        "cancel": _cancel(task),
        "payload": task.payload,
        "runs": [_of_run_alone(task, run) for run in task.runs],
        "results": [_result(*each) for each in zip(task.children, children, strict=True)] if task.children else None,
    }


def _result(child: ChildTask, task: Task | None) -> dict[str, Any]:
    run = task.runs[-1] if task else None
    return {
        "worker": child.worker,
        "taskId": child.task_id,
        "status": task.status.value if task else None,
        "reason": task.reason if task else None,
        "message": (task.message or None) if task else None,
        "exitCode": run.exit_code if run else None,
        "signal": run.signal if run else None,
        "durationMs": run.duration_ms if run else None,
        "logBytes": run.log_bytes if run else None,
    }


def in_list(task: Task) -> dict[str, Any]:
    """The short form for listings: without payload, runs and artifacts."""
    run = task.runs[-1]
    return {
        "taskId": task.id,
        "runId": run.number,
        "script": task.script,
        "status": task.status.value,
        "reason": task.reason,
        "message": task.message or None,
        "queue": task.queue,
        "trigger": task.trigger,
        "worker": task.worker,
        "target": task.target or worker_of(task.queue),
        "parent": task.parent,
        "tags": list(task.tags),
        "dryRun": task.dry_run,
        "createdAt": time_text(task.created_at),
        "finishedAt": time_text(task.finished_at),
        "durationMs": run.duration_ms,
        "retries": task.retries,
        **_schedule(task),
        "cancel": _cancel(task),
    }


def overview(seen: Overview) -> dict[str, Any]:
    """As `GET /api/v1/status` answers."""
    workers = [
        {
            "name": worker.name,
            "host": worker.host,
            "pid": worker.pid,
            "silentS": worker.silent_s,
            "state": worker.state.value,
            "running": worker.running,
        }
        for worker in seen.workers
    ]
    return {
        "queues": [{"name": queue.name, "waiting": queue.waiting} for queue in seen.queues],
        "workers": workers,
        "broker": seen.broker,
        "store": True,
        "tasks": {status.value: count for status, count in seen.tasks.items()},
        "scripts": seen.scripts,
    }


def cancelled(task_id: str, answer: Cancelled) -> dict[str, Any]:
    return {
        "taskId": task_id,
        "outcome": answer.outcome.value,
        "status": answer.status.value if answer.status else None,
        "worker": answer.worker,
    }


def dead_letter(letter: DeadLetter) -> dict[str, Any]:
    """`head` is text: bytes that are no UTF-8 are written as \\xNN."""
    return {
        "id": letter.id,
        "queue": letter.queue,
        "reason": letter.reason,
        "source": letter.source,
        "receivedAt": time_text(letter.at),
        "lastReceivedAt": time_text(letter.last_at),
        "times": letter.times,
        "size": letter.size,
        "head": letter.head.decode("utf-8", "backslashreplace"),
    }


def api_key(key: ApiKey, state: str) -> dict[str, Any]:
    """Without its digest, which nobody needs to see."""
    return {
        "id": key.id,
        "name": key.name,
        "state": state,
        "scopes": sorted(key.scopes),
        "role": key.role,
        "createdAt": time_text(key.created_at),
        "createdBy": key.made_by or None,
        "expiresAt": time_text(key.expires_at),
        "revokedAt": time_text(key.revoked_at),
        "lastUsedAt": time_text(key.last_used_at),
        "replacedBy": key.replaced_by,
    }


def artifacts(found: Sequence[Artifact | ArtifactRecord]) -> list[dict[str, Any]]:
    return [
        {
            "name": artifact.name,
            "size": artifact.size,
            "sha256": artifact.sha256,
            "contentType": artifact.content_type,
            "public": artifact.public,
        }
        for artifact in found
    ]


def _of_run(task: Task, run: Run) -> dict[str, Any]:
    return _run(
        task_id=task.id,
        run_id=run.number,
        script=task.script,
        status=run.status.value,
        reason=run.reason,
        message=run.message,
        exit_code=run.exit_code,
        signal=run.signal,
        duration_ms=run.duration_ms,
        log_bytes=run.log_bytes,
        log_truncated=run.log_truncated,
        artifacts=run.artifacts,
    )


def _of_run_alone(task: Task, run: Run) -> dict[str, Any]:
    document = _of_run(task, run)
    del document["taskId"], document["script"]
    return {
        **document,
        "worker": run.worker,
        "createdAt": time_text(run.created_at),
        "claimedAt": time_text(run.claimed_at),
        "startedAt": time_text(run.started_at),
        "finishedAt": time_text(run.finished_at),
    }


def _run(
    *,
    task_id: str,
    run_id: int,
    script: str,
    status: str,
    reason: str | None,
    message: str,
    exit_code: int | None,
    signal: int | None,
    duration_ms: int | None,
    log_bytes: int,
    log_truncated: bool,
    artifacts: Sequence[Artifact | ArtifactRecord],
) -> dict[str, Any]:
    return {
        "taskId": task_id,
        "runId": run_id,
        "script": script,
        "status": status,
        "reason": reason,
        "message": message or None,
        "exitCode": exit_code,
        "signal": signal,
        "durationMs": duration_ms,
        "logBytes": log_bytes,
        "logTruncated": log_truncated,
        "artifacts": _artifacts(artifacts),
    }


_artifacts = artifacts


def _schedule(task: Task) -> dict[str, Any]:
    return {"priority": task.priority, "dueAt": time_text(task.due_at), "deadline": time_text(task.deadline)}


def _cancel(task: Task) -> dict[str, Any] | None:
    if task.cancel is None:
        return None
    return {"by": task.cancel.by, "why": task.cancel.why, "at": time_text(task.cancel.at)}
