"""Limits of a script over all workers: what is throttled waits, and is handed out when there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from tests.worker.test_records import DONE, WORKER, claimed, new
from worker.embedded import Embedded
from worker.model.answers import Claimed, Hint, Refusal, Refused, Resolved, ResolveOutcome, Swept
from worker.model.status import Status
from worker.model.task import Claim, Resolution, RunLimits
from worker.store import Records

Play = Callable[[Callable[[Records], Awaitable[Any]]], Any]
ONE = RunLimits(concurrency=1)
THROTTLED = Refused(Refusal.THROTTLED, Status.PENDING)
DEADLINE_S = 20


async def register(records: Records, *ids: str, **fields: Any) -> None:
    for id in ids:
        await records.register(new(id, **fields))


async def start(records: Records, id: str, limits: RunLimits | None = ONE, lease_s: float = 60) -> Claim:
    answer = await records.claim(id, WORKER, lease_s, limits=limits)
    assert isinstance(answer, Claimed), answer
    return answer.claim


def hint(id: str, priority: int = 0, run: int = 0) -> Hint:
    return Hint(id, "sign-file", "penstock", run, priority)


def test_of_many_claims_at_once_no_more_are_granted_than_may_run(play: Play) -> None:
    async def scene(records: Records) -> None:
        ids = [f"t{number}" for number in range(20)]
        await register(records, *ids)
        limits = RunLimits(concurrency=3)
        answers = await asyncio.gather(*(records.claim(id, WORKER, 60, limits=limits) for id in ids))
        assert sum(isinstance(answer, Claimed) for answer in answers) == 3
        assert {answer for answer in answers if isinstance(answer, Refused)} == {THROTTLED}

    play(scene)


def test_the_end_of_a_run_hands_out_the_most_urgent_and_then_the_oldest_that_waits(play: Play) -> None:
    async def scene(records: Records) -> None:
        await register(records, "running", "first", "second")
        await register(records, "urgent", priority=9)
        claim = await start(records, "running")
        for id in ("second", "urgent", "first"):
            assert await records.claim(id, WORKER, 60, limits=ONE) == THROTTLED
        for expected in (hint("urgent", 9), hint("first"), hint("second")):
            assert await records.resolve(claim, DONE) == Resolved(ResolveOutcome.RECORDED, None, (expected,))
            claim = await start(records, expected.task_id)
        assert await records.resolve(claim, DONE) == Resolved(ResolveOutcome.RECORDED)
        assert await records.sweep() == Swept()

    play(scene)


def test_what_waits_is_not_published_again_and_again(store: Embedded, play: Play) -> None:
    async def scene(records: Records) -> None:
        await register(records, "running", "waits")
        claim = await start(records, "running")
        await records.claim("waits", WORKER, 60, limits=ONE)
        with redis.Redis.from_url(store.url, protocol=2) as client:
            assert client.zrange("penstock:hints", 0, -1) == []
            assert (await records.sweep()).publish == ()
            assert (await records.resolve(claim, DONE)).publish == (hint("waits"),)
            # Handed out: from here on it is as any other, whose message may be lost.
            assert client.zrange("penstock:hints", 0, -1) == [b"waits"]
            assert (await records.sweep()).publish == ()
            client.zadd("penstock:hints", {"waits": 1})
            (again,) = (await records.sweep()).publish
            assert again.waited_s > 0 and replace(again, waited_s=0) == hint("waits")

    play(scene)


def test_room_that_was_promised_is_not_promised_again_but_taken_by_who_comes_first(play: Play) -> None:
    async def scene(records: Records) -> None:
        await register(records, "running", "a", "b")
        claim = await start(records, "running")
        for id in ("a", "b"):
            await records.claim(id, WORKER, 60, limits=ONE)
        assert (await records.resolve(claim, DONE)).publish == (hint("a"),)
        assert (await records.sweep()).publish == ()
        await register(records, "c")
        claim = await start(records, "c")
        assert await records.claim("a", WORKER, 60, limits=ONE) == THROTTLED
        assert (await records.resolve(claim, DONE)).publish == (hint("a"),)

    play(scene)


def test_a_sweep_hands_out_what_waits_when_the_worker_that_ran_was_lost(play: Play) -> None:
    async def scene(records: Records) -> None:
        await register(records, "lost", "waits")
        await start(records, "lost", lease_s=0)
        assert await records.claim("waits", WORKER, 60, limits=ONE) == THROTTLED
        swept = await records.sweep()
        assert [run.task_id for run in swept.rescued] == ["lost"]
        assert swept.publish == (hint("waits"),)
        await start(records, "waits")

    play(scene)


def test_a_sweep_fills_all_the_room_there_is(play: Play) -> None:
    async def scene(records: Records) -> None:
        ids = [f"t{number}" for number in range(6)]
        await register(records, *ids)
        two = RunLimits(concurrency=2)
        claims = [await start(records, id, two) for id in ids[:2]]
        for id in ids[2:]:
            assert await records.claim(id, WORKER, 60, limits=two) == THROTTLED
        for claim in claims:  # As if both hints were lost, of which the sweep knows nothing.
            await records.resolve(claim, DONE)
        assert (await records.sweep()).publish == ()
        for id in ids[2:4]:
            await start(records, id, None)
        assert (await records.sweep()).publish == ()

    play(scene)


def test_a_waiting_task_that_is_cancelled_or_overdue_is_not_handed_out(store: Embedded, play: Play) -> None:
    async def scene(records: Records) -> None:
        await register(records, "running", "cancelled", "waits")
        await register(records, "overdue", deadline=10**13)
        claim = await start(records, "running")
        for id in ("cancelled", "overdue", "waits"):
            assert await records.claim(id, WORKER, 60, limits=ONE) == THROTTLED
        await records.cancel("cancelled", "anna")
        with redis.Redis.from_url(store.url, protocol=2) as client:
            client.hset("penstock:task:overdue", "l", 1)
            client.zadd("penstock:deadlines", {"overdue": 1})
            assert [ended.task_id for ended in (await records.sweep()).overdue] == ["overdue"]
            assert client.zrange("penstock:waiting:sign-file", 0, -1) == [b"waits"]
        assert (await records.resolve(claim, DONE)).publish == (hint("waits"),)

    play(scene)


def test_the_next_run_of_a_limited_script_competes_with_what_waits(play: Play) -> None:
    async def scene(records: Records) -> None:
        await register(records, "again", "waits", retries=1)
        claim = await start(records, "again")
        await records.claim("waits", WORKER, 60, limits=ONE)
        fault = Resolution(Status.EXCEPTION, "internal-error")
        resolved = await records.resolve(claim, fault, next_run=True)
        assert resolved.publish == (hint("again", run=1), hint("waits"))
        await start(records, "again")
        assert await records.claim("waits", WORKER, 60, limits=ONE) == THROTTLED

    play(scene)


def test_one_script_does_not_take_the_room_of_another(play: Play) -> None:
    async def scene(records: Records) -> None:
        await register(records, "a", "b")
        await register(records, "c", script="sign")
        await start(records, "a")
        assert await records.claim("b", WORKER, 60, limits=ONE) == THROTTLED
        await start(records, "c")
        await start(records, "b", None)  # A worker that knows no limit.

    play(scene)


def test_no_more_runs_start_in_a_period_than_its_rate(store: Embedded, play: Play) -> None:
    async def scene(records: Records) -> None:
        ids = [f"t{number}" for number in range(7)]
        await register(records, *ids)
        limits = RunLimits(rate_count=3, rate_per_s=0.4)
        started: list[int] = []
        handed_out: list[str] = []

        async def claim(id: str) -> None:
            answer = await records.claim(id, WORKER, 60, limits=limits)
            if isinstance(answer, Claimed):
                started.append(answer.now)
                resolved = await records.resolve(answer.claim, DONE)
                handed_out.extend(waiting.task_id for waiting in resolved.publish)

        for id in ids:
            await claim(id)
        async with asyncio.timeout(DEADLINE_S):
            while len(started) < len(ids):
                handed_out += [waiting.task_id for waiting in (await records.sweep()).publish]
                while handed_out:
                    await claim(handed_out.pop())
                await asyncio.sleep(0.005)
        assert all(after - before >= 400 for before, after in zip(started, started[3:], strict=False))
        await records.sweep()
        with redis.Redis.from_url(store.url, protocol=2) as client:
            assert not client.exists("penstock:throttled", "penstock:waiting:sign-file")
            assert 0 < client.pttl("penstock:starts:sign-file") <= 400
            # Those of a period that is over may be gone.
            assert 1 <= client.llen("penstock:starts:sign-file") <= 3

    play(scene)


def test_a_refused_or_repeated_claim_is_no_start(play: Play) -> None:
    async def scene(records: Records) -> None:
        limits = RunLimits(rate_count=2, rate_per_s=1000)
        await register(records, "a", "b", "c")
        for _ in range(3):
            assert isinstance(await records.claim("a", WORKER, 60, claim_id="x", limits=limits), Claimed)
            assert isinstance(await records.claim("a", WORKER, 60, limits=limits), Refused)
        await start(records, "b", limits)
        assert await records.claim("c", WORKER, 60, limits=limits) == THROTTLED

    play(scene)


def test_starts_of_a_time_to_come_do_not_block_a_script_when_the_clock_went_back(store: Embedded, play: Play) -> None:
    async def scene(records: Records) -> None:
        limits = RunLimits(rate_count=1, rate_per_s=60)
        await register(records, "a")
        with redis.Redis.from_url(store.url, protocol=2) as client:
            client.lpush("penstock:starts:sign-file", 9_000_000_000_000)
        await start(records, "a", limits)

    play(scene)


def test_a_task_of_a_celery_producer_is_recorded_when_it_is_throttled(play: Play) -> None:
    async def scene(records: Records) -> None:
        await register(records, "running")
        claim = await start(records, "running")
        assert await records.claim("direct", WORKER, 60, new("direct"), limits=ONE) == THROTTLED
        assert await records.payload("direct") == new().payload
        assert (await records.resolve(claim, DONE)).publish == (hint("direct"),)
        assert (await claimed(records, "direct")).payload == new().payload

    play(scene)


@pytest.mark.parametrize(
    "limits",
    [{"concurrency": 0}, {"rate_count": 0, "rate_per_s": 1}, {"rate_count": 1, "rate_per_s": 0}, {"rate_count": 1}],
)
def test_limits_that_let_nothing_run_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"limit|rate"):
        RunLimits(**limits)
