"""Scheduled: the workflows of a deployment as schedules know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.plugin import Prepared
from worker.model.access import Principal
from worker.model.status import Status
from worker.schedules.target import NotSubmitted, Target
from worker.store.workflow_runs import WorkflowRuns
from worker.workflows.definitions import Definitions
from worker.workflows.drive import Driver
from worker.workflows.start import MAX_PAYLOAD, WorkflowDisabled, check_rights, start
from worker.workflows.workflow import Workflow


class ScheduledWorkflows:
    """Targets: see there."""

    def __init__(
        self,
        definitions: Definitions,
        runs: WorkflowRuns,
        driver: Driver,
        find: Callable[[str], Prepared | None],
    ) -> None:
        self._definitions = definitions
        self._runs = runs
        self._driver = driver
        self._find = find

    async def get(self, name: str) -> Target | None:
        found = await self._definitions.get(name)
        return None if found is None else _target(found.workflow)

    async def check(self, name: str, principal: Principal) -> None:
        found = await self._definitions.get(name)
        if found is not None:
            check_rights(found.workflow, principal, self._find)

    async def start(self, name: str, payload: bytes, principal: Principal, run_id: str, address: str | None) -> None:
        found = await self._definitions.get(name)
        if (run := await self._runs.get(run_id)) is not None and run.workflow == name:
            return  # by a beat that was killed before it could note it: it goes on, whatever changed meanwhile
        if found is None:
            raise NotSubmitted(f"there is no workflow {name} any more")
        try:
            await start(
                found.workflow,
                payload,
                runs=self._runs,
                driver=self._driver,
                find=self._find,
                principal=principal,
                trigger="schedule",
                address=address,
                run_id=run_id,
            )
        except WorkflowDisabled as error:
            raise NotSubmitted(str(error)) from None

    async def status(self, run_id: str) -> Status | None:
        run = await self._runs.get(run_id)
        return None if run is None else Status(run.status.value)


def targets_of(workflows: Mapping[str, Workflow]) -> dict[str, Target]:
    return {name: _target(workflow) for name, workflow in workflows.items()}


def _target(workflow: Workflow) -> Target:
    return Target(workflow.schema, MAX_PAYLOAD)
