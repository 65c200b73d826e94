"""What is read from the records besides a task: pages and events."""

from __future__ import annotations

from dataclasses import dataclass

from worker.model.status import Status
from worker.model.task import Task


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Tasks, newest first.

    `total` counts all that match; `next` continues after the last one, None at the end.
    """

    tasks: tuple[Task, ...]
    total: int
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One change of a record.

    `kind`: `registered` (a run became pending), `claimed`, `cancel-requested`, `resolved`, `expired` (its
    lease passed), `overdue` (its deadline passed, or the time by which it was to start) or `cancelled` (before it
    started). `status` is the run's. `id` orders the events and starts
    with the store's time in milliseconds.
    """

    id: str
    kind: str
    task_id: str
    script: str
    run: int
    status: Status
    reason: str | None = None
    worker: str | None = None
