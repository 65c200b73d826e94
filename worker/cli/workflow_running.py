"""Workflow running: from the arguments of `penstock workflows` to a run, and to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from worker.cli import exit_codes
from worker.cli.deployment import opened
from worker.cli.failure import Failure, unknown
from worker.daemons.driving import workflow_definitions, workflow_driver
from worker.daemons.sources import publisher
from worker.daemons.wiring import Deployment, Store, open_deployment
from worker.model import Task
from worker.model.workflow_run import RUN_ID, WorkflowRun, WorkflowStatus
from worker.store import StoreUnavailable
from worker.store.workflow_runs import WorkflowRuns
from worker.workflows.definitions import Definition, Definitions
from worker.workflows.drive import Driver

if TYPE_CHECKING:
    from worker.workflows.start import Started

# How often the record is looked at for somebody who waits: at first at once, later seldom.
_FIRST_LOOK_S = 0.02
_MOST_SELDOM_S = 0.5
_PATIENCE_S = 15.0
_CODES = {
    WorkflowStatus.COMPLETED: exit_codes.COMPLETED,
    WorkflowStatus.FAILED: exit_codes.FAILED,
    WorkflowStatus.CANCELLED: exit_codes.INTERRUPTED,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A deployment with its store, for one command."""

    deployment: Deployment
    store: Store
    definitions: Definitions
    runs: WorkflowRuns
    driver: Driver


@asynccontextmanager
async def place_of(home: Path) -> AsyncIterator[Place]:
    deployment = open_deployment(home)
    async with opened(deployment.settings) as store:
        yield Place(
            deployment,
            store,
            workflow_definitions(deployment, store),
            WorkflowRuns(store.redis),
            workflow_driver(deployment, store, publisher(deployment, store), log=False),
        )


async def definition_of(place: Place, name: str) -> Definition:
    """Raises Failure for one that is not there."""
    found = await place.definitions.get(name)
    if found is None:
        known = [definition.workflow.name for definition in await place.definitions.all()]
        raise unknown("workflow", name, known)
    return found


async def run_of(place: Place, run_id: str) -> WorkflowRun:
    """Raises Failure for an id that is unknown, or none at all."""
    run = await place.runs.get(run_id) if RUN_ID.match(run_id) else None
    if run is None:
        raise Failure(exit_codes.NO_INPUT, f"no workflow run {run_id[:100]!r}")
    return run


async def tasks_of(place: Place, run: WorkflowRun) -> dict[str, Task]:
    ids = sorted({state.task for state in run.steps if state.task})
    found = await asyncio.gather(*(place.store.records.get(task_id) for task_id in ids))
    return {task.id: task for task in found if task is not None}


async def begin(place: Place, name: str, parameters: tuple[str, ...], source: str | None, id: str | None) -> Started:
    """Record a run for the user of this machine. Raises PayloadError with every violation, Failure for the rest."""
    from engine.errors import PayloadError
    from worker.cli.door import Form
    from worker.cli.local import entry, local_principal, record
    from worker.cli.payload import payload_from
    from worker.operations.submit import Conflict, ScriptDisabled
    from worker.workflows.start import MAX_PAYLOAD, WorkflowDisabled, start

    workflow = (await definition_of(place, name)).workflow
    payload = payload_from(parameters, source, form=Form(workflow.schema.document, MAX_PAYLOAD))
    settings = place.deployment.settings
    try:
        started = await start(
            workflow,
            payload,
            runs=place.runs,
            driver=place.driver,
            find=place.deployment.catalog.get,
            principal=local_principal(),
            trigger="cli",
            run_id=id,
        )
    except (Conflict, WorkflowDisabled, ScriptDisabled) as error:
        await record(settings, place.store, [entry("workflows.execute", name, done=False, detail=str(error))])
        code = exit_codes.DATA if isinstance(error, Conflict) else exit_codes.NOT_ALLOWED
        raise Failure(code, str(error)) from None
    except PayloadError as error:
        detail = f"malformed payload, {len(error.problems)} problems"
        await record(settings, place.store, [entry("workflows.execute", name, done=False, detail=detail)])
        raise
    await record(settings, place.store, [entry("workflows.execute", name, detail=started.run_id)])
    return started


async def again(place: Place, run_id: str) -> Started:
    """A new run from the failed steps of one that has ended. Raises Failure."""
    from worker.cli.local import entry, local_principal, record
    from worker.operations.rerun import NotFinal, PayloadForgotten
    from worker.operations.submit import ScriptDisabled
    from worker.workflows.start import NothingToRepeat, repeat

    run = await run_of(place, run_id)
    settings = place.deployment.settings
    try:
        started = await repeat(
            run,
            runs=place.runs,
            driver=place.driver,
            find=place.deployment.catalog.get,
            principal=local_principal(),
            trigger="cli",
        )
    except (NotFinal, NothingToRepeat, PayloadForgotten, ScriptDisabled) as error:
        await record(settings, place.store, [entry("workflows.rerun", run.id, done=False, detail=str(error))])
        raise Failure(exit_codes.DATA, str(error)) from None
    await record(settings, place.store, [entry("workflows.rerun", run.id, detail=started.run_id)])
    return started


async def end_of(place: Place, run_id: str, tell: Callable[[str], None]) -> WorkflowRun:
    """The run when it has ended; `tell` hears of each step that begins or ends meanwhile."""
    told: dict[str, str] = {}
    pause_s, away_s = _FIRST_LOOK_S, 0.0
    while True:
        try:
            run = await run_of(place, run_id)
            away_s = 0.0
        except StoreUnavailable:
            away_s += _MOST_SELDOM_S
            if away_s > _PATIENCE_S:
                raise
            await asyncio.sleep(_MOST_SELDOM_S)
            continue
        for state in run.steps:
            line = f"{state.name}: {state.status.value}" + (f" ({state.reason})" if state.reason else "")
            if state.attempt:
                line += f", attempt {state.attempt + 1}"
            if state.status.value != "waiting" and told.get(state.name) != line:
                told[state.name] = line
                pause_s = _FIRST_LOOK_S
                tell(line + (f" {state.task}" if state.task else "") + (f": {state.message}" if state.message else ""))
        if run.status.final:
            return run
        await asyncio.sleep(pause_s)
        pause_s = min(_MOST_SELDOM_S, pause_s * 1.5)


def exit_code_of(run: WorkflowRun) -> int:
    return _CODES[run.status]
