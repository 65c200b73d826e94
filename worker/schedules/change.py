"""Change: make, change, switch and delete schedules. Every change of the store's schedules goes through here.

What the operator's files declare is read-only: its file is where it is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.errors import PenstockError
from worker.config import Catalog
from worker.model.access import Principal
from worker.model.schedule import Schedule
from worker.operations.authorise import check_execute
from worker.schedules.read import read_schedule
from worker.schedules.target import Targets
from worker.store.errors import InvalidName
from worker.store.schedules import ScheduleExists, Schedules


class UnknownSchedule(PenstockError):
    """There is no schedule of that name."""


class ReadOnly(PenstockError):
    """It is declared in a file of the operator's."""


class Changing(Struct, frozen=True):
    """Where schedules are kept, and what else there is. `files`: those of the operator, by name."""

    schedules: Schedules
    catalog: Catalog
    workflows: Targets
    files: Mapping[str, Schedule]

    async def find(self, name: str) -> Schedule:
        """A file hides a schedule of the store with the same name. Raises UnknownSchedule."""
        if name in self.files:
            return self.files[name]
        try:
            found = await self.schedules.get(name)
        except InvalidName:
            found = None
        if found is None:
            raise UnknownSchedule("there is no such schedule")
        return found

    async def all(self) -> tuple[Schedule, ...]:
        """By name."""
        kept = {schedule.name: schedule for schedule in await self.schedules.list()}
        return tuple(schedule for _, schedule in sorted({**kept, **self.files}.items()))

    async def read(self, name: str, value: Mapping[str, Any], owner: Principal) -> Schedule:
        """What somebody has written. Raises DeclarationError with every problem."""
        workflow = value.get("workflow")
        named = isinstance(workflow, str) and await self.workflows.get(workflow)
        known = {workflow: named} if isinstance(workflow, str) and named else {}
        return read_schedule(name, value, catalog=self.catalog, owner=owner, workflows=known)

    async def create(self, new: Schedule) -> Schedule:
        """It acts as its owner, who must be allowed to run what it runs. Raises NotAllowed, ScheduleExists."""
        await self._check(new, new.owner)
        if new.name in self.files:
            raise ScheduleExists(f"there is a schedule {new.name} already, in a file of the deployment")
        made = replace(new, updated_by=new.owner.name)
        return await self.schedules.create(made, await self.schedules.now(), secret=await self.holds_secret(made))

    async def update(self, new: Schedule) -> Schedule:
        """Put another in its place; from now on it acts as the new one's owner: whoever changes it answers for it."""
        await self._check(new, new.owner)
        old = await self._own(new.name)
        made = replace(new, updated_by=new.owner.name)
        secret = await self.holds_secret(made)
        return await self.schedules.update(old, made, await self.schedules.now(), secret=secret)

    async def switch(self, name: str, by: Principal, *, enabled: bool) -> Schedule:
        """Enable or disable. It goes on to act as it did; who enables it must be allowed to run what it runs."""
        old = await self._own(name)
        if enabled:
            await self._check(old, by)
        if old.enabled == enabled:
            return old
        made = replace(old, enabled=enabled, updated_by=by.name)
        return await self.schedules.update(old, made, await self.schedules.now())

    async def holds_secret(self, schedule: Schedule) -> bool:
        """Whether what it runs calls a part of its payload a secret; when that is gone, whether there is a payload."""
        if schedule.workflow is not None:
            target = await self.workflows.get(schedule.workflow)
            schema = target.schema if target else None
        else:
            prepared = self.catalog.get(schedule.script or "")
            schema = prepared.schema if prepared else None
        payload = schedule.payload or {}
        return bool(payload) if schema is None else bool(schema.redact(payload) != payload)

    async def remove(self, name: str) -> None:
        """Its tasks stay."""
        await self._own(name)
        if not await self.schedules.remove(name):
            raise UnknownSchedule("there is no such schedule")

    async def _own(self, name: str) -> Schedule:
        found = await self.find(name)
        if found.file is not None:
            raise ReadOnly(f"the schedule {name} is declared in a file of the deployment: change it there")
        return found

    async def _check(self, schedule: Schedule, principal: Principal) -> None:
        if schedule.workflow is not None:
            await self.workflows.check(schedule.workflow, principal)
        prepared = self.catalog.get(schedule.script or "")
        if prepared is not None:
            check_execute(principal, prepared.script)
