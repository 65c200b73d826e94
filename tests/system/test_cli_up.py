"""`penstock up` and `run --up`: a store and a worker that come and go with a command."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import urllib.request
from pathlib import Path

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


def served(deployment: Deployment) -> tuple[subprocess.Popen[bytes], Path]:
    """`up` with its API on some port, and its log."""
    deployment.file("config/penstock.yaml", json.dumps({"api": {"port": 0}, "log": {"format": "json"}}))
    deployment.script("say", "echo hello")
    log = deployment.home / "up-of-the-test.log"
    with log.open("wb") as output:
        up = deployment.start("up", stdout=output, stderr=output)
    eventually(lambda: "the API listens on" in log.read_text() or up.poll() is not None, "the API")
    assert up.poll() is None, log.read_text()
    return up, log


def api_of(up: subprocess.Popen[bytes]) -> psutil.Process | None:
    for child in psutil.Process(up.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "--socket" in child.cmdline():
                return child
    return None


def test_an_api_that_ends_is_started_again_and_callers_wait_for_it(deployment: Deployment) -> None:
    up, log = served(deployment)
    url = re.search(r"listens on (http://[0-9.:]+)", log.read_text())
    assert url
    for number in (signal.SIGKILL, signal.SIGTERM):
        before = log.read_text().count("answers again")
        first = api_of(up)
        assert first
        first.send_signal(number)
        psutil.wait_procs([first], timeout=20)
        with urllib.request.urlopen(f"{url[1]}/healthz", timeout=30) as answer:
            assert answer.status == 200
        eventually(lambda: log.read_text().count("answers again") > before, "the new one")
    said = log.read_text()
    assert said.count("the API has ended; it is started again") == said.count("answers again") == 2
    assert said.count("the API listens on") == 1
    up.send_signal(signal.SIGTERM)
    assert up.wait(20) == 0
    assert living(deployment) == []


def test_up_ends_with_the_reason_when_the_api_cannot_start(deployment: Deployment) -> None:
    deployment.script("say", "echo hello")
    deployment.file("key.pem", "no key")
    jwt = {"issuer": "i", "audience": "a", "keyFile": str(deployment.home / "key.pem")}
    deployment.file("config/penstock.yaml", json.dumps({"api": {"port": 0}, "auth": {"jwt": jwt}}))
    done = finish(deployment.start("up"))
    assert done.code == 65
    assert "/auth/jwt/keyFile" in done.err or "key.pem" in done.err
    assert "the API cannot start" in done.err
    assert "the API listens on" not in done.err
    assert living(deployment) == []


def test_up_says_that_a_port_of_the_settings_is_taken(deployment: Deployment) -> None:
    deployment.script("say", "echo hello")
    with socket.create_server(("127.0.0.1", 0)) as other:
        deployment.file("config/penstock.yaml", json.dumps({"api": {"port": other.getsockname()[1]}}))
        for command in ("up", "api"):
            done = finish(deployment.start(command))
            assert (done.code, "cannot listen on 127.0.0.1" in done.err) == (69, True), done
    assert living(deployment) == []


def test_an_up_that_is_stopped_while_its_api_starts_leaves_nothing(deployment: Deployment) -> None:
    deployment.script("say", "echo hello")
    deployment.file("config/penstock.yaml", json.dumps({"api": {"port": 0}}))
    up = deployment.start("up")
    eventually(lambda: api_of(up), "the process of the API")
    up.send_signal(signal.SIGTERM)
    done = finish(up)
    assert done.code == 0, done.err
    assert "cannot start" not in done.err
    assert living(deployment) == []
