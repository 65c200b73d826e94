"""Workers as processes: their names, their states, and what is asked of them, while they are killed and frozen."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.system import zygote
from tests.system.conftest import environment
from tests.system.site import Site, eventually
from worker.broker import RedisPublisher
from worker.embedded import Embedded
from worker.model.target import queue_of
from worker.model.worker import Pulse, Worker, WorkerCard, WorkerProcess
from worker.operations.fleet import ask, fleet
from worker.store.workers import UnknownWorker, Workers

BEAT_S = 0.5


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="ps"))
    site = Site(folder)
    site.settings(worker={"beat": "500ms", "labels": ["group=web.dev"]})
    site.script("ready", "exit 0")
    site.script("step", 'echo "$TASK_ID" >> "$SITE/ran"', env={"SITE": str(folder)})
    site.script("slow", 'until [ -e "$SITE/go-$TASK_ID" ]; do sleep 0.02; done', env={"SITE": str(folder)})
    # The store outlives every worker.
    with Embedded(folder / ".penstock" / "store"):
        yield site
        site.stop()
    shutil.rmtree(folder, ignore_errors=True)


def seen(site: Site, name: str) -> Worker | None:
    async def read(store: Any) -> Worker | None:
        try:
            return await Workers(store.redis).get(name)
        except UnknownWorker:
            return None

    found: Worker | None = site.ask(read)
    return found


def shows(site: Site, name: str, state: str, within_s: float = 2 * BEAT_S + 2) -> Worker:
    """The worker as soon as it has that state; what is asked for and what happens to it takes two beats at most."""

    def look() -> Worker | None:
        found = seen(site, name)
        return found if found and found.state == state else None

    return eventually(look, f"{name} {state}; it is {seen(site, name)}", within_s)


def start(site: Site, name: str, *, ready: bool = True) -> subprocess.Popen[bytes]:
    process = site.start(env={"PENSTOCK_WORKER_NAME": name}, ready=False)
    if ready:
        eventually(lambda: (found := seen(site, name)) and found.live and found.card.process.pid == process.pid, name)
    return process


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    process.send_signal(signal.SIGCONT)
    process.send_signal(number)
    process.wait(20)


def order(site: Site, name: str, verb: str) -> None:
    site.ask(lambda store: ask(Workers(store.redis), name, verb, by="anna", why="a new disk"))


def test_a_name_is_refused_to_a_second_worker_and_given_back_by_a_killed_one(site: Site) -> None:
    first = start(site, "one")
    refused = start(site, "one", ready=False)
    assert refused.wait(20) == 65
    assert f"another worker named one runs on {os.uname().nodename}, process {first.pid}" in site.log()
    end(first, signal.SIGKILL)
    again = start(site, "one")  # its own beats are not waited for
    assert "waiting to see" not in site.log()
    end(again)
    gone = seen(site, "one")
    assert gone and gone.state == "offline" and gone.card.labels == ("group=web.dev",)


def test_a_state_is_never_wrong_for_longer_than_two_beats(site: Site) -> None:
    worker = start(site, "two")
    online = shows(site, "two", "online")
    assert online.pulse.vitals.memory_total > online.pulse.vitals.memory_free > 0 < online.pulse.vitals.disk_free
    assert online.admits and [each.script for each in online.admits] == ["ready", "slow", "step"]
    task_id = site.send("slow")
    busy = shows(site, "two", "busy")
    assert (busy.pulse.tasks, busy.pulse.running) == ((task_id,), 1)
    worker.send_signal(signal.SIGSTOP)
    shows(site, "two", "offline")
    worker.send_signal(signal.SIGCONT)
    shows(site, "two", "busy")
    worker.send_signal(signal.SIGTERM)
    assert shows(site, "two", "draining").pulse.reason == "it was told to stop"
    (site.folder / f"go-{task_id}").touch()
    worker.wait(20)
    assert shows(site, "two", "offline", within_s=0.5), "it has said so"
    killed = start(site, "two")
    end(killed, signal.SIGKILL)
    before = shows(site, "two", "offline")
    assert before.last_seen_at >= online.last_seen_at


def test_a_frozen_worker_whose_name_was_taken_stops(site: Site) -> None:
    frozen = start(site, "three")
    frozen.send_signal(signal.SIGSTOP)
    shows(site, "three", "offline")
    other = start(site, "three")
    frozen.send_signal(signal.SIGCONT)
    assert frozen.wait(20) == 4
    assert "another worker has the name three" in site.log()
    found = seen(site, "three")
    assert found and found.live and found.card.process.pid == other.pid
    end(other)


def test_a_drained_worker_ends_its_runs_and_takes_nothing_until_it_is_undrained(site: Site) -> None:
    drained = start(site, "four")
    running = site.send("slow")
    shows(site, "four", "busy")
    order(site, "four", "drain")
    found = shows(site, "four", "draining")
    assert (found.pulse.reason, found.pulse.tasks) == ("drained by anna: a new disk", (running,))
    waiting = [site.send("step") for _ in range(5)]
    other = start(site, "five")
    assert {site.finished(task_id).runs[0].worker for task_id in waiting} == {"five"}
    (site.folder / f"go-{running}").touch()
    assert site.finished(running).runs[0].worker == "four"
    order(site, "five", "pause")
    shows(site, "five", "paused")
    left = [site.send("step") for _ in range(3)]
    # Also for the one that comes after it: a host may be rebooted meanwhile.
    end(drained)
    again = start(site, "four")
    shows(site, "four", "draining")
    assert {site.task(task_id) for task_id in left} == {None}, "nobody has touched them"
    order(site, "four", "undrain")
    assert {site.finished(task_id).runs[0].worker for task_id in left} == {"four"}
    order(site, "five", "resume")
    shows(site, "five", "online")
    end(again)
    end(other)
    ran = (site.folder / "ran").read_text().split()
    assert sorted(ran) == sorted(waiting + left), "each of them once"


def test_a_worker_without_room_says_so(site: Site) -> None:
    site.settings(worker={"beat": "500ms", "minFreeDisk": "4000TB", "minFreeMemory": "4000TB"})
    try:
        poor = start(site, "six")
        found = shows(site, "six", "paused")
        assert "too little disk" in found.pulse.reason and "too little memory" in found.pulse.reason
        end(poor)
    finally:
        site.settings(worker={"beat": "500ms"})


def test_workers_that_disagree_are_told_and_a_task_for_another_one_ends(site: Site) -> None:
    """Two deployments, as on two hosts, take from one queue; the other one has no `step` and another `slow`."""
    folder = Path(tempfile.mkdtemp(prefix="ps"))
    other = Site(folder)
    try:
        shutil.copytree(site.folder / "config", folder / "config", dirs_exist_ok=True)
        shutil.copytree(site.folder / "scripts", folder / "scripts", dirs_exist_ok=True)
        (folder / "config" / "scripts" / "step.yaml").unlink()
        other.script("slow", "exit 0")
        other.settings(broker={"url": site.broker_url}, worker={"beat": "500ms"})
        here, there = start(site, "here"), None
        there = other.start(env={"PENSTOCK_WORKER_NAME": "there"}, ready=False)
        shows(site, "there", "online", 10)
        found = site.ask(lambda store: fleet(Workers(store.redis)))
        said = {each.script: [name for name, digest in each.digests if digest] for each in found.conflicts}
        assert said == {"slow": ["here", "there"], "step": ["here"]}, "the path of a deployment is no difference"
        checked = penstock(site, "check", "--json")
        assert checked["ok"] and [each["script"] for each in checked["conflicts"]] == ["slow", "step"]
        order(site, "here", "drain")
        shows(site, "here", "draining")
        code, out, err = zygote.run(
            ["-C", str(site.folder), "submit", "step"], stdin=b"{}", timeout_s=20, **where(site)
        )
        assert code == 0, err
        ended = site.finished(out.decode().strip())
        assert (ended.status, ended.reason, ended.runs[0].worker) == ("exception", "unknown-script", "there")
        assert "the worker there takes from the queue penstock and has no script step" in ended.message
        end(there)
        end(here)
    finally:
        other.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_commands_list_and_ask(site: Site) -> None:
    worker = start(site, "seven")
    listed = penstock(site, "workers", "list", "--json")
    assert "seven" in [each["name"] for each in listed["workers"] if each["state"] == "online"]
    asked = penstock(site, "workers", "drain", "seven", "--why", "x", "--json")["workers"][0]
    assert asked["drain"]["why"] == "x" and [each["script"] for each in asked["scripts"]] == ["ready", "slow", "step"]
    shows(site, "seven", "draining")
    for arguments, code in {
        ("undrain", "seven"): 0,
        ("remove", "seven"): 65,
        ("remove", "no-such"): 66,
        ("show", "../seven"): 66,
        ("pause", "a b"): 66,
    }.items():
        done = zygote.run(["-C", str(site.folder), "workers", *arguments], stdin=b"", timeout_s=20, **where(site))
        assert done[0] == code, done
    penstock(site, "workers", "undrain", "seven")
    running = site.send("slow")
    shows(site, "seven", "busy")
    with ThreadPoolExecutor(1) as aside:
        draining = aside.submit(penstock, site, "workers", "drain", "seven", "--wait")
        shows(site, "seven", "draining")
        assert not draining.done()
        (site.folder / f"go-{running}").touch()
        assert draining.result() == "seven: drain asked for\nseven: drained\n"
    end(worker)
    own = queue_of("seven")
    site.ask(lambda store: RedisPublisher(store.broker).publish("step", "nobodys", own))
    penstock(site, "workers", "remove", "seven")
    assert seen(site, "seven") is None
    assert site.ask(lambda store: store.broker.exists(own, f"_kombu.binding.{own}")) == 0


def test_the_end_of_a_workers_own_log_is_read_from_afar(site: Site) -> None:
    site.settings(worker={"beat": "500ms"}, log={"file": "logs/{name}.log"})
    process = start(site, "told")
    found = penstock(site, "workers", "logs", "told", "-n", "3", "--json")
    lines = [json.loads(line) for line in found["lines"]]
    assert (
        found["name"] == "told" and 1 <= len(lines) <= 3 and {line["logger"] for line in lines} == {"penstock.worker"}
    )
    os.kill(process.pid, signal.SIGSTOP)
    code, _, err = zygote.run(
        ["-C", str(site.folder), "workers", "logs", "told"], stdin=b"", timeout_s=20, **where(site)
    )
    assert code == 69 and b"did not answer within 5 seconds" in err, err
    os.kill(process.pid, signal.SIGCONT)
    with redis.Redis(unix_socket_path=str(site.store_socket)) as server:
        for nonsense in ("", "x", "[]", '["../x", 5]', '["%s", 1000000000]' % ("a" * 32), "\xff"):
            server.rpush("penstock:worker-asks:told", nonsense)
    assert penstock(site, "workers", "logs", "told", "-n", "1", "--json")["lines"]
    end(process)
    for name in ("nobody", "../told", "told*"):
        code, _, err = zygote.run(
            ["-C", str(site.folder), "workers", "logs", name], stdin=b"", timeout_s=20, **where(site)
        )
        assert code == 66, err


def where(site: Site) -> dict[str, Any]:
    return {"env": environment(), "cwd": site.folder}


def penstock(site: Site, *arguments: str) -> Any:
    code, out, err = zygote.run(["-C", str(site.folder), *arguments], stdin=b"", timeout_s=20, **where(site))
    assert code == 0, err
    return json.loads(out) if "--json" in arguments else out.decode()


def test_a_worker_that_waits_for_a_name_can_be_stopped(site: Site) -> None:
    """The one that has it is elsewhere, so that only its beats tell whether it lives."""
    card = WorkerCard("eight", "i", WorkerProcess("elsewhere", 1), "0", (), ("penstock",), 1, 60_000)
    site.ask(lambda store: Workers(store.redis).enter(card, (), Pulse()))
    waits = start(site, "eight", ready=False)
    eventually(lambda: "waiting to see whether it beats" in site.log(), "the word that it waits")
    end(waits)
    assert waits.returncode == 0
    beats = start(site, "eight", ready=False)
    eventually(lambda: site.log().count("waiting to see whether it beats") == 2, "the word that it waits")
    site.ask(lambda store: Workers(store.redis).beat(card, Pulse()))
    assert beats.wait(20) == 65
