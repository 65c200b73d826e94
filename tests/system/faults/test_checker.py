"""The checker itself: a good history passes, and each way to break one is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from msgspec.structs import replace

from tests.system.faults import leftovers
from tests.system.faults.checker import violations
from tests.system.faults.history import Histories, Mark, append, read
from tests.system.faults.store_server import StoreServer
from tests.system.faults.targeted import broken_targets
from worker.model.listing import Event
from worker.model.status import Status
from worker.model.target import queue_of
from worker.model.task import ChildTask, Run, Task


def event(at_ms: int, kind: str, run: int, status: str, task: str = "t") -> Event:
    return Event(f"{at_ms}-0", kind, task, "s", run, Status(status))


def mark(kind: str, at_ms: int = 0, run: int = 0, task: str = "t", pid: int = 7) -> Mark:
    return Mark(kind, task, run, pid, at_ms * 1000)


def task(status: str, *runs: str, task_id: str = "t") -> Task:
    numbered = tuple(Run(number, Status(status)) for number, status in enumerate(runs))
    return Task(task_id, "s", Status(status), 0, {}, "", "q", "celery", runs=numbered)


# One task whose first run was lost and whose second was good.
GOOD = Histories(
    producers=(mark("tried"), mark("accepted")),
    commands=(
        mark("start", 110, 0),
        mark("tick", 150, 0),
        mark("start", 320, 1),
        mark("end", 350, 1),
    ),
    events=(
        event(100, "registered", 0, "pending"),
        event(105, "claimed", 0, "running"),
        event(300, "expired", 0, "exception"),
        event(300, "registered", 1, "pending"),
        event(310, "claimed", 1, "running"),
        event(360, "resolved", 1, "completed"),
    ),
    tasks={"t": task("completed", "exception", "completed")},
)


def events(*changed: Event) -> Histories:
    return replace(GOOD, events=changed)


def commands(*changed: Mark) -> Histories:
    return replace(GOOD, commands=changed)


START, LOST, AGAIN, DONE = GOOD.commands
E = GOOD.events
BROKEN: dict[str, tuple[Histories, str]] = {
    "an accepted task that is not recorded": (replace(GOOD, tasks={}), "accepted, and lost"),
    "an accepted task that never ends": (replace(GOOD, tasks={"t": task("pending", "pending")}), "still pending"),
    "a task that nobody submitted": (replace(GOOD, producers=()), "no producer"),
    "a command for no task": (commands(*GOOD.commands, mark("start", 400, task="other")), "no such task"),
    "a second outcome": (events(*E, event(370, "resolved", 1, "failed")), "a second outcome"),
    "the same outcome twice": (events(*E, E[-1]), "a second outcome"),
    "a claim of a run that has ended": (events(*E, event(370, "claimed", 1, "running")), "claimed of run 1 when"),
    "a claim of a run that is claimed": (events(*E[:2], E[1], *E[2:]), "claimed of run 0 when the task was running"),
    "an end without a claim": (events(E[0], *E[2:]), "expired of run 0 when the task was pending"),
    "a run left out": (events(*E[:3], event(300, "registered", 2, "pending")), "run 2 where run 1 was due"),
    "runs with a gap in the record": (
        replace(GOOD, tasks={"t": replace(GOOD.tasks["t"], runs=GOOD.tasks["t"].runs[1:])}),
        "its runs are [1]",
    ),
    "a record that says other than its event": (
        replace(GOOD, tasks={"t": task("failed", "exception", "failed")}),
        "recorded as failed, its event said completed",
    ),
    "a final record with a run that goes on": (events(*E[:5]), "after its last event running"),
    "more ends than runs": (replace(GOOD, tasks={"t": task("completed", "exception")}), "1 runs recorded, 2 ends"),
    "a run started twice": (commands(START, replace(START, pid=8), *GOOD.commands[1:]), "run 0 started 2 times"),
    "a start after the outcome": (commands(*GOOD.commands[:2], mark("start", 361, 1), mark("end", 362, 1)), "1 ms af"),
    "a start before its claim": (commands(mark("start", 104), *GOOD.commands[1:]), "started without a claim"),
    "a start of a run that was never claimed": (
        commands(*GOOD.commands, mark("start", 340, 2)),
        "run 2 started without a claim",
    ),
    "a stale run that lives on": (commands(START, mark("tick", 301), AGAIN, DONE), "alive 1 ms after"),
    "two runs at a time": (commands(START, mark("tick", 330), AGAIN, DONE), "runs 0 and 1 at the same time"),
    "completed without having run": (commands(START, LOST), "did not get to its end"),
    "completed before its command's end": (commands(START, LOST, AGAIN), "did not get to its end"),
    "run again what must not be": (replace(GOOD, once=frozenset({"s"})), "must not run twice"),
}


def for_several(**changes: Task) -> Histories:
    """`p` stands for `a`, which completed, and `b`, to which nobody answered."""
    ended = {"finished_at": 200}
    tasks = {
        "p": replace(
            task("partial", "partial", task_id="p"),
            children=(ChildTask("w1", "a"), ChildTask("w2", "b")),
            message="1 of 2 workers completed it",
            **ended,
        ),
        "a": replace(task("completed", task_id="a"), queue=queue_of("w1"), parent="p", runs=(RUN,), **ended),
        "b": replace(task("exception", "exception", task_id="b"), queue=queue_of("w2"), parent="p", **ended),
    }
    tasks["b"] = replace(tasks["b"], reason="no-answer")
    return Histories((), (mark("start", 110, task="a"),), (), {**tasks, **changes})


RUN = Run(0, Status.COMPLETED, worker="w1")
PART = for_several().tasks
UNTRUE = {
    "run by another": ("a", {"runs": (replace(RUN, worker="w2"),)}, "it was for w1, and ['w2'] ran it"),
    "silent, and begun": ("a", {"reason": "no-answer", "status": Status.EXCEPTION}, "its command was begun"),
    "a part of another": ("b", {"parent": "a"}, "a does not stand for it"),
    "a part that goes on": ("b", {"status": Status.RUNNING}, "1 of its tasks go on"),
    "a total that goes on": ("p", {"status": Status.RUNNING}, "all of its tasks have ended"),
    "a total that flatters": ("p", {"status": Status.COMPLETED}, "and 1 of 2 completed"),
    "a message that flatters": ("p", {"message": "2 of 2 workers completed it"}, "it says '2 of 2"),
    "a total before its parts": ("p", {"finished_at": 199}, "it had ended before"),
    "one meant twice": ("p", {"children": (ChildTask("w1", "a"), ChildTask("w1", "b"))}, "a worker is meant twice"),
    "a part that is lost": ("p", {"children": (*PART["p"].children, ChildTask("w3", "c"))}, "1 of its tasks are not"),
}


@pytest.mark.parametrize("how", UNTRUE)
def test_a_total_that_is_not_true_is_found(how: str) -> None:
    name, changes, said = UNTRUE[how]
    assert list(broken_targets(for_several())) == []
    found = list(broken_targets(for_several(**{name: replace(PART[name], **changes)})))
    assert any(said in line for line in found), found


def test_a_good_history_passes() -> None:
    assert violations(GOOD) == []


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_history_is_found(how: str) -> None:
    histories, said = BROKEN[how]
    assert any(said in line for line in violations(histories)), violations(histories)


@pytest.mark.parametrize(
    ("kind", "status"), [("cancelled", "cancelled"), ("overdue", "exception"), ("resolved", "failed")]
)
def test_other_ends_of_a_task_pass(kind: str, status: str) -> None:
    claimed = [event(105, "claimed", 0, "running")] if kind == "resolved" else []
    ended = event(200, kind, 0, status)
    assert violations(Histories(GOOD.producers, (), (E[0], *claimed, ended), {"t": task(status, status)})) == []


def test_what_was_tried_and_not_accepted_may_be_absent_or_there() -> None:
    tried = (mark("tried"),)
    assert violations(Histories(tried, (), (), {})) == []
    assert violations(replace(GOOD, producers=tried)) == []


def test_marks_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "history"
    assert read(path) == ()
    append(path, "tried", "a")
    append(path, "start", "b", 3)
    first, second = read(path)
    assert (first.kind, first.task, first.run) == ("tried", "a", 0)
    assert (second.kind, second.task, second.run) == ("start", "b", 3)
    assert first.at_us <= second.at_us and second.at_ms == second.at_us // 1000


LEFT: dict[str, Callable[[redis.Redis], object]] = {
    "penstock": lambda server: server.lpush("penstock", "a message"),
    "penstock:inflight:x:penstock": lambda server: server.lpush("penstock:inflight:x:penstock", "a message"),
    "penstock:leases": lambda server: server.zadd("penstock:leases", {"t": 1}),
    "penstock:hints": lambda server: server.zadd("penstock:hints", {"t": 1}),
    "penstock:payload:t": lambda server: server.set("penstock:payload:t", "{}"),
    "1 tasks listed as running": lambda server: server.zadd("penstock:tasks:status:running", {"t": 1}),
}


def test_what_is_left_in_the_store_is_found(folder: Path) -> None:
    store = StoreServer(folder / "store")
    store.start()
    try:
        with store.client() as server:
            assert list(leftovers.keys(server)) == []
            for what, leave in LEFT.items():
                leave(server)
                found = list(leftovers.keys(server))
                assert len(found) == 1 and what in found[0], found
                server.flushall()
    finally:
        store.stop()


def test_what_is_left_on_the_disk_is_found(tmp_path: Path) -> None:
    assert list(leftovers.folders(tmp_path)) == list(leftovers.places(tmp_path)) == []
    (tmp_path / "work" / "one" / "run").mkdir(parents=True)
    (tmp_path / "spool" / "one").mkdir(parents=True)
    assert list(leftovers.folders(tmp_path)) == ["work work/one/run"]
    assert list(leftovers.places(tmp_path)) == ["place work/one", "place spool/one"]
