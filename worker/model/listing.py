"""What is read from the records besides a task: pages and events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from worker.model.status import Status
from worker.model.task import Task


class TaskPage(Struct, frozen=True):
    """Tasks, newest first, without their payloads.

    `total` counts all that match; `next` continues after the last one, None at the end.
    """

    tasks: tuple[Task, ...]
    total: int
    next: str | None = None


class Event(Struct, frozen=True):
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


class TaskFilter(Struct, frozen=True):
    """Which tasks are asked for; None asks for nothing, an empty set matches no task.

    `workers` have run it, or alone may; `workflows` are ids of workflow runs, `parents` of tasks. `since` and `until`
    (milliseconds; `until` excluded) are of when it was recorded. These two, the scripts and the statuses have indexes;
    the others have to look at each record. `text` is looked for, in any case of letters, in the id, the script's name,
    the message, tags, the idempotency key and the payload as it is shown.
    """

    scripts: frozenset[str] | None = None
    statuses: frozenset[Status] | None = None
    since: int | None = None
    until: int | None = None
    reasons: frozenset[str] | None = None
    triggers: frozenset[str] | None = None
    workers: frozenset[str] | None = None
    workflows: frozenset[str] | None = None
    parents: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    text: str | None = None

    @property
    def indexed(self) -> bool:
        others = (self.reasons, self.triggers, self.workers, self.workflows, self.parents, self.tags, self.text)
        return all(other is None for other in others)

    def admits(self, task: Task) -> bool:
        """What the indexes do not tell, but for the text; and the status, which may have changed since."""
        return (
            (self.statuses is None or task.status in self.statuses)
            and (self.reasons is None or task.reason in self.reasons)
            and (self.triggers is None or task.trigger in self.triggers)
            and (self.workers is None or any(name in self.workers for name in task.workers))
            and (self.workflows is None or (task.workflow is not None and task.workflow.run in self.workflows))
            and (self.parents is None or task.parent in self.parents)
            and (self.tags is None or self.tags <= frozenset(task.tags))
        )

    def mentioned_by(self, task: Task) -> bool:
        """Whether the text is somewhere besides the payload; so it is when there is none to look for."""
        places = (task.id, task.script, task.message, task.key or "", *task.tags)
        return self.text is None or any(self.text.casefold() in place.casefold() for place in places)

    def mentioned_in(self, payload: Any) -> bool:
        return self.text is None or self.text.casefold() in json.dumps(payload, ensure_ascii=False).casefold()


class Selection(Struct, frozen=True):
    """Tasks, newest first, without the payloads that were not asked for.

    `counts`, by status, are of all that match whatever their status; `total` of all that match. Both are None when not
    every record was looked at that would have to be. `next` continues after the last one that was looked at, None at
    the end: so a page may be short, or empty, and not be the last.
    """

    tasks: tuple[Task, ...]
    total: int | None
    counts: Mapping[Status, int] | None
    next: str | None = None
