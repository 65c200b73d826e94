"""View: a schedule as it is shown, with what has become of it and what comes next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from worker.model.schedule import Schedule, ScheduleState
from worker.model.status import Status
from worker.schedules.change import Changing
from worker.schedules.decide import next_run
from worker.schedules.submitting import Launched

# `schedules preview` and the API show no more at once.
MOST_PREVIEWED = 100


class ScheduleView(Struct, frozen=True):
    """`payload` has secrets masked; None when it cannot be read here, and when what is run is gone, which alone knows
    what is secret.

    `last_run` is the newest slot that was submitted, `last_task` its task, or
    `last_workflow_run` that, and `last_status` what became of it.
    """

    schedule: Schedule
    payload: Mapping[str, Any] | None
    state: ScheduleState | None
    next_run: int | None
    last_run: int | None
    last_task: str | None
    last_workflow_run: str | None
    last_status: Status | None


async def views(
    found: Iterable[Schedule], changing: Changing, launched: Callable[[str], Awaitable[Launched | None]]
) -> tuple[ScheduleView, ...]:
    """`launched`: see Submitting."""
    wanted = list(found)
    states = await changing.schedules.states(schedule.name for schedule in wanted)
    now = await changing.schedules.now()
    names = {schedule.workflow for schedule in wanted if schedule.workflow is not None}
    targets = {name: await changing.workflows.get(name) for name in names}

    async def view(schedule: Schedule) -> ScheduleView:
        state = states.get(schedule.name)
        last = state.last_task if state else None
        found = await launched(last) if last else None
        of_workflow = found.workflow if found else schedule.workflow is not None
        what = targets[schedule.workflow] if schedule.workflow else changing.catalog.get(schedule.script or "")
        return ScheduleView(
            schedule=schedule,
            payload=what.schema.redact(schedule.payload or {}) if what and not schedule.unreadable else None,
            state=state,
            next_run=next_run(schedule, state, now),
            last_run=state.last_slot if state else None,
            last_task=None if of_workflow else last,
            last_workflow_run=last if of_workflow else None,
            last_status=found.status if found else None,
        )

    return tuple([await view(schedule) for schedule in wanted])
