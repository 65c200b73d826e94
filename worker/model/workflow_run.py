"""Workflow run: one execution of a workflow, with the state of each of its steps. Pure; times as in task.py."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from engine.hiding import Hiding
from worker.model.access import Principal
from worker.model.status import Status
from worker.model.task import TASK_ID, CancelRequest, NewTask, StepTask

# As the name of a script: it becomes part of a key, a file name and a URL. A step's becomes the name of a folder.
WORKFLOW_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
RUN_ID = TASK_ID
# A workflow with more is refused before anything else is looked at.
STEPS = 200


class WorkflowStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (WorkflowStatus.PENDING, WorkflowStatus.RUNNING)


class StepStatus(StrEnum):
    """`WAITING`: for other steps. `RUNNING`: its task is recorded, and waits or runs. The rest is final."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def final(self) -> bool:
        return self not in (StepStatus.WAITING, StepStatus.RUNNING)

    @property
    def bad(self) -> bool:
        """Whether the step has failed, in whatever way."""
        return self in (StepStatus.FAILED, StepStatus.EXCEPTION, StepStatus.TIMEOUT, StepStatus.CANCELLED)


class StepState(Struct, frozen=True):
    """What has become of one step. `task` is the newest attempt's, `attempt` its number, counted from 0.

    A step that is skipped, or fails before a task is made of it, has none. `kept`: the task is one of the run that
    this run repeats.
    """

    name: str
    status: StepStatus = StepStatus.WAITING
    attempt: int = 0
    task: str | None = None
    reason: str | None = None
    message: str = ""
    started_at: int | None = None
    finished_at: int | None = None
    kept: bool = False


class WorkflowRun(Hiding, frozen=True):
    """`definition` is the JSON of the workflow as it was when the run was started: later changes do not matter.

    `input` is the exact JSON of the payload, forgotten when the run has ended; `shown` the same with secrets masked.
    `version` grows with every change, and with every end of a step's task: who changes the run names the version that
    was read. `changed_at`: of the last change by a driver.
    """

    HIDDEN = frozenset({"definition", "shown", "input"})

    id: str
    workflow: str
    status: WorkflowStatus
    version: int
    definition: str
    shown: Any
    digest: str
    principal: Principal
    trigger: str
    created_at: int
    changed_at: int
    steps: tuple[StepState, ...]
    input: bytes | None = None
    address: str | None = None
    finished_at: int | None = None
    cancel: CancelRequest | None = None
    rerun_of: str | None = None

    @property
    def failed_steps(self) -> tuple[str, ...]:
        return tuple(step.name for step in self.steps if step.status.bad)


class NewWorkflowRun(Hiding, frozen=True):
    """What is recorded when a run is started. `principal` is who every step is started for."""

    HIDDEN = frozenset({"definition", "input", "shown"})

    id: str
    workflow: str
    definition: str
    input: bytes
    shown: str
    digest: str
    principal: Principal
    trigger: str
    steps: tuple[StepState, ...]
    address: str | None = None
    rerun_of: str | None = None


class StartedTask(Struct, frozen=True):
    """A task to record together with the change of its run. `timeout_ms` from then on it has ended."""

    task: NewTask
    timeout_ms: int | None = None


class Advance(Struct, frozen=True):
    """One change of a run: its status and all its steps afterwards, and the tasks that are recorded with it."""

    status: WorkflowStatus
    steps: tuple[StepState, ...]
    tasks: tuple[StartedTask, ...] = ()


class Advanced(StrEnum):
    """`STALE`: the run was changed since it was read. `CONFLICT`: an id of a task is another task's."""

    DONE = "done"
    STALE = "stale"
    CONFLICT = "conflict"


class WorkflowRunPage(Struct, frozen=True):
    """Runs, newest first. `next` continues after the last one, None at the end."""

    runs: tuple[WorkflowRun, ...]
    next: str | None = None


class StoredWorkflow(Struct, frozen=True):
    """A workflow that was made through the API. `document` is what was sent, `version` counts its changes from 1."""

    name: str
    document: Mapping[str, Any]
    version: int
    created_at: int
    created_by: str
    updated_at: int
    updated_by: str


def step_task_id(run: str, step: str, attempt: int) -> str:
    """The id of a step's task: always the same for the same attempt, so that starting it twice changes nothing."""
    return "w-" + hashlib.sha256(json.dumps([run, step, attempt]).encode()).hexdigest()[:32]


__all__ = [
    "RUN_ID",
    "STEPS",
    "WORKFLOW_NAME",
    "Advance",
    "Advanced",
    "NewWorkflowRun",
    "StartedTask",
    "Status",
    "StepState",
    "StepStatus",
    "StepTask",
    "StoredWorkflow",
    "WorkflowRun",
    "WorkflowRunPage",
    "WorkflowStatus",
    "step_task_id",
]
