"""Drive: advance runs when their tasks have ended. Any number of processes may do it, and may die at any point.

That a run is to be advanced is written together with the end of a task, and taken back together with the change that
follows from it, which is made only to a run that is still as it was read. The tasks that begin are recorded in that
same call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import lru_cache

import structlog

from engine.errors import DeclarationError, PenstockError
from engine.plugin import Prepared
from worker.broker import BrokerAway, Publisher
from worker.model.access import Principal
from worker.model.answers import Hint
from worker.model.task import Task
from worker.model.workflow_run import Advance, Advanced, StepState, StepStatus, WorkflowRun, WorkflowStatus
from worker.store import Records, StoreUnavailable
from worker.store.workflow_runs import WorkflowRuns
from worker.workflows.plan import Plan, plan, wanted_tasks
from worker.workflows.read import read_workflow
from worker.workflows.starter import TaskStarter
from worker.workflows.workflow import Workflow

_logger = structlog.get_logger("penstock.worker")
_LIMIT = 50
# Somebody else changes the run at the same time; after so many tries it is left for the next look.
_TRIES = 20
# A step whose script nobody who looked knew for so long is given up.
_PATIENCE_MS = 60_000

Rights = Callable[[Principal], Awaitable[Principal | None]]


class Driver:
    """`rights` says what a principal may do now; None: nothing any more. `on_change` hears of what was recorded."""

    def __init__(
        self,
        runs: WorkflowRuns,
        records: Records,
        publisher: Publisher,
        find: Callable[[str], Prepared | None],
        default_queue: str,
        rights: Rights,
        on_change: Callable[[WorkflowRun, Advance], None] = lambda run, advance: None,
    ) -> None:
        self._runs = runs
        self._records = records
        self._publisher = publisher
        self._find = find
        self._default_queue = default_queue
        self._rights = rights
        self._on_change = on_change

    async def sweep(self) -> None:
        """Advance whatever is due. Raises StoreUnavailable, and BrokerAway when tasks were recorded and not published.

        A run that cannot be advanced does not hold up the others.
        """
        while due := await self._runs.due(_LIMIT):
            for run_id in due:
                try:
                    await self.advance(run_id)
                except (StoreUnavailable, BrokerAway):
                    raise
                except PenstockError as error:
                    _logger.error("cannot advance a workflow", run=run_id, error=str(error))
            if len(due) < _LIMIT:
                return

    async def advance(self, run_id: str) -> None:
        """Bring one run as far as it can be now. Twice, or by several at a time, is the same as once."""
        taken: frozenset[str] = frozenset()
        for _ in range(_TRIES):
            run, now = await self._runs.look_up(run_id)
            if run is None:
                return
            next_ = await self._plan(run, now, taken)
            for task_id in next_.cancel:
                assert run.cancel
                await self._records.cancel(task_id, run.cancel.by, run.cancel.why)
            unchanged = next_.advance.steps == run.steps and next_.advance.status is run.status
            if next_.left and unchanged:
                return  # it stays due, and another process may know the script
            answer = await self._runs.advance(run, next_.advance, again=next_.left)
            if answer.outcome is Advanced.CONFLICT and answer.conflict:
                taken |= {answer.conflict}
                continue
            if answer.outcome is Advanced.STALE:
                if run.status.final:
                    return
                continue
            self._on_change(run, next_.advance)
            await self._publish(answer.publish)
            return

    async def _plan(self, run: WorkflowRun, now: int, taken: frozenset[str]) -> Plan:
        if run.status.final:
            return Plan(Advance(run.status, run.steps))
        try:
            workflow = snapshot(run.workflow, run.definition)
        except DeclarationError as error:
            return Plan(_given_up(run, f"its definition cannot be read any more: {error}", now))
        ids = sorted(wanted_tasks(workflow, run))
        found = await asyncio.gather(*(self._records.get(task_id) for task_id in ids))
        tasks: dict[str, Task] = {task.id: task for task in found if task is not None}
        starter = TaskStarter(
            run,
            await self._rights(run.principal),
            self._find,
            self._default_queue,
            patient=now - run.changed_at < _PATIENCE_MS,
            taken=taken,
        )
        return plan(workflow, run, tasks, starter, now)

    async def _publish(self, hints: tuple[Hint, ...]) -> None:
        for hint in hints:
            await self._publisher.publish(hint.script, hint.task_id, hint.queue, hint.priority)


def log_change(run: WorkflowRun, advance: Advance) -> None:
    """For daemons: a line for each step that has begun or ended, and one for the end of the run."""
    before = {state.name: state.status for state in run.steps}
    for state in advance.steps:
        if state.status is not before[state.name]:
            _logger.info(
                "workflow step",
                workflow=run.workflow,
                run=run.id,
                step=state.name,
                status=state.status.value,
                reason=state.reason,
                task=state.task,
            )
    if advance.status.final:
        _logger.info("workflow ended", workflow=run.workflow, run=run.id, status=advance.status.value)


@lru_cache(maxsize=64)
def snapshot(name: str, definition: str) -> Workflow:
    """The workflow of a run, as it was when the run was started."""
    return read_workflow(name, json.loads(definition), scripts=None)


def _given_up(run: WorkflowRun, why: str, now: int) -> Advance:
    steps = tuple(
        state
        if state.status.final
        else StepState(state.name, StepStatus.EXCEPTION, state.attempt, state.task, "internal-error", why, None, now)
        for state in run.steps
    )
    return Advance(WorkflowStatus.FAILED, steps)
