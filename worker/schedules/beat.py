"""Beat: submits what is due, and says when to look again. Any number of them may run, each killed at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from engine.log.text import printable
from worker.config import Catalog
from worker.model.audit import AuditEntry
from worker.model.schedule import Schedule, ScheduleState
from worker.model.status import FINAL
from worker.schedules.cron import CronError
from worker.schedules.decide import Timing, begun, decide, earliest, start_ms
from worker.schedules.declared import Known
from worker.schedules.submitting import Refused, Submitting, submit_slot
from worker.schedules.target import NotSubmitted

_logger = structlog.get_logger("penstock.beat")
# Two beats that decide at the same time: the second finds on its next try what the first decided.
_TRIES = 5
_SHOWN = 300
# At the full hour many are due: so many are dealt with at the same time.
_AT_A_TIME = 16


class Beat:
    """`known` is asked at each tick. Not safe for two ticks at a time."""

    def __init__(self, known: Callable[[], Known], submitting: Submitting) -> None:
        self._known = known
        self._by = submitting
        self._schedules = submitting.schedules
        self._next: dict[str, tuple[tuple[str, int] | None, int | None]] = {}

    async def tick(self, now: int) -> int | None:
        """Deal with all slots up to `now`; the time of the next one, None when there is none to come.

        Now, when something waits for the end of a task. Raises StoreUnavailable; what was begun then is gone on with
        by the next tick, of this beat or of another.
        """
        known = self._known()
        schedules = {schedule.name: schedule for schedule in await self._schedules.list()} | dict(known.files)
        states = await self._schedules.states(schedules)
        for schedule in known.files.values():
            if schedule.name not in states:
                await self._schedules.begin(schedule, now)
        if states.keys() != schedules.keys():
            states = await self._schedules.states(schedules)
        room = asyncio.Semaphore(_AT_A_TIME)

        async def one(name: str, state: ScheduleState) -> int | None:
            async with room:
                return await self._one(schedules[name], state, known.catalog, now)

        # Each is dealt with, also when one fails.
        found = await asyncio.gather(*(one(name, state) for name, state in states.items()), return_exceptions=True)
        for failure in found:
            if isinstance(failure, BaseException):
                raise failure
        self._next = {name: self._next[name] for name in states if name in self._next}
        return earliest(at for at in found if not isinstance(at, BaseException))

    async def _one(self, schedule: Schedule, state: ScheduleState, catalog: Catalog, now: int) -> int | None:
        try:
            timing = Timing.of(schedule)
        except (CronError, KeyError, ValueError, OSError) as error:
            # It was checked when it was saved: the zone may have gone with another version of the database.
            _logger.error("a schedule cannot be understood", schedule=schedule.name, error=printable(str(error), 300))
            return None
        state = await self._settled(schedule, state, catalog, now)
        state = await self._decided(schedule, timing, state, catalog, now)
        if not schedule.enabled:
            return None
        if state.waiting:
            _, begins = _first(schedule, state)
            following = self._following(schedule, timing, state)
            return now if begins <= now else min(begins, following or begins)
        return self._following(schedule, timing, state)

    def _following(self, schedule: Schedule, timing: Timing, state: ScheduleState) -> int | None:
        """The first slot that is not decided on. Kept: for a leap day it is looked for through years."""
        of = (schedule.timing, state.handled)
        kept, at = self._next.get(schedule.name, (None, None))
        if kept != of:
            found = timing.next(state.handled)
            at = found[0] if found else None
            self._next[schedule.name] = (of, at)
        return at

    async def _decided(
        self, schedule: Schedule, timing: Timing, state: ScheduleState, catalog: Catalog, now: int
    ) -> ScheduleState:
        for _ in range(_TRIES):
            if begun(state, schedule, now) == state:
                following = self._following(schedule, timing, state) if schedule.enabled else None
                if following is None or following > now:
                    return state
            decision = decide(schedule, timing, state, now, busy=await self._busy(schedule, state))
            kept = await self._schedules.decide(schedule.name, state, decision.state)
            if kept is not None:
                if decision.skipped or decision.missed:
                    _logger.warning(
                        "slots were left out",
                        schedule=schedule.name,
                        overlapped=len(decision.skipped),
                        missed=decision.missed,
                    )
                return await self._settled(schedule, kept, catalog, now)
            again = (await self._schedules.states([schedule.name])).get(schedule.name)
            if again is None:
                return state  # it was deleted
            state = await self._settled(schedule, again, catalog, now)
        return state

    async def _settled(self, schedule: Schedule, state: ScheduleState, catalog: Catalog, now: int) -> ScheduleState:
        """Submit what was decided on, by us or by a beat that is gone; what has to wait stays."""
        while state.waiting:
            slot, begins = _first(schedule, state)
            if begins > now or (schedule.overlap != "allow" and await self._busy(schedule, state)):
                return state
            try:
                id = await submit_slot(schedule, state, slot, catalog, self._by)
            except NotSubmitted as error:
                if await self._schedules.settle(schedule.name, slot, None, str(error)):
                    await self._told(schedule, error)
            else:
                await self._noted(schedule, slot, id)
            again = (await self._schedules.states([schedule.name])).get(schedule.name)
            if again is None:
                return state
            state = again
        return state

    async def _noted(self, schedule: Schedule, slot: int, id: str) -> None:
        if schedule.workflow is None:
            if await self._schedules.settle(schedule.name, slot, id):
                _logger.info("submitted", schedule=schedule.name, script=schedule.script, task=id)
        elif await self._schedules.settle(schedule.name, slot, id, workflow=True):
            _logger.info("started", schedule=schedule.name, workflow=schedule.workflow, run=id)

    async def _told(self, schedule: Schedule, error: NotSubmitted) -> None:
        """Once for a slot: by the beat that has settled it."""
        _logger.error("not submitted", schedule=schedule.name, why=printable(str(error), _SHOWN))
        if isinstance(error, Refused):
            refused = AuditEntry.by(schedule.owner, "schedules.submit", "denied", schedule.name, detail=str(error))
            await self._by.audit.append(refused)

    async def _busy(self, schedule: Schedule, state: ScheduleState) -> bool:
        """Whether the task or run of the last slot has not ended; one that was pruned has."""
        if schedule.overlap == "allow" or state.last_task is None:
            return False
        found = await self._by.launched(state.last_task)
        return found is not None and found.status not in FINAL


def _first(schedule: Schedule, state: ScheduleState) -> tuple[int, int]:
    """Of the slots that wait the one that begins before the others, and when.

    A task is recorded at once, with the time when it is due. A workflow run has no such time: its slot waits for it.
    """
    if schedule.workflow is None:
        return state.waiting[0], 0
    return min(((slot, start_ms(state, schedule, slot) or 0) for slot in state.waiting), key=lambda each: each[1])
