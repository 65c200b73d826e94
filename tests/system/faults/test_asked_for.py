"""What producers and operators may ask for at any time: the end of a task, a deadline, the same task twice."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from tests.system.faults import beat
from tests.system.faults.fault_site import FaultSite
from tests.system.faults.places import DONE, WAITS, ends, stop_at
from tests.system.site import eventually
from worker.model.answers import CancelOutcome

CANCELLED = ("cancelled", "cancelled")
OVERDUE = ("exception", "deadline-exceeded")


def cancel(site: FaultSite, task_id: str) -> CancelOutcome:
    outcome: CancelOutcome = site.ask(lambda store: store.records.cancel(task_id, "a test")).outcome
    return outcome


def test_a_running_command_hears_of_a_cancellation_within_a_second(site: FaultSite) -> None:
    site.script("slow", f"(setsid sleep 300 &)\n{WAITS}")
    site.worker("one")
    task_id = site.send("slow")
    first = site.started(task_id)
    assert cancel(site, task_id) is CancelOutcome.REQUESTED
    eventually(lambda: not psutil.pid_exists(first.pid), "the end of the command", within_s=1.2)
    assert ends(site, task_id) == (CANCELLED,)
    recorded = site.finished(task_id)
    assert cancel(site, task_id) is CancelOutcome.FINAL
    assert site.finished(task_id) == recorded
    site.check()


@pytest.fixture
def narrow(folder: Path) -> Iterator[FaultSite]:
    """Its workers run one command at a time."""
    with FaultSite(folder, worker={"concurrency": 1}) as site:
        yield site


def test_a_pending_task_that_was_cancelled_never_starts(narrow: FaultSite) -> None:
    site = narrow
    site.script("slow", WAITS)
    site.worker("one")
    first = site.send("slow")
    site.started(first)
    waits = site.submit("slow")
    assert cancel(site, waits) is CancelOutcome.CANCELLED
    assert cancel(site, waits) is CancelOutcome.FINAL
    site.go()
    assert ends(site, first) == (DONE,)
    assert ends(site, waits) == (CANCELLED,)
    site.check()
    assert site.marks(waits) == []


@pytest.mark.parametrize("place", ["between claim and start", "after the exit, before resolve"])
def test_a_cancellation_between_two_steps_gives_one_outcome(site: FaultSite, place: str) -> None:
    site.script("step", "echo working", once=True)
    task_id, hold, *_ = stop_at(site, place)
    assert cancel(site, task_id) is CancelOutcome.REQUESTED
    assert cancel(site, task_id) is CancelOutcome.ALREADY
    hold.release()
    assert len(ends(site, task_id)) == 1
    site.check()


def test_a_cancelled_task_of_a_lost_worker_is_not_run_again(site: FaultSite) -> None:
    site.script("slow", WAITS, retries=2)
    worker = site.worker("one")
    task_id = site.send("slow")
    site.started(task_id)
    site.kill(worker)
    assert cancel(site, task_id) is CancelOutcome.REQUESTED
    site.worker("two")
    assert ends(site, task_id) == (CANCELLED,)
    site.check()


def test_a_deadline_ends_what_runs_and_what_waits(narrow: FaultSite) -> None:
    site = narrow
    site.script("slow", WAITS)
    site.script("endless", "while :; do mark tick; sleep 0.05; done", retries=2)
    site.worker("one")
    first = site.send("slow")
    site.started(first)
    waits = site.submit("endless", "--deadline", "0.5s")
    assert ends(site, waits) == (OVERDUE,)
    site.go()
    runs = site.submit("endless", "--deadline", "1.5s")
    site.started(runs)
    assert ends(site, runs) == (OVERDUE,)
    site.check()
    assert site.marks(waits) == []


def test_a_deadline_holds_while_no_worker_lives(site: FaultSite) -> None:
    site.script("slow", WAITS, retries=2)
    worker = site.worker("one")
    runs = site.submit("slow", "--deadline", "2s")
    site.started(runs)
    site.kill(worker)
    waits = site.submit("slow", "--deadline", "1s")
    site.worker("two")
    assert site.finished(waits).reason == "deadline-exceeded"
    assert site.finished(runs).reason in ("deadline-exceeded", "claim-expired"), "whichever passed first"
    site.check()


def test_eta_and_expiry_of_a_message_are_kept_by_the_store(site: FaultSite) -> None:
    site.script("step", "echo working", once=True)
    now = datetime.now(UTC)
    expired = site.send("step", expires=now + timedelta(seconds=0.5))
    eventually(lambda: datetime.now(UTC) > now + timedelta(seconds=0.6), "that it has expired")
    site.worker("one")
    asked_us = time.time_ns() // 1000
    later = site.send("step", countdown=2)
    assert ends(site, expired) == (OVERDUE,)
    with site.store.client() as server:
        eventually(lambda: not server.keys("penstock:inflight:*"), "no message held until its time", within_s=1.5)
    assert ends(site, later) == (DONE,)
    assert site.started(later).at_us - asked_us >= 1_900_000
    site.check()


def test_the_same_message_many_times_to_many_workers_is_one_run(site: FaultSite) -> None:
    site.script("step", "echo working", once=True)
    for name in ("one", "two", "three"):
        site.worker(name)
    ids = [f"twice-{number}" for number in range(10)]
    senders = [
        threading.Thread(target=lambda: [site.send("step", {"n": 1}, task_id=task_id) for task_id in ids])
        for _ in range(3)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert {ends(site, task_id) for task_id in ids} == {(DONE,)}
    site.send("step", {"n": "something else"}, task_id=ids[0])
    site.check()
    assert site.finished(ids[0]).payload == {"n": 1}


def test_an_idempotency_key_makes_one_task_of_two(site: FaultSite) -> None:
    site.script("step", "echo working", once=True)
    site.worker("one")
    first = site.submit("step", "--idempotency-key", "release-7", payload={"n": 1})
    again = site.submit("step", "--idempotency-key", "release-7", payload={"n": 1})
    assert again == first
    with pytest.raises(AssertionError, match="65"):
        site.submit("step", "--idempotency-key", "release-7", payload={"n": 2})
    assert ends(site, first) == (DONE,)
    site.check()


def test_two_beats_lose_nothing_and_what_has_one_id_runs_once(site: FaultSite) -> None:
    for name in ("quick", "once"):
        site.script(name, "echo working", once=True)
    site.worker("one")
    beats = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "-A", beat.__name__, "beat", "-S", f"{beat.__name__}:Scheduler"),
                *("-s", str(site.folder / f"schedule-{number}"), "--pidfile="),
            ],
            cwd=Path(__file__).parents[3],
            env={**os.environ, "BEAT_HISTORY": str(site.produced), "BEAT_BROKER": site.store.celery_url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(2)
    ]
    try:
        eventually(lambda: len(site.tasks()) >= 9 and site.task(beat.ONE), "some ticks")
    finally:
        for process in beats:
            process.terminate()
        for process in beats:
            process.wait(10)
    site.check()
    assert len(site.marks(beat.ONE, "start")) == 1
