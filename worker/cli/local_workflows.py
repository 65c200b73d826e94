"""Local workflows: those of the deployment in a folder, its files and its store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.cli import exit_codes
from worker.cli.deployment import opened, store_failures
from worker.cli.failure import Failure, unknown
from worker.cli.local import entry, local_principal, record
from worker.cli.workflow_document import details_of, of_run, of_workflow, run_in_list
from worker.cli.workflow_door import Started
from worker.daemons.driving import workflow_definitions, workflow_driver
from worker.daemons.sources import publisher
from worker.daemons.wiring import Deployment, Store, open_deployment
from worker.model.workflow_run import RUN_ID, WorkflowRun, WorkflowStatus
from worker.store.workflow_runs import WorkflowRuns

if TYPE_CHECKING:
    from worker.model.task import Task


class LocalWorkflows:
    """For as long as its store is open. As the local user, who may do everything."""

    patience_s = 15.0

    def __init__(self, deployment: Deployment, store: Store) -> None:
        self._deployment = deployment
        self._store = store
        self._definitions = workflow_definitions(deployment, store)
        self._runs = WorkflowRuns(store.redis)
        self._driver = workflow_driver(deployment, store, publisher(deployment, store), log=False)

    async def find(self, name: str) -> dict[str, Any] | None:
        found = await self._definitions.get(name)
        return None if found is None else details_of(found)

    async def runs(self, workflow: str | None, status: str | None, limit: int) -> dict[str, Any]:
        wanted = WorkflowStatus(status) if status else None
        page = await self._runs.page(workflow=workflow, status=wanted, limit=limit)
        return {"runs": [run_in_list(run) for run in page.runs], "next": page.next}

    async def run(self, run_id: str) -> dict[str, Any]:
        with store_failures():
            run = await self._run(run_id)
            return of_run(run, await self._tasks(run))

    async def start(self, name: str, parameters: Sequence[str], source: str | None, run_id: str | None) -> Started:
        from engine.errors import PayloadError
        from worker.cli.door import Form
        from worker.cli.payload import payload_from
        from worker.operations.submit import Conflict, ScriptDisabled
        from worker.workflows.start import MAX_PAYLOAD, WorkflowDisabled, start

        found = await self._definitions.get(name)
        if found is None:
            raise unknown("workflow", name, [each.workflow.name for each in await self._definitions.all()])
        workflow = found.workflow
        payload = payload_from(parameters, source, form=Form(workflow.schema.document, MAX_PAYLOAD))
        try:
            started = await start(
                workflow,
                payload,
                runs=self._runs,
                driver=self._driver,
                find=self._deployment.catalog.get,
                principal=local_principal(),
                trigger="cli",
                run_id=run_id,
            )
        except (Conflict, WorkflowDisabled, ScriptDisabled) as error:
            await self._record("execute", name, str(error), done=False)
            code = exit_codes.DATA if isinstance(error, Conflict) else exit_codes.NOT_ALLOWED
            raise Failure(code, str(error)) from None
        except PayloadError as error:
            await self._record("execute", name, f"malformed payload, {len(error.problems)} problems", done=False)
            raise
        await self._record("execute", name, started.run_id)
        return Started(started.run_id, started.created)

    async def rerun(self, run_id: str) -> Started:
        from worker.operations.rerun import NotFinal, PayloadForgotten
        from worker.operations.submit import ScriptDisabled
        from worker.workflows.start import NothingToRepeat, repeat

        run = await self._run(run_id)
        try:
            started = await repeat(
                run,
                runs=self._runs,
                driver=self._driver,
                find=self._deployment.catalog.get,
                principal=local_principal(),
                trigger="cli",
            )
        except (NotFinal, NothingToRepeat, PayloadForgotten, ScriptDisabled) as error:
            await self._record("rerun", run.id, str(error), done=False)
            code = exit_codes.NOT_ALLOWED if isinstance(error, ScriptDisabled) else exit_codes.DATA
            raise Failure(code, str(error)) from None
        await self._record("rerun", run.id, started.run_id)
        return Started(started.run_id, started.created)

    async def cancel(self, run_id: str, why: str) -> tuple[str, str]:
        from worker.workflows.stop import stop

        run = await self._run(run_id)
        outcome, status = await stop(run.id, runs=self._runs, driver=self._driver, by=local_principal().name, why=why)
        await self._record("cancel", run.id, outcome, done=outcome in ("requested", "already"))
        now = await self._runs.get(run.id)
        return outcome, (now.status if now else status or run.status).value

    async def list(self) -> list[dict[str, Any]]:
        return [of_workflow(definition) for definition in await self._definitions.all()]

    async def _run(self, run_id: str) -> WorkflowRun:
        run = await self._runs.get(run_id) if RUN_ID.match(run_id) else None
        if run is None:
            raise Failure(exit_codes.NO_INPUT, f"no workflow run {run_id[:100]!r}")
        return run

    async def _tasks(self, run: WorkflowRun) -> dict[str, Task]:
        ids = sorted({state.task for state in run.steps if state.task})
        found = await asyncio.gather(*(self._store.records.get(task_id) for task_id in ids))
        return {task.id: task for task in found if task is not None}

    async def _record(self, verb: str, target: str, detail: str, *, done: bool = True) -> None:
        told = entry(f"workflows.{verb}", target, done=done, detail=detail)
        await record(self._deployment.settings, self._store, [told])


@asynccontextmanager
async def local_workflows(home: Path) -> AsyncIterator[LocalWorkflows]:
    deployment = open_deployment(home)
    async with opened(deployment.settings) as store:
        yield LocalWorkflows(deployment, store)


def workflow_of_file(home: Path, name: str) -> dict[str, Any] | None:
    """That one without the store. Raises DeclarationError with every problem of the deployment."""
    from worker.workflows.definitions import Definition
    from worker.workflows.load import load_workflows

    files = load_workflows(home, open_deployment(home).catalog.scripts)
    return details_of(Definition(files[name])) if name in files else None
