"""Tasks for certain workers: who may claim them, how they end, and how the one that stands for them does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.worker.test_records import DONE, claimed, new, task
from worker.embedded import Embedded
from worker.model.answers import Claimed, Refusal, Refused, Registered
from worker.model.listing import TaskFilter
from worker.model.status import Status
from worker.model.target import Target, queue_of
from worker.model.task import ChildTask, NewTask, Resolution, RunLimits
from worker.store import InvalidName, Records, StoreLimits, connect
from worker.store.targets import Addressed, Targets

ALL = Target()
FAILED = Resolution(Status.FAILED, "exit-code", "exit code 1", exit_code=1)
CHILDREN = tuple(ChildTask(worker, f"c-{worker}") for worker in ("w1", "w2", "w3"))


class Stage:
    def __init__(self, redis: Any) -> None:
        limits = StoreLimits(hint_after_s=0.0, overdue_s=0.0)
        self.records, self.targets = Records(redis, limits), Targets(redis, limits)

    async def address(self, made: NewTask | None = None, target: Target = ALL, within_s: float = 60) -> Addressed:
        children = CHILDREN if target.worker is None else ()
        return await self.targets.address(made or new(), target, children, start_within_s=within_s)

    async def end(self, worker: str, end: Resolution = DONE) -> None:
        grant = await claimed(self.records, f"c-{worker}", worker=worker)
        await self.records.resolve(grant.claim, end)

    async def state(self) -> tuple[Status, str | None, str]:
        parent = await task(self.records)
        return parent.status, parent.reason, parent.message


@pytest.fixture
def play(store: Embedded) -> Callable[[Callable[[Stage], Any]], None]:
    def run(scene: Callable[[Stage], Any]) -> None:
        async def staged() -> None:
            client = connect(store.url)
            try:
                await scene(Stage(client))
            finally:
                await client.aclose()

        asyncio.run(staged())

    return run


Play = Callable[[Callable[[Stage], Any]], None]


def test_a_claim_that_makes_a_task_of_another_worker_leaves_it_pending(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        theirs = await stage.records.claim("t1", "w1", 60, new(queue=queue_of("w2")))
        assert isinstance(theirs, Refused) and theirs.refusal is Refusal.BUSY
        assert (await task(stage.records)).status == Status.PENDING
        granted = await claimed(stage.records, worker="w2")
        await stage.records.resolve(granted.claim, DONE, limited=False)
        assert (await task(stage.records)).status == Status.COMPLETED

    play(scene)


def test_each_worker_gets_a_task_of_its_own_and_they_have_one_that_stands_for_them(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        made = await stage.address(new(tags=("a",), key="k"))
        assert made.registration.outcome is Registered.CREATED
        assert [(h.task_id, h.queue) for h in made.publish] == [(c.task_id, queue_of(c.worker)) for c in CHILDREN]
        parent = await task(stage.records)
        assert (parent.status, parent.target, parent.children) == (Status.RUNNING, "_all", CHILDREN)
        child = await task(stage.records, "c-w2")
        assert (child.status, child.parent, child.worker, child.tags) == (Status.PENDING, "t1", "w2", ("a",))
        assert child.payload == parent.payload
        assert await stage.records.payload("t1") is None
        for worker in ("w1", "w2", "w3"):
            assert (await stage.state())[0] is Status.RUNNING
            await stage.end(worker)
        assert await stage.state() == (Status.COMPLETED, None, "")
        parent = await task(stage.records)
        assert parent.finished_at is not None and parent.runs[0].duration_ms is not None
        kinds = [(e.task_id, e.kind) for e in await stage.records.events("0", block_ms=None)]
        assert kinds[-2:] == [("c-w3", "resolved"), ("t1", "resolved")]

    play(scene)


@pytest.mark.parametrize(
    ("ends", "came"),
    [
        ((DONE, FAILED, DONE), (Status.PARTIAL, "some-failed", "2 of 3 workers completed it")),
        ((FAILED, FAILED, FAILED), (Status.FAILED, "all-failed", "0 of 3 workers completed it")),
    ],
)
def test_it_is_partial_when_some_completed_and_failed_when_none_did(play: Play, ends: Any, came: Any) -> None:
    async def scene(stage: Stage) -> None:
        await stage.address()
        for worker, end in zip(("w1", "w2", "w3"), ends, strict=True):
            await stage.end(worker, end)
        assert await stage.state() == came

    play(scene)


def test_no_other_worker_may_claim_it_nor_anyone_the_one_that_stands_for_them(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await stage.address()
        for worker, task_id in (("w2", "c-w1"), ("w11", "c-w1"), ("w", "c-w1"), ("w1", "t1")):
            answer = await stage.records.claim(task_id, worker, 60)
            assert not isinstance(answer, Claimed) and answer.refusal is Refusal.BUSY
        again = await stage.records.claim("t1", "w1", 60, new())
        assert not isinstance(again, Claimed)

    play(scene)


def test_a_run_that_is_rescued_stays_with_its_worker(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await stage.address(new(retries=1))
        await claimed(stage.records, "c-w1", lease_s=0, worker="w1")
        swept = await stage.records.sweep()
        assert {hint.queue for hint in swept.publish if hint.task_id == "c-w1"} == {queue_of("w1")}
        assert not isinstance(await stage.records.claim("c-w1", "w2", 60), Claimed)
        await claimed(stage.records, "c-w1", lease_s=0, worker="w1")
        await stage.records.sweep()
        lost = await task(stage.records, "c-w1")
        assert (lost.status, lost.reason) == (Status.EXCEPTION, "claim-expired")

    play(scene)


def test_a_worker_that_is_silent_has_not_answered_and_comes_too_late(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await stage.address(within_s=0)
        late = await stage.records.claim("c-w1", "w1", 60)
        assert not isinstance(late, Claimed) and late.refusal is Refusal.FINAL
        assert (await stage.state())[0] is Status.RUNNING
        await stage.records.sweep()
        child = await task(stage.records, "c-w3")
        assert (child.status, child.reason, child.runs[0].worker) == (Status.EXCEPTION, "no-answer", None)
        assert await stage.state() == (Status.FAILED, "all-failed", "0 of 3 workers completed it")

    play(scene)


def test_a_worker_that_falls_silent_beyond_the_deadline_has_not_answered(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        redis = stage.records._redis
        seconds, _ = await redis.time()
        deadline = (seconds + 1) * 1000
        await stage.address(new(deadline=deadline))
        await claimed(stage.records, "c-w1", worker="w1")
        while (await redis.time())[0] * 1000 <= deadline:
            await asyncio.sleep(0.05)
        await stage.records.sweep()
        child = await task(stage.records, "c-w1")
        assert (child.reason, child.runs[0].worker) == ("no-answer", "w1")
        assert (await stage.state())[0] is Status.FAILED

    play(scene)


def test_cancelling_it_cancels_all(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await stage.address()
        running = await claimed(stage.records, "c-w1", worker="w1")
        answer = await stage.records.cancel("t1", "me", "why")
        assert (answer.outcome.value, answer.status) == ("requested", Status.RUNNING)
        assert (await task(stage.records, "c-w2")).status is Status.CANCELLED
        (renewal,) = await stage.records.renew("w1", [running.claim], 60)
        assert renewal.cancel is not None and renewal.cancel.by == "me"
        await stage.records.resolve(running.claim, Resolution(Status.CANCELLED, "cancelled", "by me"))
        assert await stage.state() == (Status.CANCELLED, "cancelled", "0 of 3 workers completed it")
        assert (await stage.records.cancel("t1", "me")).outcome.value == "final"

    play(scene)


def test_cancelling_what_nobody_has_begun_ends_it_at_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await stage.address()
        answer = await stage.records.cancel("t1", "me")
        assert (answer.outcome.value, answer.status) == ("cancelled", Status.CANCELLED)
        assert (await stage.state())[0] is Status.CANCELLED

    play(scene)


def test_it_takes_no_room_of_its_script(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await stage.address()
        limits = RunLimits(concurrency=1)
        first = await stage.records.claim("c-w1", "w1", 60, limits=limits)
        assert isinstance(first, Claimed)
        second = await stage.records.claim("c-w2", "w2", 60, limits=limits)
        assert not isinstance(second, Claimed) and second.refusal is Refusal.THROTTLED
        resolved = await stage.records.resolve(first.claim, DONE)
        assert [hint.queue for hint in resolved.publish] == [queue_of("w2")]

    play(scene)


def test_the_same_is_one_task_and_what_is_for_others_is_another(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        made = new(key="k")
        assert (await stage.address(made)).registration.outcome is Registered.CREATED
        again = await stage.address(new("t2", key="k"))
        assert (again.registration.outcome, again.registration.task_id, again.publish) == (Registered.SAME, "t1", ())
        for other in (Target(worker="w1"), Target(labels=(("a", "b"),))):
            assert (await stage.address(made, other)).registration.outcome is Registered.CONFLICT
        assert (await stage.records.register(made)).outcome is Registered.CONFLICT
        await stage.records.register(new("t3"))
        assert (await stage.address(new("t3"))).registration.outcome is Registered.CONFLICT

    play(scene)


def test_what_is_for_one_worker_is_its_task_itself(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        made = await stage.address(target=Target(worker="w1"))
        assert [(hint.task_id, hint.queue) for hint in made.publish] == [("t1", queue_of("w1"))]
        found = await task(stage.records)
        assert (found.status, found.target, found.worker, found.parent) == (Status.PENDING, "w1", "w1", None)
        assert not isinstance(await stage.records.claim("t1", "w2", 60), Claimed)
        await stage.records.resolve((await claimed(stage.records, worker="w1")).claim, FAILED)
        assert (await stage.state())[:2] == (Status.FAILED, "exit-code")

    play(scene)


def test_lists_find_them_by_worker_and_by_the_one_that_stands_for_them(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        await stage.address()
        found = await stage.records.select(TaskFilter(parents=frozenset({"t1"})))
        assert {each.id for each in found.tasks} == {"c-w1", "c-w2", "c-w3"}
        found = await stage.records.select(TaskFilter(workers=frozenset({"w2"})))
        assert [each.id for each in found.tasks] == ["c-w2"]

    play(scene)


@pytest.mark.parametrize("name", ["", "a b", "a=b", "../x", "a\n", "x" * 64, "*"])
def test_what_is_no_name_of_a_worker_reaches_no_key(play: Play, name: str) -> None:
    async def scene(stage: Stage) -> None:
        with pytest.raises(InvalidName):
            await stage.targets.address(new(), ALL, [ChildTask(name, "c")], start_within_s=1)
        with pytest.raises((InvalidName, ValueError)):
            await stage.targets.address(new(), Target(worker=name), [], start_within_s=1)
        assert await stage.records.get("t1") is None

    play(scene)
