"""kill -9 of a worker, at every place of a run, and of every part of it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.system.faults.fault_site import FaultSite
from tests.system.faults.places import DONE, EXPIRED, PLACES, WAITS, ends, stop_at
from tests.system.site import eventually, run_folder


@pytest.mark.parametrize("place", PLACES)
def test_a_worker_killed_at_any_step_costs_at_most_a_run(site: FaultSite, place: str) -> None:
    site.script("step", "echo working", retries=1)
    task_id, hold, worker, _ = stop_at(site, place)
    site.kill(worker)
    hold.drop()
    site.worker("two")
    assert ends(site, task_id) == PLACES[place].after_kill
    assert len(site.marks(task_id, "start")) == PLACES[place].starts
    site.check()


@pytest.mark.parametrize("place", ["between claim and start", "after the exit, before resolve"])
def test_what_must_not_run_twice_is_not_repeated_after_a_kill(site: FaultSite, place: str) -> None:
    site.script("step", "echo working", once=True)
    task_id, hold, worker, _ = stop_at(site, place)
    site.kill(worker)
    hold.drop()
    site.worker("two")
    assert ends(site, task_id) == (EXPIRED,)
    site.check()


def tree(worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
    process = psutil.Process(worker.pid)
    return [process, *process.children(recursive=True)]


def nursery(worker: subprocess.Popen[bytes]) -> psutil.Process:
    return next(one for one in tree(worker) if one.name() == "penstock-nurse")


def slots(worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [one for one in tree(worker) if one.name() == "penstock-slot"]


WAYS: dict[str, Callable[[subprocess.Popen[bytes]], list[psutil.Process]]] = {
    "the main process": lambda worker: tree(worker)[:1],
    "the nursery": lambda worker: [nursery(worker)],
    "the slots": slots,
    "nursery and main process": lambda worker: [nursery(worker), tree(worker)[0]],
    "everything": tree,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_of_any_part_while_a_command_runs_leaves_nothing(site: FaultSite, way: str) -> None:
    """With children in sessions of their own below the command."""
    site.script("deep", f"(setsid sh -c 'exec >/dev/null 2>&1; sleep 301 & sleep 302' &)\n{WAITS}", retries=1)
    worker = site.worker("one")
    task_id = site.send("deep")
    first = site.started(task_id)
    for process in WAYS[way](worker):
        with suppress(ProcessLookupError):  # it may have been quicker itself
            os.kill(process.pid, signal.SIGKILL)
    main_killed = way not in ("the nursery", "the slots")
    if main_killed:
        worker.wait()
        eventually(lambda: not psutil.pid_exists(first.pid), "the end of the command", within_s=2)
    site.pass_time_for_the_dead()
    site.worker("two")
    site.go()
    found = ends(site, task_id)
    if main_killed:
        assert found == (EXPIRED, DONE)
        assert site.task_log(task_id).endswith(b"begun 0\n"), "the log of the run that was lost"
    assert found[-1][0] in ("completed", "exception")
    site.check()


def test_what_outlived_worker_and_supervisors_is_ended_by_the_next_worker_of_the_place(site: FaultSite) -> None:
    """All of them killed in one instant, and only the commands spared."""
    site.script(
        "deep",
        '(setsid sh -c "cd /; exec >/dev/null 2>&1; sleep 301 & sleep 302" &)\n'
        f'env -i /bin/sleep 303 & echo $! > "$SITE/bare"\n{WAITS}',
        retries=1,
    )
    worker = site.worker("one")
    task_id = site.send("deep")
    first = site.started(task_id)
    bare = site.folder / "bare"
    eventually(lambda: bare.exists() and bare.read_text().endswith("\n"), "the child without an environment")
    ours = [tree(worker)[0], nursery(worker), *slots(worker)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in ours:
            os.kill(process.pid, number)
    worker.wait()
    psutil.wait_procs(ours, timeout=5)
    survivors = [psutil.Process(first.pid), psutil.Process(int(bare.read_text()))]
    assert all(process.is_running() for process in survivors)
    site.pass_time_for_the_dead()
    site.worker("two")
    _, alive = psutil.wait_procs(survivors, timeout=5)
    assert not alive
    site.go()
    assert ends(site, task_id) == (EXPIRED, DONE)
    site.check()


def test_a_kill_of_the_process_group_is_one_of_the_worker(site: FaultSite) -> None:
    site.script("slow", WAITS, retries=1)
    worker = site.worker("one")
    task_id = site.send("slow")
    site.started(task_id)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    site.pass_time_for_the_dead()
    site.worker("two")
    site.go()
    assert ends(site, task_id) == (EXPIRED, DONE)
    site.check()


def test_a_worker_killed_in_the_middle_of_an_upload_publishes_no_part_of_it(site: FaultSite) -> None:
    site.script("big", "truncate -s $((RUN_ID == 0 ? 300 : 1))M artifacts/big.bin", retries=1)
    worker = site.worker("one")
    task_id = site.send("big")
    files = run_folder(site.state, task_id) / "artifacts"
    eventually(lambda: files.is_dir() and any(files.iterdir()), "the upload")
    worker.send_signal(signal.SIGSTOP)  # so that the kill hits what was seen
    assert sum(path.stat().st_size for path in files.iterdir()) < 300 * 1024**2
    site.kill(worker)
    site.worker("two")
    assert ends(site, task_id) == (EXPIRED, DONE)
    runs = site.finished(task_id).runs
    assert runs[0].artifacts == ()
    assert [(artifact.name, artifact.size) for artifact in runs[1].artifacts] == [("big.bin", 1024**2)]
    site.check()
    assert not files.exists() or not any(files.iterdir()), "a part of an artifact that no record names"


@pytest.mark.parametrize("who", ["the worker that rescues the run", "the next worker of the place"])
def test_artifacts_that_no_record_names_go_and_the_log_stays(site: FaultSite, who: str) -> None:
    """Killed between the upload and the record of the outcome."""
    site.script("step", 'echo "made in $RUN_ID" | tee artifacts/made.txt', retries=1)
    task_id, hold, worker, _ = stop_at(site, "after the exit, before resolve")
    files = run_folder(site.state, task_id)
    assert (files / "artifacts" / "made.txt").is_file()
    site.kill(worker)
    hold.drop()
    if who == "the next worker of the place":  # the lease passes first, under somebody's eyes who has not the files
        eventually(lambda: site.ask(lambda store: store.records.sweep(limit=10)).rescued, "the end of the lease")
    site.worker("two")
    assert ends(site, task_id) == (EXPIRED, DONE)
    runs = site.finished(task_id).runs
    assert [[artifact.name for artifact in run.artifacts] for run in runs] == [[], ["made.txt"]]
    site.check()
    assert not (files / "artifacts").exists(), "artifacts that no record names"
    assert site.task_log(task_id).endswith(b"begun 0\nmade in 0\n")
    assert (files / "1" / "artifacts" / "made.txt").read_text() == "made in 1\n"


def test_artifacts_that_a_record_names_outlive_a_worker_that_died_before_it_knew(site: FaultSite) -> None:
    site.script("step", "echo made > artifacts/made.txt")
    task_id, hold, worker, _ = stop_at(site, "after resolve, before the answer")
    site.kill(worker)
    hold.drop()
    site.worker("two")
    assert ends(site, task_id) == (DONE,)
    site.check()
    assert (run_folder(site.state, task_id) / "artifacts" / "made.txt").read_text() == "made\n"


def test_an_outcome_that_waits_for_the_store_outlives_its_worker(folder: Path) -> None:
    with FaultSite(folder, lease_s=20) as site:
        site.script("slow", WAITS, once=True)
        worker = site.worker("one")
        task_id = site.send("slow")
        site.started(task_id)
        site.store.kill()
        site.go()
        eventually(lambda: list(site.state.glob("spool/*/*.outcome")), "the outcome on the disk")
        worker.kill()
        worker.wait()
        site.store.start()
        site.pass_time_for_the_dead()
        site.worker("two")
        assert ends(site, task_id) == (DONE,)
        assert site.task_log(task_id).endswith(b"begun 0\n")
        site.check()


def test_what_a_dead_worker_held_comes_back_by_itself(site: FaultSite) -> None:
    """The one test that lets the time pass."""
    site.script("step", "echo working")
    task_id, hold, worker, _ = stop_at(site, "before the claim")
    worker.kill()
    worker.wait()
    hold.drop()
    site.worker("two")
    assert site.finished(task_id, within_s=25).status == "completed"
    site.check()


def test_a_task_that_kills_its_worker_stops_at_its_retry_bound(site: FaultSite) -> None:
    """Its own supervisor's worker: the parent of the parent of the parent."""
    script = 'p=$PPID; for _ in 1 2; do read -r _ _ _ p _ < /proc/$p/stat; done; kill -9 "$p"; sleep 100'
    site.script("murder", script, retries=1)
    task_id = site.send("murder")
    for number in range(2):
        worker = site.worker(f"number-{number}", ready=False)
        assert worker.wait(20) == -signal.SIGKILL
        site.pass_time_for_the_dead()
    site.worker("last")
    assert ends(site, task_id) == (EXPIRED,) * 2
    assert len(site.marks(task_id, "start")) == 2
    site.check()
