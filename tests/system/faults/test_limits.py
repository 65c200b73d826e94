"""Priorities, limits and retention, with two workers of which one may be killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.system.faults.fault_site import FaultSite
from tests.system.faults.history import START, Mark, read
from tests.system.faults.places import DONE, WAITS, ends
from tests.system.site import eventually, run_folder
from worker.model.task import Task

# Half a second with a sign of life every 50 ms.
HALF_A_SECOND = "for _ in {1..10}; do mark tick; sleep 0.05; done"


@pytest.fixture
def narrow(folder: Path) -> Iterator[FaultSite]:
    """Its workers run one command at a time."""
    with FaultSite(folder, worker={"concurrency": 1}) as site:
        yield site


def starts(site: FaultSite, tasks: Sequence[str]) -> list[Mark]:
    """In the order of time."""
    wanted = set(tasks)
    found = [mark for mark in read(site.performed) if mark.kind == START and mark.task in wanted]
    return sorted(found, key=lambda mark: mark.at_us)


def at_a_time(site: FaultSite, tasks: Sequence[str]) -> int:
    """The most commands of these tasks that lived at the same time, each from its first mark to its last."""
    wanted = set(tasks)
    lives: dict[tuple[str, int], list[int]] = {}
    for mark in read(site.performed):
        if mark.task in wanted:
            lives.setdefault((mark.task, mark.run), []).append(mark.at_us)
    steps = sorted([(min(life), 1) for life in lives.values()] + [(max(life), -1) for life in lives.values()])
    most = living = 0
    for _, step in steps:
        living += step
        most = max(most, living)
    return most


def test_what_is_urgent_starts_first_when_a_backlog_waits(narrow: FaultSite) -> None:
    """Priorities that share a list, as kombu keeps them, go in the order in which they came."""
    site = narrow
    site.script("step", "echo working", once=True)
    order = (0, 5, 9, 1, 8, 3, 6, 2, 7, 4)
    tasks = {site.submit("step", "--priority", str(priority)): priority for priority in order}
    site.worker("one", ready=False)
    for task_id in tasks:
        assert ends(site, task_id) == (DONE,)
    assert [tasks[mark.task] for mark in starts(site, list(tasks))] == [9, 8, 7, 5, 6, 4, 1, 3, 2, 0]
    site.check()


def test_what_waits_for_room_starts_by_its_very_priority(narrow: FaultSite) -> None:
    site = narrow
    site.script("alone", WAITS, once=True, concurrency=1)
    for name in ("one", "two"):
        site.worker(name)
    first = site.submit("alone")
    site.started(first)
    order = (0, 5, 9, 1, 8, 3, 6, 2, 7, 4)
    tasks = {site.submit("alone", "--priority", str(priority)): priority for priority in order}
    with site.store.client() as server:
        eventually(lambda: server.zcard("penstock:waiting:alone") == len(order), "all without room")
    site.go()
    for task_id in (first, *tasks):
        assert ends(site, task_id) == (DONE,)
    assert at_a_time(site, [first, *tasks]) == 1
    assert [tasks[mark.task] for mark in starts(site, list(tasks))] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    site.check()


def test_no_more_commands_than_its_concurrency_run_while_a_worker_is_killed(site: FaultSite) -> None:
    """By what the commands say of themselves; and the room that the dead worker had is there again."""
    site.script("some", HALF_A_SECOND, retries=2, concurrency=3)
    site.script("waits", WAITS, concurrency=3)
    site.worker("two")
    worker = site.worker("one", ready=False)
    eventually(lambda: "ready" in (site.folder / "worker-1.log").read_text(), "the other worker")
    tasks = [site.send("some") for _ in range(24)]

    def both() -> bool:
        running = [task for task in site.tasks().values() if task.status == "running"]
        return {run.worker for task in running for run in task.runs if run.status == "running"} == {"one", "two"}

    eventually(both, "runs of both workers")
    site.kill(worker)
    for task_id in tasks:
        assert ends(site, task_id)[-1] == DONE
    assert at_a_time(site, tasks) == 3
    lost = [task for task in site.tasks().values() if task.script == "some" and len(task.runs) > 1]
    assert lost, "the worker was killed between two runs"
    last = [site.send("waits") for _ in range(4)]
    eventually(lambda: len(starts(site, last)) == 3, "three at a time again", within_s=5)
    site.go()
    for task_id in last:
        assert ends(site, task_id) == (DONE,)
    assert at_a_time(site, last) == 3
    site.check()


def test_a_rate_limit_holds_over_two_workers_of_which_one_is_killed(site: FaultSite) -> None:
    """Four in two seconds; the claims are exact, commands start a moment later."""
    site.script("rare", "sleep 0.02", retries=1, rateLimit="4/2s")
    worker = site.worker("one")
    site.worker("two", ready=False)
    tasks = [site.send("rare") for _ in range(16)]
    eventually(lambda: len(starts(site, tasks)) >= 6, "some starts")
    site.kill(worker)
    for task_id in tasks:
        assert ends(site, task_id)[-1] == DONE
    histories = site.check()
    claims = [int(e.id.partition("-")[0]) for e in histories.events if e.kind == "claimed" and e.task_id in set(tasks)]
    commands = [mark.at_us // 1000 for mark in starts(site, tasks)]
    for what, times, window_ms in (("claims", claims, 2000), ("commands", commands, 1500)):
        for first, fifth in zip(times, times[4:], strict=False):
            assert fifth - first >= window_ms, f"{what}: five within {fifth - first} ms"
    assert claims[-1] - claims[0] < 20_000, "slower than the limit"


@pytest.mark.parametrize("where", ["another queue", "the same queue"])
def test_a_flood_of_one_script_does_not_starve_another(folder: Path, where: str) -> None:
    """In the same queue it is the limit of the script that keeps the way free."""
    with FaultSite(folder, worker={"concurrency": 2}) as site:
        limit = {"concurrency": 1} if where == "the same queue" else {"queue": "flood"}
        site.script("flood", "sleep 0.1", once=True, **limit)
        site.script("calm", "echo working", once=True)
        options = {} if where == "the same queue" else {"queue": "flood"}
        flood = [site.send("flood", **options) for _ in range(60)]
        for name in ("one", "two"):
            site.worker(name, ready=False)
        eventually(lambda: len(starts(site, flood)) >= 5, "the flood")
        calm = [site.send("calm") for _ in range(5)]
        for task_id in calm:
            assert site.finished(task_id, within_s=5).status == "completed"
        ended = Counter(task.status.final for task in site.tasks().values() if task.script == "flood")
        assert ended[True] < 50, "the flood was over before"
        site.check(within_s=60)


def finish(site: FaultSite, script: str, count: int) -> list[str]:
    tasks = [site.send(script) for _ in range(count)]
    for task_id in tasks:
        assert ends(site, task_id) == (DONE,)
    return tasks


def of_script(site: FaultSite, script: str) -> list[Task]:
    return [task for task in site.tasks().values() if task.script == script]


def files_of(site: FaultSite, tasks: Sequence[str]) -> set[str]:
    """Those of whose run anything is kept."""
    return {id for id in tasks if any(path.is_file() for path in run_folder(site.state, id).rglob("*"))}


def test_finished_tasks_go_by_age_and_by_number_and_never_one_that_runs(site: FaultSite) -> None:
    """Each script by its own bounds. A worker looks when it starts, whoever else works."""
    kept = {"few": {"count": 3}, "short": {"age": "1s"}, "long": {"age": "1h", "count": 1000}}
    for script, retention in kept.items():
        site.script(script, 'echo "of $TASK_ID" > artifacts/a.txt', once=True, retention=retention)
        site.forgotten.add(script)
    site.script("runs", WAITS, once=True, retention={"age": "0s", "count": 0})
    site.forgotten.add("runs")
    site.worker("one")
    runs = site.send("runs")
    site.started(runs)
    done = {script: finish(site, script, 8) for script in kept}
    last_ms = max(task.finished_at or 0 for task in of_script(site, "short"))
    eventually(lambda: site.now_ms() > last_ms + 1000, "the age")
    site.worker("two", ready=False)
    eventually(lambda: not of_script(site, "short") and len(of_script(site, "few")) == 3, "what is left")
    newest = sorted(done["few"], key=lambda id: next(m.at_us for m in site.marks(id, "end")))[-3:]
    left = {script: {task.id for task in of_script(site, script)} for script in kept}
    assert left["long"] == set(done["long"])
    assert len(left["few"] & set(newest)) >= 2, "not the newest"  # two may end in the same moment
    for script in kept:
        eventually(lambda script=script: files_of(site, done[script]) == left[script], f"files of {script}")
    task = site.task(runs)
    assert task and task.status == "running"
    assert files_of(site, [runs]) == set(), "the log of a run is kept at its end"
    site.go()
    eventually(lambda: not of_script(site, "runs") or site.task(runs).status == "completed", "the end")  # type: ignore[union-attr]
    site.check()


@pytest.mark.parametrize("place", ["what is to go was asked for", "the files are gone"])
def test_a_worker_killed_while_it_prunes_leaves_the_rest_to_the_next(site: FaultSite, place: str) -> None:
    """No record without its files is left for long, and no files without a record for ever."""
    site.script("few", 'echo "of $TASK_ID" > artifacts/a.txt', once=True, retention={"count": 3})
    site.script("slow", WAITS, once=True, retention={"count": 0})
    site.forgotten |= {"few", "slow"}
    first = site.worker("one")
    runs = site.send("slow")
    site.started(runs)
    done = finish(site, "few", 10)
    proxy = site.proxy()
    hold = proxy.hold_reply("EVALSHA", "few") if place.startswith("what") else proxy.hold_request("EVALSHA", done[0])
    second = site.worker("two", via=proxy, ready=False)
    hold.wait()
    site.kill(second)
    hold.drop()
    site.worker("three", ready=False)
    eventually(lambda: len(of_script(site, "few")) == 3, "what is left")
    left = {task.id for task in of_script(site, "few")}
    eventually(lambda: files_of(site, done) == left, f"the files of {len(left)}", within_s=5)
    assert first.poll() is None
    assert site.task(runs), "one that runs was forgotten"
    site.go()
    site.check()
