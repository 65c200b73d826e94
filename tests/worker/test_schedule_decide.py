"""Which slots run, wait, are skipped or missed: by the rules of the schedule, whatever the clock does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from worker.model.access import Principal
from worker.model.schedule import Schedule, ScheduleState
from worker.model.task import TASK_ID
from worker.schedules.decide import LATE_MS, Timing, decide, next_run, start_ms, task_id

MINUTE = 60_000
NOON = 1_790_000_040_000 - 1_790_000_040_000 % (24 * 60 * MINUTE) + 12 * 60 * MINUTE
OWNER = Principal("ann", "local", frozenset({"*"}))


def schedule(**fields: Any) -> Schedule:
    return Schedule(**{"name": "nightly", "cron": "* * * * *", "owner": OWNER, "script": "work", **fields})


def state(of: Schedule, handled: int = NOON, **fields: Any) -> ScheduleState:
    return ScheduleState(1, handled, "salt", of.timing, **fields)


def decided(of: Schedule, now: int, *, busy: bool = False, **fields: Any) -> tuple[list[int], int, int]:
    """Slots that are to be submitted, in minutes after noon; how many overlapped, how many were missed."""
    found = decide(of, Timing.of(of), state(of, **fields), now, busy=busy)
    assert found.state.handled >= now or fields
    return [(slot - NOON) // MINUTE for slot in found.state.waiting], len(found.skipped), found.missed


def test_what_is_due_runs_and_what_is_not_does_not() -> None:
    assert decided(schedule(), NOON + 59_999) == ([], 0, 0)
    assert decided(schedule(), NOON + MINUTE) == ([1], 0, 0)
    assert decided(schedule(enabled=False), NOON + MINUTE) == ([], 0, 0)


@pytest.mark.parametrize(
    ("catch_up", "limit", "runs", "missed_some"),
    [
        ("none", 10, [29, 30], True),
        ("once", 10, [29, 30], True),
        ("all", 10, [*range(19, 29), 29, 30], True),
        ("all", 3, [26, 27, 28, 29, 30], True),
        ("all", 1000, list(range(1, 31)), False),
    ],
)
def test_after_half_an_hour_without_a_beat_is_made_up_what_the_rule_says(
    catch_up: Any, limit: int, runs: list[int], missed_some: bool
) -> None:
    each = schedule(overlap="allow", catch_up=catch_up, catch_up_limit=limit)
    found, _, missed = decided(each, NOON + 30 * MINUTE)
    assert found == runs
    assert (missed > 0) is missed_some


@pytest.mark.parametrize(("catch_up", "runs"), [("none", []), ("once", [60]), ("all", [60])])
def test_a_slot_that_passed_alone_is_made_up_for_unless_nothing_is(catch_up: Any, runs: list[int]) -> None:
    hourly = schedule(cron="0 * * * *", catch_up=catch_up)
    assert decided(hourly, NOON + 90 * MINUTE)[0] == runs
    assert decided(hourly, NOON + 60 * MINUTE + LATE_MS)[0] == [60]  # a beat that is restarted loses nothing


def test_an_overlap_is_skipped_waits_or_runs_beside() -> None:
    at = NOON + MINUTE
    assert decided(schedule(overlap="skip"), at, busy=True) == ([], 1, 0)
    assert decided(schedule(overlap="queue"), at, busy=True) == ([1], 0, 0)
    assert decided(schedule(overlap="allow"), at, busy=True) == ([1], 0, 0)
    waits = (NOON,)
    assert decided(schedule(overlap="queue"), at, busy=True, waiting=waits) == ([0], 1, 0)  # one at most
    assert decided(schedule(overlap="skip"), at, waiting=waits) == ([0], 1, 0)
    assert decided(schedule(overlap="allow"), at, waiting=waits) == ([0, 1], 0, 0)


def test_several_at_once_overlap_with_each_other() -> None:
    def half_an_hour(overlap: Any) -> tuple[list[int], int, int]:
        return decided(schedule(overlap=overlap, catch_up="all", catch_up_limit=5), NOON + 30 * MINUTE)

    assert half_an_hour("skip")[:2] == ([24], 6)
    assert half_an_hour("queue")[:2] == ([24, 25], 5)
    assert half_an_hour("allow")[:2] == (list(range(24, 31)), 0)


def test_another_timing_begins_anew_and_a_clock_that_went_back_is_followed() -> None:
    each = schedule(overlap="allow", catch_up="all", catch_up_limit=1000)
    changed = replace(each, cron="*/2 * * * *")
    now = NOON + 30 * MINUTE
    found = decide(changed, Timing.of(changed), state(each), now, busy=False)
    assert [(slot - NOON) // MINUTE for slot in found.state.waiting] == [30]
    ahead = state(each, handled=now + 60 * MINUTE)
    found = decide(each, Timing.of(each), ahead, now, busy=False)
    assert (found.state.handled, found.state.waiting) == (now, ())
    a_little = state(each, handled=now + MINUTE)
    assert decide(each, Timing.of(each), a_little, now, busy=False).state.handled == now + MINUTE


@settings(max_examples=60, deadline=None)
@given(
    jumps=st.lists(st.integers(-20 * MINUTE, 90 * MINUTE), min_size=1, max_size=12),
    catch_up=st.sampled_from(["none", "once", "all"]),
    cron=st.sampled_from(["* * * * *", "*/7 * * * *", "0 * * * *"]),
    ends=st.lists(st.booleans(), min_size=12, max_size=12),
    overlap=st.sampled_from(["skip", "queue", "allow"]),
)
def test_however_the_clock_jumps_no_slot_is_submitted_under_two_ids_or_before_its_time(
    jumps: list[int], catch_up: Any, cron: str, ends: list[bool], overlap: Any
) -> None:
    each = schedule(cron=cron, catch_up=catch_up, overlap=overlap, catch_up_limit=5)
    now, seen = NOON, state(each)
    submitted: list[int] = []
    for jump, ended in zip(jumps, ends, strict=False):
        now += jump
        found = decide(each, Timing.of(each), seen, now, busy=not ended)
        fresh = [slot for slot in found.state.waiting if slot not in seen.waiting]
        assert all(slot <= now for slot in fresh)
        assert len(found.state.waiting) <= (2 if overlap != "allow" else 5 + 2) + len(seen.waiting)
        submitted += fresh
        seen = replace(found.state, waiting=() if ended else found.state.waiting[-1:])
    if all(jump >= 0 for jump in jumps):
        assert sorted(set(submitted)) == submitted  # each once, in order
    ids = {slot: task_id(seen, "nightly", slot) for slot in submitted}
    assert len(set(ids.values())) == len(ids)
    assert all(TASK_ID.match(id) for id in ids.values())


def test_the_id_of_a_slot_is_the_same_for_every_beat_and_nobody_elses_to_guess() -> None:
    each = schedule()
    assert task_id(state(each), "nightly", NOON) == task_id(replace(state(each), version=7), "nightly", NOON)
    others = {
        task_id(state(each), "nightly", NOON + MINUTE),
        task_id(state(each), "weekly", NOON),
        task_id(replace(state(each), salt="another"), "nightly", NOON),
    }
    assert len(others) == 3 and task_id(state(each), "nightly", NOON) not in others


def test_jitter_stays_within_its_bound_and_is_the_same_for_every_beat() -> None:
    each = schedule(jitter_s=90.0)
    starts = [start_ms(state(each), each, NOON + n * MINUTE) or 0 for n in range(200)]
    late = [at - (NOON + n * MINUTE) for n, at in enumerate(starts)]
    assert min(late) >= 0 and max(late) <= 90_000 and len(set(late)) > 150
    assert starts == [start_ms(replace(state(each), version=9), each, NOON + n * MINUTE) for n in range(200)]
    assert start_ms(state(each), schedule(), NOON) is None


def test_a_window_bounds_the_slots_on_both_sides() -> None:
    each = schedule(start_at=NOON + 5 * MINUTE, end_at=NOON + 7 * MINUTE, overlap="allow", catch_up="all")
    assert decided(each, NOON + 4 * MINUTE)[0] == []
    assert decided(each, NOON + 30 * MINUTE)[0] == [5, 6, 7]
    assert next_run(each, None, NOON) == NOON + 5 * MINUTE
    assert next_run(each, None, NOON + 7 * MINUTE) is None
    assert next_run(replace(each, enabled=False), None, NOON) is None
