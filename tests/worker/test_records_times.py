"""Times of a task: not before, started by, ended by; and how long one waits for its message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from tests.worker.test_records import DONE, WORKER, claimed, new, task
from worker.embedded import Embedded
from worker.model.answers import (
    Hint,
    Overdue,
    Refusal,
    Refused,
    Registered,
    Registration,
    Renewal,
    Resolved,
    ResolveOutcome,
    Swept,
)
from worker.model.status import Status
from worker.model.task import Resolution
from worker.store import Records, StoreLimits, connect

Play = Callable[[Callable[[Records], Awaitable[Any]]], Any]
FAULT = Resolution(Status.EXCEPTION, "internal-error")
LONG_AGO = 1
FAR_AWAY = 10**13
DEADLINE_S = 20


def now_ms() -> int:
    """The store's clock is this machine's."""
    return time.time_ns() // 1_000_000


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():
            await asyncio.sleep(0.005)


def test_a_task_is_not_claimed_before_it_is_due_and_then_handed_out_with_its_priority(play: Play) -> None:
    async def scene(records: Records) -> None:
        due_at = now_ms() + 150
        made = new(due_at=due_at, priority=7)
        assert await records.register(made) == Registration(Registered.CREATED, "t1")
        assert (await task(records)).due_at == due_at
        assert await records.claim("t1", WORKER, 60, made) == Refused(Refusal.BUSY, Status.PENDING)
        swept: list[Swept] = []

        async def handed_out() -> bool:
            swept.append(await records.sweep())
            return bool(swept[-1].publish)

        await until(handed_out)
        assert now_ms() >= due_at
        assert swept[-1].publish == (Hint("t1", "sign-file", "penstock", 0, 7),)
        grant = await claimed(records)
        assert grant.now >= due_at
        await records.resolve(grant.claim, DONE)
        assert (await task(records)).due_at is None

    play(scene)


def test_a_task_that_was_due_long_ago_is_claimed_at_once(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new(due_at=LONG_AGO))
        assert (await task(records)).due_at is None
        await claimed(records)

    play(scene)


def test_a_delayed_task_of_a_celery_producer_is_recorded_and_not_started(play: Play) -> None:
    async def scene(records: Records) -> None:
        answer = await records.claim("t1", WORKER, 60, new(due_at=FAR_AWAY))
        assert answer == Refused(Refusal.BUSY, Status.PENDING)
        assert (await task(records)).due_at == FAR_AWAY
        await records.cancel("t1", "anna")
        assert (await task(records)).status is Status.CANCELLED

    play(scene)


@pytest.mark.parametrize("limit", ["start_by", "deadline"])
def test_a_claim_that_comes_too_late_ends_the_task(play: Play, limit: str) -> None:
    async def scene(records: Records) -> None:
        made = new(retries=3, **{limit: now_ms() - 1})
        assert await records.claim("t1", WORKER, 60, made) == Refused(Refusal.FINAL, Status.EXCEPTION)
        found = await task(records)
        assert (found.status, found.reason, len(found.runs)) == (Status.EXCEPTION, "deadline-exceeded", 1)
        assert getattr(found, limit) == getattr(made, limit)
        assert found.runs[0].worker is None
        assert await records.payload("t1") is None
        last = (await records.events("0", block_ms=None))[-1]
        assert (last.kind, last.status, last.reason) == ("overdue", Status.EXCEPTION, "deadline-exceeded")
        assert await records.claim("t1", WORKER, 60) == Refused(Refusal.FINAL, Status.EXCEPTION)
        assert await records.sweep() == Swept()

    play(scene)


@pytest.mark.parametrize("limit", ["start_by", "deadline"])
def test_a_sweep_ends_what_nobody_claimed_in_time(play: Play, limit: str) -> None:
    async def scene(records: Records) -> None:
        await records.register(new("late", retries=3, **{limit: LONG_AGO}))
        await records.register(new("early", retries=3, **{limit: FAR_AWAY}))
        swept = await records.sweep()
        assert swept == Swept(overdue=(Overdue("late", "sign-file", 0, None, Status.EXCEPTION),))
        assert (await task(records, "late")).reason == "deadline-exceeded"
        assert await records.sweep() == Swept()
        await claimed(records, "early")

    play(scene)


def test_a_run_that_has_started_in_time_may_go_on(store: Embedded, play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new(start_by=FAR_AWAY, retries=1))
        grant = await claimed(records)
        with redis.Redis.from_url(store.url, protocol=2) as client:
            client.hset("penstock:task:t1", "u", LONG_AGO)
        assert await records.renew(WORKER, [grant.claim], 60) == (Renewal(grant.claim, lost=False),)
        assert await records.sweep() == Swept()
        # But none after it.
        assert await records.resolve(grant.claim, FAULT, next_run=True) == Resolved(ResolveOutcome.RECORDED)
        assert (await task(records)).status is Status.EXCEPTION

    play(scene)


def test_the_worker_hears_of_a_deadline_and_has_some_seconds_to_end_the_run(play: Play) -> None:
    async def scene(records: Records) -> None:
        deadline = now_ms() + 150
        await records.register(new(deadline=deadline, retries=3))
        grant = await claimed(records)
        assert grant.deadline == deadline
        heard: list[Renewal] = []

        async def overdue() -> bool:
            heard.extend(await records.renew(WORKER, [grant.claim], 60))
            return heard[-1].overdue

        await until(overdue)
        assert now_ms() >= deadline and not heard[-1].lost
        assert await records.sweep() == Swept()
        end = Resolution(Status.EXCEPTION, "deadline-exceeded", signal=15)
        assert await records.resolve(grant.claim, end, next_run=True) == Resolved(ResolveOutcome.RECORDED)
        assert [run.status for run in (await task(records)).runs] == [Status.EXCEPTION]

    play(scene)


@pytest.mark.parametrize("cancel", [False, True])
def test_a_run_that_its_worker_does_not_end_at_the_deadline_is_taken_from_it(store: Embedded, cancel: bool) -> None:
    async def scene() -> None:
        client = connect(store.url)
        records = Records(client, StoreLimits(overdue_s=0))
        await records.register(new(deadline=now_ms() + 100, retries=3))
        grant = await claimed(records)
        if cancel:
            await records.cancel("t1", "anna")
        swept: list[Swept] = []

        async def ended() -> bool:
            swept.append(await records.sweep())
            return bool(swept[-1].overdue)

        await until(ended)
        status = Status.CANCELLED if cancel else Status.EXCEPTION
        assert swept[-1] == Swept(overdue=(Overdue("t1", "sign-file", 0, WORKER, status),))
        (renewal,) = await records.renew(WORKER, [grant.claim], 60)
        assert renewal.lost and not renewal.overdue
        assert await records.resolve(grant.claim, DONE) == Resolved(ResolveOutcome.STALE)
        found = await task(records)
        assert (found.status, found.reason) == (status, "cancelled" if cancel else "deadline-exceeded")
        assert await records.sweep() == Swept()
        await client.aclose()

    asyncio.run(scene())


def test_no_run_follows_that_could_not_start_before_the_deadline(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new(deadline=now_ms() + 60_000, retries=5))
        first = (await claimed(records)).claim
        assert (await records.resolve(first, FAULT, next_run=True, delay_s=10)).next_run == 1
        await records.register(new("t2", deadline=now_ms() + 60_000, retries=5))
        second = (await claimed(records, "t2")).claim
        assert (await records.resolve(second, FAULT, next_run=True, delay_s=61)).next_run is None
        found = await task(records, "t2")
        assert (found.status, found.reason) == (Status.EXCEPTION, "internal-error")

    play(scene)


def test_a_lost_run_has_no_successor_after_the_deadline(store: Embedded, play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new(deadline=now_ms() + 60_000, retries=5))
        await claimed(records, lease_s=0)
        with redis.Redis.from_url(store.url, protocol=2) as client:
            client.hset("penstock:task:t1", "l", now_ms())
        swept = await records.sweep()
        assert [(run.status, run.retried) for run in swept.rescued] == [(Status.EXCEPTION, False)]
        assert (await task(records)).reason == "claim-expired"

    play(scene)


def test_a_message_is_given_up_for_lost_ever_more_rarely(store: Embedded, play: Play) -> None:
    async def scene(records: Records) -> None:
        with redis.Redis.from_url(store.url, protocol=2) as client:
            await records.register(new("young"))
            await records.register(new("old"))
            await records.register(new("ancient"))
            client.hset("penstock:task:old", "b", now_ms() - 200_000)
            client.hset("penstock:task:ancient", "b", LONG_AGO)
            client.zadd("penstock:hints", dict.fromkeys(("young", "old", "ancient"), LONG_AGO))
            before = now_ms()
            waited_s = {hint.task_id: hint.waited_s for hint in (await records.sweep()).publish}
            assert 0 < waited_s["young"] < 30 and round(waited_s["old"], -1) == 200 and waited_s["ancient"] > 10**9
            waits = {id.decode(): round((at - before) / 10_000) for id, at in client.zscan_iter("penstock:hints")}
            assert waits == {"young": 3, "old": 20, "ancient": 60}

    play(scene)


@pytest.mark.parametrize("field", ["due_at", "start_by", "deadline"])
@pytest.mark.parametrize("value", [-1, 10**14, 2**63])
def test_a_time_that_cannot_be_is_refused(play: Play, field: str, value: int) -> None:
    async def scene(records: Records) -> None:
        with pytest.raises(ValueError, match="not a time"):
            await records.register(new(**{field: value}))
        assert (await records.list()).total == 0

    play(scene)


@pytest.mark.parametrize("priority", [-1, 10, 2**63])
def test_a_priority_that_cannot_be_is_refused(play: Play, priority: int) -> None:
    async def scene(records: Records) -> None:
        with pytest.raises(ValueError, match="priority is 0 to 9"):
            await records.register(new(priority=priority))

    play(scene)
