"""Steps of the clock, of the store and of a worker's host: nothing runs twice at a time, nothing waits for the step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.system.faults.clock import SteppedClock
from tests.system.faults.fault_site import LEASE_S, FaultSite
from tests.system.faults.places import DONE, EXPIRED, WAITS, ends, stop_at
from tests.system.site import eventually
from worker.broker.kombu_redis import list_keys

HOUR_S = 3600
BACK_AND_FORTH = pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S], ids=["forward", "back"])


@pytest.fixture
def clock(folder: Path) -> SteppedClock:
    return SteppedClock(folder / "clock")


@pytest.fixture
def site(folder: Path, clock: SteppedClock) -> Iterator[FaultSite]:
    """Its store has the clock."""
    with FaultSite(folder, clock=clock) as site:
        yield site


def ticks_on(site: FaultSite, *tasks: str, count: int = 60) -> None:
    """Each command lives on for that many signs of life: three seconds, more than a lease and a sweep."""
    seen = {task_id: len(site.marks(task_id, "tick")) for task_id in tasks}
    eventually(
        lambda: all(len(site.marks(task_id, "tick")) >= seen[task_id] + count for task_id in tasks),
        "commands that go on",
        within_s=15,
    )


@BACK_AND_FORTH
def test_what_runs_goes_on_when_the_clock_of_the_store_steps(site: FaultSite, clock: SteppedClock, step_s: int) -> None:
    """And whatever two workers make of it, no task runs twice."""
    site.script("slow", WAITS, once=True)
    for name in ("one", "two"):
        site.worker(name)
    tasks = [site.send("slow") for _ in range(8)]
    for task_id in tasks:
        site.started(task_id)
    for step in (step_s, -step_s, step_s):
        clock.step(step)
        ticks_on(site, *tasks)
    site.go()
    assert [ends(site, task_id) for task_id in tasks] == [(DONE,)] * 8
    site.check()


@BACK_AND_FORTH
def test_a_lost_run_is_rescued_when_the_clock_of_the_store_steps(
    site: FaultSite, clock: SteppedClock, step_s: int
) -> None:
    """After its lease, not after the hour."""
    site.script("slow", WAITS, retries=1)
    worker = site.worker("one")
    other = site.worker("two", ready=False)
    eventually(lambda: "ready" in (site.folder / "worker-1.log").read_text(), "the other worker")
    tasks = [site.send("slow") for _ in range(4)]
    for task_id in tasks:
        site.started(task_id)
    runs = {task_id: site.task(task_id) for task_id in tasks}
    held = [task_id for task_id, task in runs.items() if task and task.runs[0].worker == "one"]
    clock.step(step_s)
    worker.kill()
    worker.wait()
    for task_id in held:
        eventually(lambda task_id=task_id: site.marks(task_id, "start")[1:], "the second run", LEASE_S + 15)
    site.go()
    assert other.poll() is None
    for task_id in tasks:
        assert ends(site, task_id) == ((EXPIRED, DONE) if task_id in held else (DONE,))
    site.check()


@BACK_AND_FORTH
def test_a_lost_message_is_published_again_when_the_clock_of_the_store_steps(
    site: FaultSite, clock: SteppedClock, step_s: int
) -> None:
    site.script("step", "echo working", once=True)
    worker = site.worker("one")
    worker.terminate()
    worker.wait()
    task_id = site.submit("step")
    with site.store.client() as server:
        assert server.delete(*list_keys("penstock")) == 1
        clock.step(step_s)
        site.worker("two", ready=False)
        eventually(lambda: abs(int(server.get("penstock:swept") or 0) - site.now_ms()) < 5000, "a sweep")
    clock.step(28)  # of the half minute after which a message counts as lost
    assert site.finished(task_id, within_s=10).status == "completed"
    site.check()


def test_what_a_dead_worker_held_comes_back_when_the_clock_of_the_store_goes_back(
    site: FaultSite, clock: SteppedClock
) -> None:
    """A message of a task that is not recorded yet: only the consumer that took it is known."""
    site.script("step", "echo working", once=True)
    task_id, hold, worker, _ = stop_at(site, "before the claim")
    worker.kill()
    worker.wait()
    hold.drop()
    clock.step(-HOUR_S)
    site.worker("two")
    assert site.finished(task_id, within_s=25).status == "completed"
    site.check()


@BACK_AND_FORTH
def test_the_clock_of_a_workers_host_changes_nothing(folder: Path, clock: SteppedClock, step_s: int) -> None:
    with FaultSite(folder) as site:
        site.script("slow", WAITS, once=True)
        for name in ("one", "two"):
            site.worker(name, **clock.env)
        tasks = [site.send("slow") for _ in range(8)]
        for task_id in tasks:
            site.started(task_id)
        for step in (step_s, -2 * step_s):
            clock.step(step)
            ticks_on(site, *tasks)
        cancelled = tasks.pop()
        site.ask(lambda store: store.records.cancel(cancelled, "a test"))
        assert ends(site, cancelled) == (("cancelled", "cancelled"),)
        site.go()
        assert [ends(site, task_id) for task_id in tasks] == [(DONE,)] * 7
        now = datetime.now(UTC)
        said = [datetime.fromisoformat(at) for at in re.findall(r'"timestamp": "([^"]*)"', site.log())]
        assert any(abs((now - at).total_seconds()) > HOUR_S / 2 for at in said), "a worker that saw the step"
        task = site.finished(tasks[0]).runs[0]
        site.check()
    assert task.duration_ms is not None and 0 < task.duration_ms < 60_000
