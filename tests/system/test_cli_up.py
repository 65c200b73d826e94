"""`penstock up` and `run --up`: a store and a worker that come and go with a command."""

from __future__ import annotations

import os
import signal
import stat

import psutil
import pytest

from tests.system.conftest import Deployment, finish, running_up
from tests.system.site import eventually

QUIET = {"plugins": {"disabled": ["logHeader"]}}


def living(deployment: Deployment) -> list[psutil.Process]:
    """What runs for the deployment, by its command line."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        said = " ".join(process.info["cmdline"] or ())
        if str(deployment.home) in said and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def test_run_up_starts_what_is_needed_and_leaves_nothing(deployment: Deployment) -> None:
    deployment.script("say", "echo hello", **QUIET)
    done = deployment.penstock("run", "--up", "say")
    assert (done.code, done.out) == (0, "hello\n")
    assert living(deployment) == []
    log = deployment.home / ".penstock" / "up.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "run ended" in log.read_text()


def test_exit_code_4_of_a_command_is_that_of_run_and_ends_the_worker(deployment: Deployment) -> None:
    deployment.script("fatal", "exit 4")
    assert deployment.penstock("run", "--up", "fatal").code == 4
    assert living(deployment) == []


def test_tasks_of_an_earlier_store_are_still_there(deployment: Deployment) -> None:
    deployment.script("say", "echo hello", **QUIET)
    deployment.penstock("run", "--up", "say", "--id", "first", "-q")
    done = deployment.penstock("run", "--up", "say", "--id", "first", "--json")
    assert (done.code, done.err.endswith("hello\n")) == (0, True)


def test_ctrl_c_of_run_up_cancels_the_task_and_ends_everything(deployment: Deployment) -> None:
    deployment.script("stay", "echo begun; sleep 60", killGrace=0, **QUIET)
    process = deployment.start("run", "--up", "stay", "--id", "stays")
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.code == 130
    assert "cancelled" in done.err
    assert living(deployment) == []


def test_run_up_that_is_killed_leaves_nothing(deployment: Deployment) -> None:
    deployment.file("config/penstock.yaml", "worker: {shutdownGrace: 100ms}")
    deployment.script("stay", "echo begun; sleep 60", killGrace=0, **QUIET)
    process = deployment.start("run", "--up", "stay")
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.kill()
    finish(process)
    eventually(lambda: not living(deployment), "the end of what was started")


def test_run_up_goes_on_when_another_ends_the_store_that_it_used(deployment: Deployment) -> None:
    gate = deployment.home / "gate"
    deployment.script("wait", f"echo begun; while [ ! -e {gate} ]; do sleep 0.1; done", **QUIET)
    deployment.file("config/penstock.yaml", "worker: {concurrency: 1}")
    first = deployment.start("run", "--up", "wait", "-q")
    assert first.stdout is not None
    assert first.stdout.readline() == b"begun\n"
    # Waits behind the first, whose worker and store end when the first has ended.
    second = deployment.start("run", "--up", "wait", "--id", "second", "-q")
    eventually(lambda: deployment.penstock("show", "second").code == 0, "the second task")
    gate.touch()
    assert finish(first).code == 0
    assert finish(second).code == 0
    assert living(deployment) == []


def test_a_worker_that_cannot_start_is_told_with_the_end_of_its_log(deployment: Deployment) -> None:
    deployment.script("say", "echo hello")
    deployment.file(".penstock/store", "no folder")
    done = deployment.penstock("run", "--up", "say")
    assert done.code == 69
    assert "up.log" in done.err


def test_up_twice_is_two_workers_at_one_store(deployment: Deployment) -> None:
    deployment.script("say", "echo hello")
    first = running_up(deployment)
    next(first)
    second = running_up(deployment)
    next(second)
    with pytest.raises(StopIteration):
        next(second)
    assert deployment.store_runs()
    with pytest.raises(StopIteration):
        next(first)
    assert not deployment.store_runs()


def test_the_state_is_private(deployment: Deployment) -> None:
    deployment.script("say", "echo hello; echo x > artifacts/a")
    old = os.umask(0)
    try:
        deployment.penstock("run", "--up", "say")
    finally:
        os.umask(old)
    state = deployment.home / ".penstock"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait_for_the_grace_and_ends_with_0(
    deployment: Deployment, number: signal.Signals
) -> None:
    deployment.file("config/penstock.yaml", "worker: {shutdownGrace: 10m}")
    deployment.script("stay", "echo begun; sleep 600", killGrace=0, retries=0, **QUIET)
    log = deployment.home / "up-of-the-test.log"
    with log.open("wb") as output:
        up = deployment.start("up", stdout=output, stderr=output)
    eventually(deployment.store_runs, "the store")
    follower = deployment.start("run", "stay", "--id", "stays")
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"begun\n"
    up.send_signal(number)
    eventually(lambda: "finishing what runs" in log.read_text(), "the first signal to be heard")
    assert up.poll() is None
    up.send_signal(number)
    assert up.wait(timeout=20) == 0, log.read_text()
    follower.kill()
    finish(follower)
    assert living(deployment) == []
    shown = deployment.penstock("run", "--up", "stay", "--id", "stays", "--json", "-q", "--no-follow")
    assert (shown.code, shown.json["status"], shown.json["reason"]) == (75, "exception", "worker-shutdown")
