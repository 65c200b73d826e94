"""Decide: which slots of a schedule are run now, which wait and which are given up. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from worker.model.schedule import Schedule, ScheduleState
from worker.schedules.cron import Cron
from worker.schedules.slots import LAST_S, newest_slots, slots

# A slot that is later than this was missed: whether it is made up for is up to `catchUp`.
LATE_MS = 60_000
# A clock that went back by less is waited for.
BACK_MS = 60_000


class Timing(Struct, frozen=True):
    """A schedule's slots, in milliseconds, within `startAt` and `endAt`."""

    cron: Cron
    zone: ZoneInfo
    start_at: int | None
    end_at: int | None

    @classmethod
    def of(cls, schedule: Schedule) -> Timing:
        """Raises CronError, or what ZoneInfo raises, for what `load` would have refused."""
        return cls(_cron(schedule.cron), _zone(schedule.timezone), schedule.start_at, schedule.end_at)

    def next(self, after_ms: int, count: int = 1) -> tuple[int, ...]:
        """The first slots after that."""
        found = slots(self.cron, self.zone, self._after(after_ms), self._until(LAST_S * 1000))
        return tuple(at * 1000 for _, at in zip(range(count), found, strict=False))

    def newest(self, after_ms: int, until_ms: int, most: int) -> tuple[int, ...]:
        """The last slots after the one and not after the other, ascending."""
        after, until = self._after(after_ms), self._until(until_ms)
        if after >= until:
            return ()
        return tuple(at * 1000 for at in newest_slots(self.cron, self.zone, after, until, most))

    def _after(self, ms: int) -> int:
        return (ms if self.start_at is None else max(ms, self.start_at - 1)) // 1000

    def _until(self, ms: int) -> int:
        return (ms if self.end_at is None else min(ms, self.end_at)) // 1000


class Decision(Struct, frozen=True):
    """The state that follows, and what was given up on the way to it."""

    state: ScheduleState
    skipped: tuple[int, ...] = ()
    missed: int = 0


def begun(state: ScheduleState, schedule: Schedule, now: int) -> ScheduleState:
    """The state with which a schedule goes on whose timing was changed, or whose clock went back.

    What is late by now is not made up for after a change. After a step back what was done for later slots does no
    harm: their tasks have ids of their own, and are not run again.
    """
    handled = state.handled
    if state.timing != schedule.timing:
        handled = max(handled, now - LATE_MS)
    if handled > now + BACK_MS:
        handled = now
    return replace(state, handled=handled, timing=schedule.timing)


def decide(schedule: Schedule, timing: Timing, state: ScheduleState, now: int, *, busy: bool) -> Decision:
    """What becomes of all slots up to now. `busy`: the task of the last slot has not ended.

    A schedule that is not enabled has no slots.
    """
    state = begun(state, schedule, now)
    if not schedule.enabled:
        return Decision(replace(state, handled=max(state.handled, now), waiting=()))
    # Two may be on time; and one more than can be made up for, to tell that there were more.
    due = timing.newest(state.handled, now, schedule.catch_up_limit + 3)
    state = replace(state, handled=max(state.handled, now))
    if not due:
        return Decision(state)
    chosen = _caught_up(schedule, due, now)
    run, waits, skipped = _apart(schedule, chosen, busy or bool(state.waiting), len(state.waiting))
    added = run + waits
    following = replace(
        state,
        waiting=(*state.waiting, *added),
        skipped=state.skipped + len(skipped),
        missed=state.missed + len(due) - len(chosen),
    )
    return Decision(following, skipped, len(due) - len(chosen))


def _caught_up(schedule: Schedule, due: tuple[int, ...], now: int) -> tuple[int, ...]:
    """Of the slots that are due those that are not given up for being late."""
    late = tuple(at for at in due if at < now - LATE_MS)
    on_time = due[len(late) :]
    match schedule.catch_up:
        case "all":
            return (*late[-schedule.catch_up_limit :], *on_time)
        case "once":
            return on_time or late[-1:]
        case _:
            return on_time


def _apart(
    schedule: Schedule, due: tuple[int, ...], busy: bool, waiting: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """What runs at once, what waits for its predecessor, and what is skipped."""
    if schedule.overlap == "allow":
        return due, (), ()
    run = () if busy else due[:1]
    rest = due[len(run) :]
    room = 1 - waiting if schedule.overlap == "queue" else 0
    waits = rest[: max(0, room)]
    return run, waits, rest[len(waits) :]


def task_id(state: ScheduleState, name: str, slot: int) -> str:
    """The id of the task of a slot: the same for every beat, and nobody else's to guess."""
    return "s-" + hmac.new(state.salt.encode(), f"{name}\n{slot}".encode(), hashlib.sha256).hexdigest()[:40]


def start_ms(state: ScheduleState, schedule: Schedule, slot: int) -> int | None:
    """When the task of a slot may start, with jitter; None: at once. The same for every beat."""
    if schedule.jitter_s <= 0:
        return None
    share = int.from_bytes(hmac.new(state.salt.encode(), f"jitter\n{slot}".encode(), hashlib.sha256).digest()[:6])
    return slot + round(schedule.jitter_s * 1000 * share / 2**48)


def next_run(schedule: Schedule, state: ScheduleState | None, now: int) -> int | None:
    """The next slot that is not decided on yet; None for a schedule that is disabled or over."""
    if not schedule.enabled:
        return None
    found = Timing.of(schedule).next(max(now, state.handled if state and state.handled <= now + BACK_MS else now))
    return found[0] if found else None


def earliest(times: Iterable[int | None]) -> int | None:
    return min((at for at in times if at is not None), default=None)


@lru_cache(1024)
def _cron(text: str) -> Cron:
    return Cron.parse(text)


@lru_cache(256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
