"""Selections of tasks: what the indexes tell, what has to be looked at, and where that stops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import redis
from msgspec.structs import replace

from worker.embedded import Embedded
from worker.model.answers import Claimed
from worker.model.listing import Selection, TaskFilter
from worker.model.status import Status
from worker.model.task import NewTask, Resolution
from worker.store import InvalidName, Records, selecting

T = TypeVar("T")
Play = Callable[[Callable[[Records], Awaitable[T]]], T]


def new(task_id: str, script: str = "one", tags: tuple[str, ...] = (), payload: str = "{}") -> NewTask:
    return NewTask(task_id, script, b"{}", payload, "d", "q", "api", tags=tags)


async def pages(records: Records, wanted: TaskFilter, limit: int) -> list[Selection]:
    found = [await records.select(wanted, limit=limit)]
    while found[-1].next is not None:
        found.append(await records.select(wanted, limit=limit, before=found[-1].next))
    return found


def ids(found: list[Selection]) -> list[str]:
    return [task.id for page in found for task in page.tasks]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_give_each_task_once_newest_first(play: Play[None], limit: int) -> None:
    async def scene(records: Records) -> None:
        for number in range(12):
            await records.register(new(f"t{number:02}", "one" if number % 3 else "two", ("odd",) * (number % 2)))
        newest_first = [f"t{number:02}" for number in reversed(range(12))]
        assert ids(await pages(records, TaskFilter(), limit)) == newest_first
        odd = [task_id for task_id in newest_first if int(task_id[1:]) % 2]
        assert ids(await pages(records, TaskFilter(tags=frozenset({"odd"})), limit)) == odd
        two = [task_id for task_id in newest_first if int(task_id[1:]) % 3 == 0]
        assert ids(await pages(records, TaskFilter(scripts=frozenset({"two"})), limit)) == two
        both = TaskFilter(scripts=frozenset({"one", "two", "none"}))
        found = await pages(records, both, limit)
        assert ids(found) == newest_first
        assert {page.total for page in found} == {12}

    play(scene)


def test_totals_are_exact_where_there_is_an_index_and_honest_where_not(play: Play[None]) -> None:
    async def scene(records: Records) -> None:
        for number in range(5):
            await records.register(new(f"t{number}", tags=("a",)))
        await records.cancel("t0", "me")
        found = await records.select(TaskFilter(statuses=frozenset({Status.CANCELLED})), limit=1)
        assert (found.total, found.counts and found.counts[Status.PENDING]) == (1, 4)
        tagged = await records.select(TaskFilter(tags=frozenset({"a"})), limit=10)
        assert (tagged.total, tagged.counts and tagged.counts[Status.CANCELLED]) == (5, 1)
        part = await records.select(TaskFilter(tags=frozenset({"a"})), limit=2)
        assert (part.total, part.counts) == (None, None)
        nothing = await records.select(TaskFilter(scripts=frozenset()))
        assert (nothing.tasks, nothing.total, nothing.next) == ((), 0, None)

    play(scene)


def test_a_look_at_the_records_is_bounded(play: Play[None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "LOOKED_AT", 4)
    monkeypatch.setattr(selecting, "_BATCH", 2)

    async def scene(records: Records) -> None:
        for number in range(9):
            await records.register(new(f"t{number}", tags=("first",) if number == 0 else ()))
        found = await pages(records, TaskFilter(tags=frozenset({"first"})), 10)
        assert [len(page.tasks) for page in found] == [0, 0, 1]
        assert [page.total for page in found] == [None, None, None]

    play(scene)


def test_a_text_is_found_in_whatever_is_shown(play: Play[None]) -> None:
    async def scene(records: Records) -> None:
        await records.register(new("abc", payload='{"city": "Zürich"}', tags=("Blue",)))
        for text in ("AB", "zürich", "city", "blue", "one"):
            assert ids([await records.select(TaskFilter(text=text))]) == ["abc"], text
        assert ids([await records.select(TaskFilter(text="nothing"))]) == []

    play(scene)


def test_a_time_is_that_of_recording(play: Play[None]) -> None:
    async def scene(records: Records) -> None:
        await records.register(new("t0"))
        task = await records.get("t0")
        assert task
        at = task.created_at
        assert ids([await records.select(TaskFilter(since=at, until=at + 1))]) == ["t0"]
        assert ids([await records.select(TaskFilter(since=at + 1))]) == []
        before = await records.select(TaskFilter(until=at))
        assert (ids([before]), before.total) == ([], 0)

    play(scene)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1\n", "(1", "9" * 18, "+inf"])
def test_a_hostile_cursor_is_refused(play: Play[None], cursor: str) -> None:
    async def scene(records: Records) -> None:
        with pytest.raises(InvalidName):
            await records.select(TaskFilter(), before=cursor)

    play(scene)


def test_a_hostile_script_name_reaches_no_key(play: Play[None]) -> None:
    async def scene(records: Records) -> None:
        with pytest.raises(InvalidName):
            await records.select(TaskFilter(scripts=frozenset({"a:pending\r\n"})))

    play(scene)


def test_large_payloads_are_not_read_for_a_list(play: Play[None], store: Embedded) -> None:
    async def scene(records: Records) -> None:
        for number in range(20):
            await records.register(new(f"t{number:02}", payload='"' + "x" * 500_000 + f'{number}"'))
        await records.register(new("small", payload='{"a": 1}'))
        before = _sent(store)
        whole = await records.select(TaskFilter(), limit=100, payload_bytes=100)
        assert [task.payload for task in whole.tasks] == [{"a": 1}, *[None] * 20]
        assert [task.payload for task in (await records.list(limit=100)).tasks] == [None] * 21
        assert _sent(store) - before < 100_000

    play(scene)


def test_a_search_in_large_payloads_reads_so_many_bytes_and_goes_on_in_the_next_page(
    play: Play[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selecting, "LOOKED_AT_BYTES", 2_000_000)

    async def scene(records: Records) -> None:
        for number in range(10):
            await records.register(new(f"t{number}", payload='"' + "x" * 500_000 + f'<{number % 9}>"'))
        found = await pages(records, TaskFilter(text="<0>"), 10)
        assert [[task.id for task in page.tasks] for page in found] == [["t9"], [], ["t0"]]
        assert ids(await pages(records, TaskFilter(text="<0>"), 1)) == ["t9", "t0"]

    play(scene)


def test_a_listed_task_has_all_of_its_runs(play: Play[None]) -> None:
    async def scene(records: Records) -> None:
        await records.register(NewTask("many", "one", b"{}", "{}", "d", "q", "api", retries=9))
        for _ in range(5):
            claimed = await records.claim("many", "w", 10)
            assert isinstance(claimed, Claimed)
            end = Resolution(Status.FAILED, "exit-code", exit_code=1)
            await records.resolve(claimed.claim, end, next_run=True)
        whole = await records.get("many")
        assert whole and len(whole.runs) == 6
        assert (await records.list()).tasks == (replace(whole, payload=None),)
        assert (await records.select(TaskFilter(), payload_bytes=2)).tasks == (whole,)

    play(scene)


def _sent(store: Embedded) -> int:
    """Bytes that the store has answered with."""
    with redis.Redis.from_url(store.url, protocol=2) as client:
        return int(client.info("stats")["total_net_output_bytes"])
