"""SIGSTOP of a worker for longer than its lease: what it held is another's, and what it does afterwards is refused."""

from __future__ import annotations

import signal

import psutil
import pytest

from tests.system.faults.fault_site import LEASE_S, FaultSite
from tests.system.faults.places import DONE, EXPIRED, WAITS, ends, stop_at
from tests.system.site import eventually, run_folder


def test_the_command_of_a_frozen_worker_ends_before_another_may_run(site: FaultSite) -> None:
    site.script("slow", f'[ "$RUN_ID" = 0 ] && echo stale > artifacts/stale.txt\n{WAITS}', retries=1)
    frozen = site.worker("one")
    task_id = site.send("slow")
    first = site.started(task_id)
    frozen.send_signal(signal.SIGSTOP)
    site.worker("two", ready=False)  # a probe might go to the frozen one
    eventually(lambda: not psutil.pid_exists(first.pid), "the end of the stale command", within_s=LEASE_S + 1)
    site.started(task_id, run=1)
    frozen.send_signal(signal.SIGCONT)
    site.go()
    assert ends(site, task_id) == (EXPIRED, DONE)
    site.check()
    runs = site.finished(task_id).runs
    assert [run.worker for run in runs] == ["one", "two"]
    assert runs[0].artifacts == ()
    assert not list(site.state.glob(f"artifacts/*/{task_id}/0/artifacts/*")), "artifacts of a stale run"


@pytest.mark.parametrize("place", ["between claim and start", "after the exit, before resolve"])
def test_a_worker_that_thaws_changes_nothing_that_was_rescued(site: FaultSite, place: str) -> None:
    site.script("step", 'echo "of run $RUN_ID" > artifacts/one.txt', retries=1)
    task_id, hold, frozen, _ = stop_at(site, place)
    frozen.send_signal(signal.SIGSTOP)
    site.worker("two", ready=False)  # a probe might go to the frozen one
    assert ends(site, task_id) == (EXPIRED, DONE)
    recorded = site.finished(task_id)
    hold.release()
    frozen.send_signal(signal.SIGCONT)
    site.check()
    assert site.finished(task_id) == recorded
    assert site.task_log(task_id, run=1).endswith(b"begun 1\n")
    assert len(recorded.runs[1].artifacts) == 1
    assert not list(site.state.glob(f"artifacts/*/{task_id}/0/artifacts/*")), "artifacts of a stale run"


def test_a_worker_frozen_in_the_middle_of_an_upload_publishes_nothing_of_it(site: FaultSite) -> None:
    site.script("big", "truncate -s $((RUN_ID == 0 ? 300 : 1))M artifacts/big.bin", retries=1)
    frozen = site.worker("one")
    task_id = site.send("big")
    files = run_folder(site.state, task_id) / "artifacts"
    eventually(lambda: files.is_dir() and any(files.iterdir()), "the upload")
    frozen.send_signal(signal.SIGSTOP)
    site.worker("two", ready=False)  # a probe might go to the frozen one
    assert ends(site, task_id) == (EXPIRED, DONE)
    recorded = site.finished(task_id)
    frozen.send_signal(signal.SIGCONT)
    site.check()
    assert site.finished(task_id) == recorded
    eventually(lambda: not files.exists() or not any(files.iterdir()), "no artifacts of a stale run", within_s=5)


def test_a_short_freeze_costs_nothing(site: FaultSite) -> None:
    site.script("slow", WAITS, once=True)
    worker = site.worker("one")
    task_id = site.send("slow")
    site.started(task_id)
    worker.send_signal(signal.SIGSTOP)
    ticks = len(site.marks(task_id, "tick"))
    eventually(lambda: len(site.marks(task_id, "tick")) >= ticks + 10, "half a second of the command")
    worker.send_signal(signal.SIGCONT)
    site.go()
    assert ends(site, task_id) == (DONE,)
    site.check()


def test_what_must_not_run_twice_is_not_repeated_after_a_freeze(site: FaultSite) -> None:
    site.script("slow", WAITS, once=True)
    frozen = site.worker("one")
    task_id = site.send("slow")
    site.started(task_id)
    frozen.send_signal(signal.SIGSTOP)
    site.worker("two", ready=False)  # a probe might go to the frozen one
    assert ends(site, task_id) == (EXPIRED,)
    frozen.send_signal(signal.SIGCONT)
    site.go()
    site.check()
