"""Pages, counts, events and retention of the records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from tests.worker.test_records import prune
from worker.embedded import Embedded
from worker.model.answers import Claimed
from worker.model.overview import Span
from worker.model.status import Status
from worker.model.task import NewTask, Resolution
from worker.store import InvalidName, Records

Play = Callable[[Callable[[Records], Awaitable[Any]]], Any]
DEADLINE_S = 20


def new(id: str, script: str = "sign-file") -> NewTask:
    return NewTask(id=id, script=script, payload=b"{}", shown="{}", digest="d", queue="q", trigger="cli")


async def finish(records: Records, id: str, status: Status = Status.COMPLETED) -> None:
    grant = await records.claim(id, "w", 60)
    assert isinstance(grant, Claimed)
    await records.resolve(grant.claim, Resolution(status))


async def a_millisecond() -> None:
    now = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == now:
        await asyncio.sleep(0)


async def walk(records: Records, limit: int, **filters: Any) -> list[str]:
    """All ids, page by page."""
    ids: list[str] = []
    cursor = None
    while True:
        page = await records.list(limit=limit, before=cursor, **filters)
        assert len(page.tasks) <= limit
        ids += [task.id for task in page.tasks]
        cursor = page.next
        if cursor is None:
            return ids


def test_pages_are_complete_and_in_order_even_when_tasks_share_a_timestamp(play: Play) -> None:
    async def scene(records: Records) -> None:
        ids = [f"t{number}" for number in range(200)]
        # Sent together, so that many are made within one millisecond.
        await asyncio.gather(*(records.register(new(id)) for id in ids))
        whole = await records.list(limit=1000)
        assert whole.total == 200
        times = [task.created_at for task in whole.tasks]
        assert len(set(times)) < 200, "no two tasks share a timestamp: the test shows nothing"
        assert times == sorted(times, reverse=True)
        order = [task.id for task in whole.tasks]
        assert sorted(order) == sorted(ids)
        for limit in (1, 7, 50, 200):
            assert await walk(records, limit) == order

    play(scene)


def test_every_filter_finds_exactly_its_tasks(play: Play) -> None:
    async def scene(records: Records) -> None:
        wanted: dict[str, tuple[str, Status]] = {}
        ends = [Status.PENDING, Status.RUNNING, Status.COMPLETED, Status.FAILED, Status.TIMEOUT]
        for number in range(40):
            id, script, end = f"t{number:02d}", ("sign", "sign-file")[number % 2], ends[number % 5]
            await records.register(new(id, script))
            if end is Status.RUNNING:
                await records.claim(id, "w", 60)
            elif end is not Status.PENDING:
                await finish(records, id, end)
            wanted[id] = (script, end)
        newest_first = sorted(wanted, reverse=True)
        assert await walk(records, 7) == newest_first
        for script in ("sign", "sign-file", "other"):
            of_script = [id for id in newest_first if wanted[id][0] == script]
            assert await walk(records, 3, script=script) == of_script
            for status in Status:
                both = [id for id in of_script if wanted[id][1] is status]
                assert await walk(records, 2, script=script, status=status) == both
                assert (await records.list(script=script, status=status)).total == len(both)
        for status in Status:
            assert await walk(records, 3, status=status) == [id for id in newest_first if wanted[id][1] is status]
        counts = await records.counts()
        assert counts == {s: sum(end is s for _, end in wanted.values()) for s in Status}

    play(scene)


def test_a_page_goes_on_where_it_stopped_when_its_last_task_moved_or_went(play: Play) -> None:
    async def scene(records: Records) -> None:
        for number in range(6):
            await records.register(new(f"t{number}"))
        first = await records.list(status=Status.PENDING, limit=2)
        assert [task.id for task in first.tasks] == ["t5", "t4"]
        await finish(records, "t4")
        await finish(records, "t3")
        assert sorted(await prune(records, older_than_ms=None, keep_count=0)) == ["t3", "t4"]
        rest = await records.list(status=Status.PENDING, limit=2, before=first.next)
        assert ([task.id for task in rest.tasks], rest.total) == (["t2", "t1"], 4)

    play(scene)


@pytest.mark.parametrize("cursor", ["", "abc", "-1", "1 2", "1\n", "(1", "+inf", "9" * 18, "１"])
def test_a_hostile_cursor_is_refused(play: Play, cursor: str) -> None:
    async def scene(records: Records) -> None:
        with pytest.raises(InvalidName):
            await records.list(before=cursor)

    play(scene)


def test_a_page_has_a_bound(play: Play) -> None:
    async def scene(records: Records) -> None:
        for limit in (0, -1, 1001):
            with pytest.raises(ValueError, match="1 to 1000"):
                await records.list(limit=limit)

    play(scene)


def test_events_are_waited_for_and_resumed_by_id(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new("before"))
        last = await records.newest_event()
        waiting = asyncio.create_task(records.events(last, block_ms=2000))
        await asyncio.sleep(0)
        await records.register(new("a"))
        (event,) = await asyncio.wait_for(waiting, DEADLINE_S)
        assert (event.task_id, event.kind, event.script, event.run) == ("a", "registered", "sign-file", 0)
        await finish(records, "a")
        assert [e.kind for e in await records.events(event.id)] == ["claimed", "resolved"]
        assert await records.events(await records.newest_event(), block_ms=None) == ()
        for hostile in ("", "$", "x", "1-2-3", "1\n"):
            with pytest.raises(InvalidName):
                await records.events(hostile)

    play(scene)


@pytest.mark.parametrize("reason", ["a b  c", " ", "x\ny", "completed w@h exit-code", "é\x00", ""])
def test_a_reason_with_blanks_is_read_from_an_event_as_it_is(play: Play, reason: str) -> None:
    async def scene(records: Records) -> None:
        await records.register(new("t1"))
        answer = await records.claim("t1", "worker@host", 60)
        assert isinstance(answer, Claimed)
        await records.resolve(answer.claim, Resolution(Status.EXCEPTION, reason), limited=False)
        event = (await records.events("0", block_ms=None))[-1]
        assert (event.kind, event.task_id, event.script, event.run) == ("resolved", "t1", "sign-file", 0)
        assert (event.status, event.worker, event.reason) == (Status.EXCEPTION, "worker@host", reason or None)

    play(scene)


def test_events_of_older_versions_are_read(store: Embedded, play: Play) -> None:
    fields = {"kind": "resolved", "task": "t0", "script": "sign-file", "run": "2", "status": "failed"}
    with redis.Redis.from_url(store.url, protocol=2) as client:
        client.xadd("penstock:events", fields | {"reason": "exit-code", "worker": ""})

    async def scene(records: Records) -> None:
        (event,) = await records.events("0", block_ms=None)
        assert (event.kind, event.task_id, event.script, event.run) == ("resolved", "t0", "sign-file", 2)
        assert (event.status, event.reason, event.worker) == (Status.FAILED, "exit-code", None)

    play(scene)


def test_only_final_tasks_are_pruned_oldest_first_and_in_bounded_steps(play: Play) -> None:
    async def scene(records: Records) -> None:
        for number in range(8):
            await records.register(new(f"t{number}"))
            if number not in (0, 4):
                await finish(records, f"t{number}")
        await records.claim("t4", "w", 60)
        assert await prune(records, older_than_ms=3600_000, keep_count=None) == ()
        assert await prune(records, older_than_ms=None, keep_count=100) == ()
        assert await prune(records, older_than_ms=None, keep_count=None) == ()
        removed: list[str] = []
        while step := await prune(records, older_than_ms=None, keep_count=1, limit=2):
            assert len(step) <= 2
            removed += step
        assert sorted(removed) == ["t1", "t2", "t3", "t5", "t6"]
        assert await records.get("t1") is None
        assert sorted(await walk(records, 10)) == ["t0", "t4", "t7"]
        assert await prune(records, older_than_ms=0, keep_count=None) == ("t7",)
        assert (await records.counts())[Status.COMPLETED] == 0

    play(scene)


def test_an_id_is_free_again_after_its_task_was_pruned_and_old_claims_stay_refused(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new("a"))
        old = await records.claim("a", "w", 60)
        assert isinstance(old, Claimed)
        await records.resolve(old.claim, Resolution(Status.COMPLETED))
        await prune(records, older_than_ms=0, keep_count=None)
        now = await records.claim("a", "w", 60, new("a"))
        assert isinstance(now, Claimed)
        assert now.claim.token > old.claim.token
        assert (await records.resolve(old.claim, Resolution(Status.FAILED))).outcome == "stale"

    play(scene)


def test_what_was_to_be_forgotten_stays_when_its_id_is_a_new_tasks(play: Play) -> None:
    """Somebody else was quicker, and a producer too."""

    async def scene(records: Records) -> None:
        await records.register(new("a"))
        await finish(records, "a")
        found = await records.prunable(older_than_ms=0, keep_count=None)
        assert await prune(records, older_than_ms=0, keep_count=None) == ("a",)
        await records.register(new("a"))
        assert await records.forget(found) == 0
        await a_millisecond()
        await finish(records, "a")
        assert await records.forget(found) == 0
        assert await records.get("a")

    play(scene)


def test_pending_tasks_are_walked_newest_first_while_they_change(play: Play) -> None:
    async def scene(records: Records) -> None:
        for number in range(6):
            await records.register(new(f"t{number}", ("sign", "sign-file")[number % 2]))
        await records.claim("t4", "w", 60)
        assert await records.pending() == ("t5", "t3", "t2", "t1", "t0")
        assert await records.pending("sign") == ("t2", "t0")
        assert await records.pending(limit=2) == ("t5", "t3")
        for id in ("t5", "t3"):
            await records.cancel(id, "anna")
        await records.register(new("later"))
        assert await records.pending(after="t3", limit=2) == ("t2", "t1")
        assert await records.pending(after="t0") == ()
        # The place of a task that is forgotten is unknown: from the start again, rather than miss any.
        await prune(records, older_than_ms=None, keep_count=0)
        assert await records.pending(after="t3", limit=2) == ("later", "t2")
        with pytest.raises(InvalidName):
            await records.pending(after="../x")
        with pytest.raises(ValueError, match="1 to 1000"):
            await records.pending(limit=0)

    play(scene)


def test_each_script_may_have_bounds_of_its_own(play: Play) -> None:
    async def scene(records: Records) -> None:
        scripts = ("a", "b", "c", "a", "b", "c", "a", "b", "c")
        for number, script in enumerate(scripts):
            await records.register(new(f"{script}{number}", script))
            await finish(records, f"{script}{number}")
            await a_millisecond()  # so that one is older than the next
        assert await prune(records, older_than_ms=None, keep_count=2, script="a") == ("a0",)
        assert await prune(records, older_than_ms=None, keep_count=2, script="a") == ()
        assert await prune(records, older_than_ms=None, keep_count=2, script="unknown") == ()
        assert await prune(records, older_than_ms=None, keep_count=4, besides=["a"], limit=1) == ("b1",)
        assert await prune(records, older_than_ms=None, keep_count=4, besides=["a"]) == ("c2",)
        assert await prune(records, older_than_ms=0, keep_count=None, besides=["a", "b"]) == ("c5", "c8")
        left = [task.id for task in (await records.list()).tasks]
        assert left == ["b7", "a6", "b4", "a3"]
        assert await prune(records, older_than_ms=0, keep_count=None) == ("a3", "b4", "a6", "b7")
        for hostile in ("A", "a:b", "", "*"):
            with pytest.raises(InvalidName):
                await prune(records, older_than_ms=0, keep_count=None, script=hostile)
            with pytest.raises(InvalidName):
                await prune(records, older_than_ms=0, keep_count=None, besides=[hostile])

    play(scene)


def test_a_history_counts_each_task_once_in_the_bucket_in_which_it_was_recorded(play: Play) -> None:
    async def scene(records: Records) -> None:
        for number in range(12):
            await records.register(new(f"t{number}", "a" if number % 3 else "b"))
        await finish(records, "t0")
        await finish(records, "t1", Status.FAILED)
        tasks = (await records.list(limit=20)).tasks
        first = min(task.created_at for task in tasks)
        # The bounds of buckets lie where tasks were recorded, which is where one could be counted twice or never.
        for span in (Span(first, 1, 2000), Span(first - 5, 5, 400), Span.until(max(t.created_at for t in tasks), 1, 1)):
            counts = await records.history(span)
            for start, each in zip(span.starts(), counts, strict=True):
                there = [task for task in tasks if start <= task.created_at < start + span.bucket_ms]
                assert each == {status: sum(task.status is status for task in there) for status in Status}
        [whole] = await records.history(Span(first, 60_000, 1), ["a", "unknown"])
        assert (whole[Status.PENDING], whole[Status.FAILED], whole[Status.COMPLETED]) == (7, 1, 0)

    play(scene)


def test_the_span_of_a_history_holds_now_and_stays_while_time_goes_on_within_a_bucket() -> None:
    span = Span.until(1_000_000, 60_000, 7)
    assert span.buckets == 7 and span.bucket_ms * 7 >= 60_000
    assert span.since_ms % span.bucket_ms == 0
    assert span.starts()[-1] <= 1_000_000 < span.starts()[-1] + span.bucket_ms
    assert Span.until(span.starts()[-1], 60_000, 7) == span
    assert Span.until(span.starts()[-1] - 1, 60_000, 7) != span
