"""Schedule document: a schedule as the JSON that `penstock schedules` prints, and its place in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from worker.model.times import time_text

if TYPE_CHECKING:
    from worker.schedules.view import ScheduleView


def of_schedule(view: ScheduleView) -> dict[str, Any]:
    schedule, state = view.schedule, view.state
    return {
        "name": schedule.name,
        "script": schedule.script,
        "workflow": schedule.workflow,
        "cronExpression": schedule.cron,
        "timezone": schedule.timezone,
        "payload": view.payload,
        "enabled": schedule.enabled,
        "overlap": schedule.overlap,
        "catchUp": schedule.catch_up,
        "catchUpLimit": schedule.catch_up_limit,
        "jitter": schedule.jitter_s,
        "startAt": time_text(schedule.start_at),
        "endAt": time_text(schedule.end_at),
        "description": schedule.description,
        "tags": list(schedule.tags),
        "target": schedule.target,
        "source": "store" if schedule.file is None else "file",
        "file": schedule.file,
        "owner": schedule.owner.name,
        "createdAt": time_text(schedule.created_at),
        "updatedAt": time_text(schedule.updated_at),
        "updatedBy": schedule.updated_by,
        "nextRunAt": time_text(view.next_run),
        "lastRunAt": time_text(view.last_run),
        "lastTaskId": view.last_task,
        "lastWorkflowRunId": view.last_workflow_run,
        "lastStatus": view.last_status.value if view.last_status else None,
        "skipped": state.skipped if state else 0,
        "missed": state.missed if state else 0,
        "trouble": _trouble(view),
    }


def _trouble(view: ScheduleView) -> dict[str, Any] | None:
    if view.state and view.state.trouble:
        return {"message": view.state.trouble, "at": time_text(view.state.trouble_at)}
    return {"message": view.schedule.unreadable, "at": None} if view.schedule.unreadable else None


def row(document: Mapping[str, Any]) -> list[str]:
    """For HEAD."""
    from engine.log.text import printable
    from worker.cli.terminal import local_time_of

    trouble = document["trouble"]
    return [
        printable(document["name"], 100),
        printable(document["script"] or document["workflow"] or "-", 100),
        printable(document["cronExpression"], 40),
        printable(document["timezone"], 64),
        "yes" if document["enabled"] else "no",
        local_time_of(document["lastRunAt"]),
        document["lastStatus"] or "-",
        local_time_of(document["nextRunAt"]),
        printable(trouble["message"], 60) if trouble else "-",
    ]


HEAD = ("NAME", "RUNS", "CRON", "ZONE", "ENABLED", "LAST", "STATUS", "NEXT", "TROUBLE")
