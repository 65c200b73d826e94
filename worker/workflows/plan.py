"""Plan: what becomes of a run, from how its tasks have ended. Pure; tasks are started by somebody else."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from worker.model.task import Task
from worker.model.workflow_run import Advance, StartedTask, StepState, StepStatus, WorkflowRun, WorkflowStatus
from worker.workflows.reference import MISSING, Known, Missing, StepValues
from worker.workflows.workflow import Step, Workflow

# Another try would end the same way.
_NOT_AGAIN = frozenset({"malformed-payload", "not-allowed", "script-disabled"})
STOPPED, CANCELLED, NOT_WANTED = "stopped", "cancelled", "when"


class StepFault(Exception):
    """No task can be made of a step: it ends as `exception` with this reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class NotHere(Exception):
    """This process cannot start the step, and another one may."""


class Starter(Protocol):
    """Makes the tasks of steps."""

    def task(self, step: Step, attempt: int, known: Known) -> StartedTask:
        """Raises StepFault, NotHere."""


class Plan(Struct, frozen=True):
    """`cancel`: tasks that are to be ended first. `left`: a step could not be started here."""

    advance: Advance
    cancel: tuple[str, ...] = ()
    left: bool = False


class _Planning(Struct):
    workflow: Workflow
    run: WorkflowRun
    tasks: Mapping[str, Task]
    starter: Starter
    now: int
    states: dict[str, StepState]
    started: list[StartedTask] = field(default_factory=list)
    left: bool = False


def plan(workflow: Workflow, run: WorkflowRun, tasks: Mapping[str, Task], starter: Starter, now: int) -> Plan:
    """The next change of a run that has not ended. `tasks` are those of its steps, by id, as they are recorded now."""
    planning = _Planning(workflow, run, tasks, starter, now, {state.name: state for state in run.steps})
    for step in workflow.steps:
        _settle(planning, step)
    for step in workflow.steps:
        if planning.states[step.name].status is StepStatus.WAITING:
            _begin(planning, step)
    states = tuple(planning.states[state.name] for state in run.steps)
    running = [state for state in states if state.status is StepStatus.RUNNING]
    cancel = tuple(state.task for state in running if state.task) if run.cancel else ()
    return Plan(
        Advance(_status(run, states), states, tuple(planning.started)),
        cancel=cancel,
        left=planning.left,
    )


def wanted_tasks(workflow: Workflow, run: WorkflowRun) -> Collection[str]:
    """The ids of the tasks that `plan` has to know: those that run, and those that a waiting step refers to."""
    states = {state.name: state for state in run.steps}
    wanted = {state.task for state in run.steps if state.status is StepStatus.RUNNING}
    for step in workflow.steps:
        # What runs may be followed by another attempt.
        if not states[step.name].status.final:
            named = {reference.step for reference in step.references() if reference.step}
            wanted |= {states[name].task for name in named if states[name].status.final}
    return {task_id for task_id in wanted if task_id}


def _settle(planning: _Planning, step: Step) -> None:
    """Take over how the task of a running step has ended."""
    state = planning.states[step.name]
    if state.status is not StepStatus.RUNNING:
        return
    task = planning.tasks.get(state.task or "")
    if task is None:
        message = f"its task {state.task} was removed"
        planning.states[step.name] = _ended(state, StepStatus.EXCEPTION, "task-removed", message, planning.now)
        return
    if not task.status.final:
        return
    ended = _ended(state, StepStatus(task.status.value), task.reason, task.message, task.finished_at or planning.now)
    again = ended.status.bad and ended.status is not StepStatus.CANCELLED and ended.reason not in _NOT_AGAIN
    if again and state.attempt < step.retries and not planning.run.cancel:
        ended = replace(ended, status=StepStatus.WAITING, attempt=state.attempt + 1)
    planning.states[step.name] = ended


def _begin(planning: _Planning, step: Step) -> None:
    """Start a step that waits, or end it without a task, when its time has come."""
    states, state = planning.states, planning.states[step.name]
    again = state.attempt > 0
    if planning.run.cancel:
        states[step.name] = _not_begun(planning, step, CANCELLED)
        return
    if any(states[other.name].status.bad and other.stops for other in planning.workflow.steps):
        states[step.name] = _not_begun(planning, step, STOPPED)
        return
    if not all(states[needed].status.final for needed in step.needs):
        return
    known = _known(planning)
    if not again and step.when and not step.when.holds(known):
        states[step.name] = _ended(state, StepStatus.SKIPPED, NOT_WANTED, f"not: {step.when.text}", planning.now)
        return
    try:
        started = planning.starter.task(step, state.attempt, known)
    except NotHere:
        planning.left = True
        return
    except StepFault as fault:
        states[step.name] = _ended(
            replace(state, task=None), StepStatus.EXCEPTION, fault.reason, fault.message, planning.now
        )
        return
    planning.started.append(started)
    states[step.name] = StepState(
        step.name,
        StepStatus.RUNNING,
        state.attempt,
        started.task.id,
        started_at=state.started_at or planning.now,
    )


def _not_begun(planning: _Planning, step: Step, why: str) -> StepState:
    """A step that is not to begin any more. One that was to be tried again has failed by then."""
    state = planning.states[step.name]
    task = planning.tasks.get(state.task or "")
    if state.attempt > 0 and task is not None and task.status.final:
        return replace(state, status=StepStatus(task.status.value), attempt=state.attempt - 1)
    return _ended(state, StepStatus.SKIPPED, why, "", planning.now)


def _ended(state: StepState, status: StepStatus, reason: str | None, message: str, at: int) -> StepState:
    return replace(state, status=status, reason=reason, message=message, finished_at=at)


def _status(run: WorkflowRun, states: tuple[StepState, ...]) -> WorkflowStatus:
    if any(not state.status.final for state in states):
        begun = any(state.status is not StepStatus.WAITING for state in states)
        return WorkflowStatus.RUNNING if begun else WorkflowStatus.PENDING
    if run.cancel and any(state.status is StepStatus.CANCELLED or state.reason == CANCELLED for state in states):
        return WorkflowStatus.CANCELLED
    return WorkflowStatus.FAILED if any(state.status.bad for state in states) else WorkflowStatus.COMPLETED


def _known(planning: _Planning) -> Known:
    run = planning.run
    return Known(
        run.id,
        run.workflow,
        json.loads(run.input) if run.input is not None else {},
        {name: _values(state, planning.tasks.get(state.task or "")) for name, state in planning.states.items()},
    )


def _values(state: StepState, task: Task | None) -> StepValues:
    if task is None or not state.status.final:
        return StepValues(state.status.value, state.reason, task=state.task)
    last = task.runs[-1]
    result: Any | Missing = MISSING if last.result is None else json.loads(last.result)
    return StepValues(state.status.value, state.reason, last.exit_code, state.task, result)
