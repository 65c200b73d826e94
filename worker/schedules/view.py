"""View: a schedule as it is shown, with what has become of it and what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from worker.config import Catalog
from worker.model import Status
from worker.model.schedule import Schedule, ScheduleState
from worker.schedules.decide import next_run
from worker.store import Records
from worker.store.schedules import Schedules

# `schedules preview` and the API show no more at once.
MOST_PREVIEWED = 100


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """`payload` has secrets masked; None when the script is gone, which alone knows what is secret.

    `last_run` is the newest slot that was submitted, `last_task` its task and `last_status` what became of that.
    """

    schedule: Schedule
    payload: Mapping[str, Any] | None
    state: ScheduleState | None
    next_run: int | None
    last_run: int | None
    last_task: str | None
    last_status: Status | None


async def views(
    found: Iterable[Schedule], schedules: Schedules, records: Records, catalog: Catalog
) -> tuple[ScheduleView, ...]:
    wanted = list(found)
    states = await schedules.states(schedule.name for schedule in wanted)
    now = await schedules.now()
    return tuple([await _view(schedule, states.get(schedule.name), now, records, catalog) for schedule in wanted])


async def _view(
    schedule: Schedule, state: ScheduleState | None, now: int, records: Records, catalog: Catalog
) -> ScheduleView:
    last = state.last_task if state else None
    task = await records.get(last) if last else None
    prepared = catalog.get(schedule.script or "")
    return ScheduleView(
        schedule=schedule,
        payload=prepared.schema.redact(schedule.payload or {}) if prepared else None,
        state=state,
        next_run=next_run(schedule, state, now),
        last_run=state.last_slot if state else None,
        last_task=last,
        last_status=task.status if task else None,
    )
