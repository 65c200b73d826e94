"""Cancelling one, some and all: played on a real server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from worker.model.answers import CancelOutcome
from worker.model.status import Status
from worker.model.task import NewTask, Resolution
from worker.operations.cancel import cancel, cancel_all
from worker.store import Records

Play = Callable[[Callable[[Records], Awaitable[Any]]], Any]


def new(id: str, script: str = "s") -> NewTask:
    return NewTask(id, script, b"{}", "{}", "d", "q", "cli", retries=2)


async def statuses(records: Records) -> dict[str, str]:
    page = await records.list(limit=1000)
    return {task.id: task.status.value + (" asked" if task.cancel else "") for task in page.tasks}


def test_each_id_is_answered_in_its_order_and_a_second_time_nothing_changes(play: Play) -> None:
    async def scene(records: Records) -> None:
        for id in ("waits", "runs", "ended"):
            await records.register(new(id))
        await records.claim("runs", "w", 30)
        claimed: Any = await records.claim("ended", "w", 30)
        await records.resolve(claimed.claim, Resolution(Status.COMPLETED))
        ids = ["runs", "no-such", "ended", "../etc", "waits", ""]
        answers = [answer async for answer in cancel(records, ids, by="me", why="because")]
        assert [id for id, _ in answers] == ids
        outcome = {id: answer.outcome for id, answer in answers}
        assert outcome == {
            "runs": CancelOutcome.REQUESTED,
            "no-such": CancelOutcome.UNKNOWN,
            "ended": CancelOutcome.FINAL,
            "../etc": CancelOutcome.UNKNOWN,
            "waits": CancelOutcome.CANCELLED,
            "": CancelOutcome.UNKNOWN,
        }
        before = await statuses(records)
        assert before == {"waits": "cancelled asked", "runs": "running asked", "ended": "completed"}
        again = {id: answer.outcome async for id, answer in cancel(records, ["runs", "waits"], by="you")}
        assert again == {"runs": CancelOutcome.ALREADY, "waits": CancelOutcome.FINAL}
        assert await statuses(records) == before
        task = await records.get("runs")
        assert task and task.cancel and (task.cancel.by, task.cancel.why) == ("me", "because")

    play(scene)


def test_all_of_a_script_are_met_over_many_pages_and_no_other(play: Play) -> None:
    async def scene(records: Records) -> None:
        for number in range(120):
            await records.register(new(f"a{number}", "a"))
        await records.register(new("b", "b"))
        for number in (0, 60, 119):
            await records.claim(f"a{number}", "w", 30)
        waits_and_runs = (Status.PENDING, Status.RUNNING)
        answers = [each async for each in cancel_all(records, waits_and_runs, script="a", by="me")]
        assert len(answers) == len({id for id, _ in answers}) == 120
        found = await statuses(records)
        assert found.pop("b") == "pending"
        assert {id for id, status in found.items() if status == "running asked"} == {"a0", "a60", "a119"}
        assert list(found.values()).count("cancelled asked") == 117

    play(scene)


def test_what_runs_is_left_alone_when_only_what_waits_is_meant(play: Play) -> None:
    async def scene(records: Records) -> None:
        for id in ("waits", "runs"):
            await records.register(new(id))
        await records.claim("runs", "w", 30)
        assert [id async for id, _ in cancel_all(records, (Status.PENDING,), by="me")] == ["waits"]
        assert await statuses(records) == {"waits": "cancelled asked", "runs": "running"}

    play(scene)


def test_no_other_run_follows_a_cancelled_one(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new("runs"))
        claimed: Any = await records.claim("runs", "w", 30)
        [_ async for _ in cancel(records, ["runs"], by="me")]
        resolved = await records.resolve(claimed.claim, Resolution(Status.EXCEPTION, "worker-shutdown"), next_run=True)
        assert resolved.next_run is None

    play(scene)
