"""Starter: a step as a task to record, with the rights of whoever started its workflow."""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import PayloadError
from engine.plugin import Prepared
from engine.schema import dump_payload
from worker.model.access import Principal
from worker.model.task import StepTask
from worker.model.workflow_run import StartedTask, WorkflowRun, step_task_id
from worker.operations.authorise import NotAllowed
from worker.operations.submit import ScriptDisabled, new_task
from worker.workflows.plan import NotHere, StepFault
from worker.workflows.reference import Known
from worker.workflows.template import rendered
from worker.workflows.workflow import Step

TRIGGER = "workflow"


class TaskStarter:
    """For one run, at one time. `principal` None: who started the run may do nothing any more.

    `taken` are ids that another task has. A script that `find` does not know is left to another process, unless
    `patient` is False.
    """

    def __init__(
        self,
        run: WorkflowRun,
        principal: Principal | None,
        find: Callable[[str], Prepared | None],
        default_queue: str,
        *,
        patient: bool,
        taken: frozenset[str] = frozenset(),
    ) -> None:
        self._run = run
        self._principal = principal
        self._find = find
        self._default_queue = default_queue
        self._patient = patient
        self._taken = taken

    def task(self, step: Step, attempt: int, known: Known) -> StartedTask:
        task_id = step_task_id(self._run.id, step.name, attempt)
        if task_id in self._taken:
            raise StepFault("conflict", f"the id {task_id} belongs to another task")
        prepared = self._find(step.script)
        if prepared is None:
            if self._patient:
                raise NotHere
            raise StepFault("unknown-script", f"there is no script {step.script}")
        if self._principal is None:
            name = self._run.principal.name
            raise StepFault("not-allowed", f"the key of {name}, who started the workflow, is revoked or has expired")
        try:
            payload = rendered(step.payload, known, max_bytes=prepared.script.limits.payload_bytes)
            new = new_task(
                prepared,
                dump_payload(payload),
                default_queue=self._default_queue,
                trigger=TRIGGER,
                principal=self._principal,
                address=self._run.address,
                task_id=task_id,
                workflow=StepTask(self._run.id, step.name, attempt, self._inputs(step, known)),
            )
        except NotAllowed as error:
            raise StepFault("not-allowed", f"{self._principal.name}: {error}") from None
        except ScriptDisabled as error:
            raise StepFault("script-disabled", str(error)) from None
        except (PayloadError, UnicodeEncodeError) as error:
            raise StepFault("malformed-payload", str(error)) from None
        return StartedTask(new, None if step.timeout_s is None else max(1, round(step.timeout_s * 1000)))

    @staticmethod
    def _inputs(step: Step, known: Known) -> tuple[tuple[str, str], ...]:
        """Of the steps that have a task: one that was skipped has left nothing."""
        found = ((name, known.steps[name].task) for name in step.inputs)
        return tuple((name, task_id) for name, task_id in found if task_id is not None)
