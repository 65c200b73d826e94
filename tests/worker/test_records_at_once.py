"""What the scripts do the short way is what they do the long way, and what older versions wrote is still read."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from tests.worker.test_records import DONE, WORKER, claimed, new, task
from worker.embedded import Embedded
from worker.model.answers import Claimed, Refusal, Refused, ResolveOutcome
from worker.model.status import Status
from worker.model.task import Claim, Resolution, Run, Task
from worker.store import Records

Play = Callable[[Callable[[Records], Awaitable[Any]]], Any]
FAILED = Resolution(Status.FAILED, "exit-code", "no", exit_code=1, duration_ms=3)


async def at_once(records: Records, **fields: Any) -> Claimed:
    answer = await records.claim("t1", WORKER, 60, new(**fields), of_script="sign-file", claim_id="c")
    assert isinstance(answer, Claimed), answer
    return answer


async def apart(records: Records, **fields: Any) -> Claimed:
    await records.register(new(**fields))
    answer = await records.claim("t1", WORKER, 60, claim_id="c")
    assert isinstance(answer, Claimed), answer
    return answer


def kept(store: Embedded) -> dict[str, Any]:
    """Every key with its members. Of times and positions only that they are there; a claim's may be the task's."""

    def masked(text: str) -> str:
        return re.sub(r"\d{13,}", "N", re.sub(r'"[kg]":\d+,', "", text))

    found: dict[str, Any] = {}
    with redis.Redis.from_url(store.url, protocol=2, decode_responses=True) as client:
        for key in client.scan_iter():
            match client.type(key):
                case "zset":
                    found[key] = client.zrange(key, 0, -1)
                case "hash":
                    found[key] = {name: masked(value) for name, value in client.hgetall(key).items()}
                case "stream":
                    found[key] = [fields for _, fields in client.xrange(key)]
                case "set":
                    found[key] = client.smembers(key)
                case _:
                    found[key] = masked(client.get(key))
    return found


def without_times(task: Task) -> Task:
    def plain(run: Run) -> Run:
        return replace(
            run,
            **{name: getattr(run, name) and 1 for name in ("created_at", "claimed_at", "started_at", "finished_at")},
        )

    return replace(task, created_at=1, finished_at=task.finished_at and 1, runs=tuple(map(plain, task.runs)))


@pytest.mark.parametrize("end", [DONE, FAILED])
@pytest.mark.parametrize("limited", [True, False])
def test_the_short_way_leaves_what_the_long_way_leaves(
    store: Embedded, play: Play, end: Resolution, limited: bool
) -> None:
    async def scene(records: Records) -> None:
        left = []
        for begin in (at_once, apart):
            with redis.Redis.from_url(store.url, protocol=2) as client:
                client.flushall()
            granted = await begin(records)
            held = [renewal.lost for renewal in await records.renew(WORKER, [granted.claim], 60)]
            during = without_times(await task(records))
            answer = replace(granted, claim=replace(granted.claim, token=1), created_at=1, now=1)
            resolved = await records.resolve(granted.claim, end, limited=limited)
            left.append((held, answer, during, resolved, without_times(await task(records)), kept(store)))
        assert left[0] == left[1]
        assert left[0][0] == [False]

    play(scene)


def test_the_end_of_a_task_that_was_made_at_once_is_recognised_when_it_is_repeated(play: Play) -> None:
    async def scene(records: Records) -> None:
        granted = await at_once(records)
        claim = granted.claim
        other = replace(claim, token=claim.token + 1)
        assert (await records.resolve(other, DONE)).outcome is ResolveOutcome.STALE
        assert (await records.resolve(claim, DONE, limited=False)).outcome is ResolveOutcome.RECORDED
        before = await task(records)
        for limited in (True, False):
            assert (await records.resolve(claim, FAILED, limited=limited)).outcome is ResolveOutcome.ALREADY
            assert (await records.resolve(other, FAILED, limited=limited)).outcome is ResolveOutcome.STALE
        assert await records.claim("t1", WORKER, 60, new()) == Refused(Refusal.FINAL, Status.COMPLETED)
        assert await task(records) == before

    play(scene)


def test_a_task_that_was_made_at_once_is_claimed_again_by_the_same_call_and_retried(play: Play) -> None:
    async def scene(records: Records) -> None:
        first = await at_once(records, retries=1)
        again = await at_once(records, retries=1)
        assert replace(again, now=first.now) == first
        assert await records.claim("t1", WORKER, 60, new()) == Refused(Refusal.BUSY, Status.RUNNING)
        assert await records.claim("t1", WORKER, 60, new(payload=b"{}")) == Refused(Refusal.CONFLICT, Status.RUNNING)
        assert (await records.resolve(first.claim, FAILED, next_run=True)).next_run == 1
        assert (await records.resolve(first.claim, FAILED, next_run=True)).outcome is ResolveOutcome.ALREADY
        second = await claimed(records)
        assert second.claim.token > first.claim.token
        assert (await records.resolve(first.claim, DONE, limited=False)).outcome is ResolveOutcome.ALREADY
        assert (await records.resolve(second.claim, DONE, limited=False)).outcome is ResolveOutcome.RECORDED
        found = await task(records)
        assert [run.status for run in found.runs] == [Status.FAILED, Status.COMPLETED]
        for run, next_run in zip(found.runs, [*found.runs[1:], None], strict=True):
            times = [run.created_at, run.claimed_at, run.started_at, run.finished_at]
            assert None not in times and times == sorted(times)  # type: ignore[type-var]
            assert next_run is None or (run.finished_at or 0) <= (next_run.created_at or 0)

    play(scene)


def test_a_worker_that_died_with_a_task_that_was_made_at_once_is_replaced(play: Play) -> None:
    async def scene(records: Records) -> None:
        answer = await records.claim("t1", WORKER, 0, new(retries=1))
        assert isinstance(answer, Claimed)
        (rescued,) = (await records.sweep()).rescued
        assert (rescued.run, rescued.worker, rescued.retried) == (0, WORKER, True)
        assert (await records.resolve(answer.claim, DONE, limited=False)).outcome is ResolveOutcome.STALE
        (run, _) = (await task(records)).runs
        assert run.worker == WORKER and run.claimed_at == run.created_at

    play(scene)


def test_what_an_older_version_wrote_is_read_and_ended(store: Embedded, play: Play) -> None:
    common = {
        "c": "sign-file",
        "q": "penstock",
        "h": new().digest,
        "m": '{"t":"cli"}',
        "p": "{}",
        "i": "1700000000000000",
    }
    running = common | {"a": "1700000000000", "n": "0", "r": "0", "s": "running", "b": "1700000000000", "w": WORKER}
    running |= {"k": "1700000000000001", "o": "c", "g": "1700000000001"}
    times = '"k":1700000000000001,"b":1700000000000,"f":1700000000009,"g":1700000000001'
    ended = common | {"a": "1700000000000", "n": "0", "r": "0", "s": "completed", "f": "1700000000009"}
    ended |= {"0": f'{{{times},"w":"{WORKER}","s":"completed","e":0,"d":5}}'}
    with redis.Redis.from_url(store.url, protocol=2) as client:
        client.hset("penstock:task:t0", mapping=ended)
        client.hset("penstock:task:t1", mapping=running)
        client.set("penstock:payload:t1", b"{}")

    async def scene(records: Records) -> None:
        (run,) = (await task(records, "t0")).runs
        assert (run.created_at, run.claimed_at, run.started_at) == (1700000000000, 1700000000001, 1700000000004)
        assert run.finished_at == 1700000000009
        old = Claim("t0", 0, 1700000000000001, 60)
        assert (await records.resolve(old, DONE, limited=False)).outcome is ResolveOutcome.ALREADY
        claim = replace(old, task_id="t1")
        assert [renewal.lost for renewal in await records.renew(WORKER, [claim], 60)] == [False]
        by_position = replace(claim, token=1700000000000000)
        assert (await records.resolve(by_position, DONE, limited=False)).outcome is ResolveOutcome.STALE
        assert (await records.resolve(claim, DONE, limited=False)).outcome is ResolveOutcome.RECORDED
        (run,) = (await task(records, "t1")).runs
        assert (run.created_at, run.claimed_at) == (1700000000000, 1700000000001)

    play(scene)
