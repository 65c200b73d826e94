"""Local schedules: those of the deployment in a folder, its files and its store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.cli import exit_codes
from worker.cli.failure import Failure
from worker.cli.schedule_door import Given

if TYPE_CHECKING:
    from worker.daemons.wiring import Deployment, Store
    from worker.model.schedule import Schedule
    from worker.schedules.change import Changing
    from worker.schedules.submitting import Submitting


class LocalSchedules:
    """For as long as its store is open. As the local user, who may do everything."""

    def __init__(self, deployment: Deployment, store: Store, changing: Changing, by: Submitting) -> None:
        self._deployment = deployment
        self._store = store
        self._changing = changing
        self._by = by

    async def show(self, name: str) -> dict[str, Any]:
        with failures():
            return await self._document(await self._changing.find(name))

    async def create(self, name: str, given: Given) -> dict[str, Any]:
        from worker.cli.local import local_principal

        with failures():
            value = {**given.fields, "payload": await self._payload(given.fields, given)}
            made = await self._changing.create(await self._changing.read(name, value, local_principal()))
            await self._record("schedules.create", name)
            return await self._document(made)

    async def update(self, name: str, given: Given) -> dict[str, Any]:
        from worker.cli.local import local_principal
        from worker.schedules.amend import amended

        with failures():
            before = await self._changing.find(name)
            value = amended(before, {**given.fields, "payload": {}} if given.payload else given.fields)
            if given.payload:
                value["payload"] = await self._payload(value, given)
            made = await self._changing.update(await self._changing.read(name, value, local_principal()))
            await self._record("schedules.update", name)
            return await self._document(made)

    async def switch(self, name: str, *, enabled: bool) -> None:
        from worker.cli.local import local_principal

        with failures():
            await self._changing.switch(name, local_principal(), enabled=enabled)
            await self._record(f"schedules.{'enable' if enabled else 'disable'}", name)

    async def delete(self, name: str) -> None:
        with failures():
            await self._changing.remove(name)
            await self._record("schedules.delete", name)

    async def trigger(self, name: str) -> str:
        from worker.cli.local import local_principal
        from worker.schedules.submitting import trigger

        with failures():
            schedule = await self._changing.find(name)
            id = await trigger(schedule, local_principal(), self._changing.catalog, self._by)
            await self._record("schedules.trigger", name, id)
            return id

    async def _document(self, schedule: Schedule) -> dict[str, Any]:
        [found] = await self._documents(schedule)
        return found

    async def _documents(self, *schedules: Schedule) -> list[dict[str, Any]]:
        from worker.cli.schedule_document import of_schedule
        from worker.schedules.view import views

        return [of_schedule(view) for view in await views(schedules, self._changing, self._by.launched)]

    async def _payload(self, target: Mapping[str, Any], given: Given) -> dict[str, Any]:
        from worker.cli.door import Form
        from worker.cli.payload import payload_from

        prepared = self._deployment.catalog.get(target.get("script") or "")
        workflow = await self._by.workflows.get(target.get("workflow") or "")
        if prepared is not None:
            form = Form(prepared.schema.document, prepared.script.limits.payload_bytes)
        elif workflow is not None:
            form = Form(workflow.schema.document, workflow.payload_bytes)
        else:
            return {}  # which is told with all else that is wrong
        found: dict[str, Any] = json.loads(payload_from(given.parameters, given.source, form=form))
        return found

    async def _record(self, action: str, name: str, detail: str = "") -> None:
        from worker.cli.local import entry, record

        await record(self._deployment.settings, self._store, [entry(action, name, detail=detail)])

    async def list(self) -> list[dict[str, Any]]:
        return await self._documents(*await self._changing.all())


@asynccontextmanager
async def local_schedules(home: Path) -> AsyncIterator[LocalSchedules]:
    async with local_changing(home) as (deployment, store, changing, by):
        yield LocalSchedules(deployment, store, changing, by)


@asynccontextmanager
async def local_changing(home: Path) -> AsyncIterator[tuple[Deployment, Store, Changing, Submitting]]:
    """What it takes to read and change them."""
    from worker.cli.deployment import opened
    from worker.daemons.driving import workflow_definitions
    from worker.daemons.scheduled import targets_of
    from worker.daemons.ticking import submitting
    from worker.daemons.wiring import open_deployment, registered_scripts
    from worker.schedules.change import Changing
    from worker.schedules.files import folder_of, load_schedules

    deployment = open_deployment(home)
    async with opened(deployment.settings) as store:
        definitions = workflow_definitions(deployment, store)
        files = load_schedules(folder_of(home), deployment.catalog, targets_of(definitions.files))
        await registered_scripts(deployment, store).look()
        by = submitting(deployment, store, definitions, log=False)
        changing = Changing(by.schedules, deployment.catalog, by.workflows, files)
        yield deployment, store, changing, by


@contextmanager
def failures() -> Iterator[None]:
    from worker.model.sealing import Unsealable
    from worker.operations.submit import ScriptDisabled
    from worker.schedules.change import ReadOnly, UnknownSchedule
    from worker.schedules.target import NotSubmitted
    from worker.store.schedules import ScheduleChanged, ScheduleExists, TooManySchedules

    try:
        yield
    except UnknownSchedule as error:
        raise Failure(exit_codes.NO_INPUT, str(error)) from None
    except (ReadOnly, ScheduleChanged, ScheduleExists, TooManySchedules, NotSubmitted, Unsealable) as error:
        raise Failure(exit_codes.DATA, str(error)) from None
    except ScriptDisabled as error:
        raise Failure(exit_codes.NOT_ALLOWED, str(error)) from None
