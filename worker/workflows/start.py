"""Start: a run of a workflow, from its payload to its record; and another one of a run that has ended."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from engine.errors import PayloadError, PenstockError, Problem
from engine.plugin import Prepared
from engine.schema import dump_payload, parse_payload
from worker.broker import BrokerAway
from worker.model.access import Principal
from worker.model.workflow_run import (
    RUN_ID,
    NewWorkflowRun,
    StepState,
    StepStatus,
    WorkflowRun,
)
from worker.operations.authorise import NotAllowed, missing_to_execute
from worker.operations.digest import digest_of, open_digest
from worker.operations.rerun import NotFinal, PayloadForgotten
from worker.operations.submit import Conflict, ScriptDisabled
from worker.store.workflow_runs import WorkflowRuns
from worker.workflows.drive import Driver, snapshot
from worker.workflows.plan import NOT_WANTED
from worker.workflows.workflow import Workflow

# As a script's default; the whole is repeated in every run.
MAX_PAYLOAD = 256 * 1024


class WorkflowDisabled(PenstockError):
    """The workflow is declared `enabled: false`."""


class NothingToRepeat(PenstockError):
    """All steps of the run have completed."""


class Started(Struct, frozen=True):
    """`created` is False when the same run was there already. `digest`: as open_digest has it."""

    run_id: str
    created: bool
    digest: str | None


async def start(
    workflow: Workflow,
    payload: bytes,
    *,
    runs: WorkflowRuns,
    driver: Driver,
    find: Callable[[str], Prepared | None],
    principal: Principal,
    trigger: str,
    address: str | None = None,
    run_id: str | None = None,
) -> Started:
    """Record a run and begin its first steps. `payload` is UTF-8 JSON.

    Raises NotAllowed with all that is missing: `workflows:execute`, and the right to each step's script. Raises
    WorkflowDisabled, ScriptDisabled, PayloadError with every violation, Conflict when the id is that of a run of
    another workflow or payload. The same id with the same payload is the same run. What cannot be published now is
    published by a worker.
    """
    check_start(workflow, principal, find)
    if not workflow.enabled:
        raise WorkflowDisabled(f"the workflow {workflow.name} is disabled")
    if run_id is not None and not RUN_ID.match(run_id):
        raise PayloadError([Problem(f"an id has the form {RUN_ID.pattern}, not {run_id!r:.100}", "/id")])
    value = parse_payload(payload, max_bytes=MAX_PAYLOAD)
    violations = workflow.schema.check(value)
    if violations:
        raise PayloadError(violations)
    return await _record(
        NewWorkflowRun(
            id=run_id or str(uuid.uuid4()),
            workflow=workflow.name,
            definition=dump_payload(workflow.document).decode(),
            input=(exact := dump_payload(value)),
            shown=dump_payload(workflow.schema.redact(value)).decode(),
            digest=digest_of(exact),
            principal=principal,
            trigger=trigger,
            steps=tuple(StepState(step.name) for step in workflow.steps),
            address=address,
        ),
        runs,
        driver,
    )


async def repeat(
    run: WorkflowRun,
    *,
    runs: WorkflowRuns,
    driver: Driver,
    find: Callable[[str], Prepared | None],
    principal: Principal,
    trigger: str,
    address: str | None = None,
    run_id: str | None = None,
) -> Started:
    """A new run of the same definition with the same payload, from the failed steps on.

    Steps that completed, or were not wanted, and stand behind none that is repeated, keep their task and its result.
    Raises NotFinal, NothingToRepeat, PayloadForgotten when the payload held secrets, and NotAllowed as `start` does.
    """
    if not run.status.final:
        raise NotFinal(f"the run is {run.status.value}")
    workflow = snapshot(run.workflow, run.definition)
    check_start(workflow, principal, find)
    exact = dump_payload(run.shown)
    if open_digest(run) is None:
        raise PayloadForgotten("the payload held secrets, which are not kept: start the workflow again")
    again = {state.name for state in run.steps if not _done(state)}
    if not again:
        raise NothingToRepeat("all steps of the run have completed")
    for name in tuple(again):
        again |= workflow.after(name)
    return await _record(
        NewWorkflowRun(
            id=run_id or str(uuid.uuid4()),
            workflow=run.workflow,
            definition=run.definition,
            input=exact,
            shown=exact.decode(),
            digest=run.digest,
            principal=principal,
            trigger=trigger,
            steps=tuple(StepState(state.name) if state.name in again else _kept(state) for state in run.steps),
            address=address,
            rerun_of=run.id,
        ),
        runs,
        driver,
    )


def check_start(workflow: Workflow, principal: Principal, find: Callable[[str], Prepared | None]) -> None:
    """Raises NotAllowed, ScriptDisabled, PayloadError for a script that is not there any more."""
    check_rights(workflow, principal, find)
    for number, step in enumerate(workflow.steps):
        prepared = find(step.script)
        if prepared is None:
            place = f"/steps/{number}/script"
            raise PayloadError([Problem(f"the script {step.script} of the step {step.name} is not there", place)])
        if not prepared.script.enabled:
            raise ScriptDisabled(f"the script {step.script} of the step {step.name} is disabled")


def check_rights(workflow: Workflow, principal: Principal, find: Callable[[str], Prepared | None]) -> None:
    """Whether the principal may start it, and run each of its scripts. Raises NotAllowed."""
    needed = f"workflows:execute:{workflow.name}"
    if not principal.may(needed):
        raise NotAllowed(needed)
    check_steps(workflow, principal, find)


def check_steps(workflow: Workflow, principal: Principal, find: Callable[[str], Prepared | None]) -> None:
    """Whether the principal may run each step's script. Raises NotAllowed for the first that is not."""
    for step in workflow.steps:
        prepared = find(step.script)
        if prepared is not None and (missing := missing_to_execute(principal, prepared.script)):
            raise NotAllowed(*missing)


async def _record(new: NewWorkflowRun, runs: WorkflowRuns, driver: Driver) -> Started:
    outcome = await runs.start(new)
    if outcome == "conflict":
        raise Conflict(f"the id {new.id} belongs to a run of another workflow or payload")
    try:
        await driver.advance(new.id)
    except BrokerAway:
        pass  # it is recorded, and published when the broker is back
    return Started(new.id, outcome == "created", new.digest if new.shown.encode() == new.input else None)


def _done(state: StepState) -> bool:
    return state.status is StepStatus.COMPLETED or (state.status is StepStatus.SKIPPED and state.reason == NOT_WANTED)


def _kept(state: StepState) -> StepState:
    return replace(state, kept=True)
