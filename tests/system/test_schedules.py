"""Schedules with real beats, a real worker and the embedded store: every slot once, whoever is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.children.beat import SPEED
from tests.system.conftest import Deployment, environment
from tests.system.scheduled import ask, make, now_ms, tasks, workflow_runs
from tests.system.site import DEADLINE_S, eventually
from worker.config import load_settings
from worker.daemons.wiring import store_folder
from worker.embedded import Embedded

MINUTE = 60_000
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def site(deployment: Deployment) -> Iterator[Deployment]:
    """With a store that stays when a beat or a worker ends."""
    deployment.script("say", "cat", {"properties": {"n": {"type": "integer"}}})
    with Embedded(store_folder(load_settings(deployment.home, environ={}))):
        yield deployment


def wait_for_line(path: Path, words: str, times: int = 1) -> None:
    eventually(lambda: path.exists() and path.read_text().count(words) >= times, f"{words!r} in {path.name}")


@pytest.mark.parametrize("seed", [1, 2])
def test_beats_that_are_killed_at_random_lose_no_slot_and_double_none(site: Deployment, seed: int) -> None:
    """Three beats by a clock that runs 600 times as fast, and a worker whose commands write what they did."""
    print(f"seed {seed}")
    dice = random.Random(seed)
    done = site.home / "done"
    site.script("note", f'echo "$TASK_ID" >> {done}', {"properties": {"n": {"type": "integer"}}})
    site.script("alone", f"cd {site.home}; mkdir held || echo twice >> twice; sleep 0.15; rmdir held")
    began = 1_900_000_020_000 - 1_900_000_020_000 % MINUTE
    minutes = 30
    every = {"overlap": "allow", "catchUp": "all", "catchUpLimit": 1000}
    exact = {"script": "note", **every}
    make(site, "each", began, cronExpression="* * * * *", **exact)
    make(site, "some", began, cronExpression="*/7 * * * *", timezone="Asia/Kathmandu", **exact)
    steps = [{"name": name, "script": "note"} for name in ("first", "second")]
    site.file("config/workflows/pair.yaml", json.dumps({"steps": steps}))
    make(site, "flow", began, script=None, workflow="pair", cronExpression="*/3 * * * *", **every)
    make(site, "never", began, cronExpression="* * * * *", enabled=False, **exact)
    make(site, "alone", began, script="alone", cronExpression="* * * * *", overlap="skip", catchUp="once")
    worker = site.start("worker", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    took_part_s = minutes * 60 / SPEED
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "tests.children.beat", str(site.home)]
    nest = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
    site.processes.append(nest)  # type: ignore[arg-type]
    assert nest.stdin and nest.stdout
    assert nest.stdout.readline() == "ready\n"
    began_s = time.monotonic()

    def beat() -> int:
        assert nest.stdin and nest.stdout
        nest.stdin.write(f"{began} {began_s} {began + minutes * MINUTE}\n")
        nest.stdin.flush()
        return int(nest.stdout.readline())

    beats = [beat() for _ in range(3)]
    kills = 0
    while time.monotonic() < began_s + took_part_s:
        time.sleep(dice.uniform(0.01, 0.1))  # the fault itself, not a wait for something
        victim = dice.randrange(3)
        os.kill(beats[victim], signal.SIGKILL)
        kills += 1
        beats[victim] = beat()
    nest.stdin.close()
    assert nest.wait(DEADLINE_S) == 0
    print(f"{kills} beats killed")
    expected = {"each": minutes, "some": len([m for m in range(1, minutes + 1) if _seventh(began + m * MINUTE)])}
    counts = {name: len(tasks(site, name)) for name in ("each", "some", "never")}
    assert (counts, kills >= 4) == ({**expected, "never": 0}, True)
    flows = workflow_runs(site, "flow")
    assert len(flows) == len({run.id for run in flows}) == minutes // 3
    in_all = sum(expected.values()) + 2 * len(flows)
    eventually(lambda: done.exists() and len(done.read_text().split()) >= in_all, "all to be done")
    runs = Counter(done.read_text().split())
    assert len(runs) == in_all and set(runs.values()) == {1}
    steps_done = {step.task for run in workflow_runs(site, "flow") for step in run.steps}
    assert {task.id for name in expected for task in tasks(site, name)} | steps_done == set(runs)
    assert tasks(site, "alone") and not (site.home / "twice").exists()
    worker.send_signal(signal.SIGTERM)
    worker.wait(DEADLINE_S)


def _seventh(at_ms: int) -> bool:
    """By the clock of Kathmandu, which is five hours and three quarters ahead."""
    return (at_ms // MINUTE + 345) % 60 % 7 == 0


def test_a_real_beat_makes_up_hears_of_changes_outlives_the_store_and_ends_at_once(deployment: Deployment) -> None:
    deployment.script("say", "cat", {"properties": {"n": {"type": "integer"}}})
    once = {"cronExpression": "0 * * * *", "catchUp": "once"}
    folder = store_folder(load_settings(deployment.home, environ={}))
    log = deployment.home / "beat.log"

    def declare(expression: str) -> None:
        value = {"script": "say", "cronExpression": expression}
        deployment.file("config/schedules/declared.yaml", json.dumps(value))

    with Embedded(folder):
        make(deployment, "before", now_ms() - 7_200_000, **once)
        with log.open("wb") as output:
            beats = [deployment.start("beat", stdout=output, stderr=output) for _ in range(2)]
        wait_for_line(log, '"ready"', times=2)
        eventually(lambda: tasks(deployment, "before"), "what was missed")
        make(deployment, "meanwhile", now_ms() - 7_200_000, **once)
        eventually(lambda: tasks(deployment, "meanwhile"), "a schedule that was made while the beat waits", within_s=5)
        declare("0 0 1 1 *")
        wait_for_line(log, '"schedules read again', times=2)
        declare("0 0 30 2 *")
        wait_for_line(log, "no such day", times=2)
    wait_for_line(log, "the store is away", times=2)
    with Embedded(folder):
        wait_for_line(log, "the store is back", times=2)
        assert log.read_text().count("the store is away") == 2
        make(deployment, "after", now_ms() - 7_200_000, **once)
        eventually(lambda: tasks(deployment, "after"), "a schedule after the outage", within_s=10)
        assert [len(tasks(deployment, name)) for name in ("before", "meanwhile", "after")] == [1, 1, 1]
        begin = time.monotonic()
        for beat in beats:
            beat.send_signal(signal.SIGTERM)
        assert [beat.wait(DEADLINE_S) for beat in beats] == [0, 0], log.read_text()
        assert time.monotonic() - begin < 5
    assert "Traceback" not in log.read_text()


def test_a_wrong_schedule_ends_a_beat_and_a_check_with_its_line(site: Deployment) -> None:
    site.file("config/schedules/wrong.yaml", "script: say\ncronExpression: '61 * * * *'\npayload: {n: x}\n")
    for command in ("beat", "check"):
        found = site.penstock(command)
        assert found.code == 65
        assert "wrong.yaml:2:" in found.out + found.err and "wrong.yaml:3:" in found.out + found.err


def test_celery_beat_takes_our_scheduler_beside_its_own_entries(site: Deployment) -> None:
    make(site, "ours", now_ms() - 7_200_000, cronExpression="0 * * * *", catchUp="once")
    socket = store_folder(load_settings(site.home, environ={})) / "store.sock"
    site.file(
        "anyone.py",
        f"""
from celery import Celery

app = Celery("anyone", broker="redis+socket://{socket}?virtual_host=0")
entry = {{"task": "penstock.say", "schedule": 0.2, "kwargs": {{"n": 1}}, "options": {{"queue": "penstock"}}}}
app.conf.update(timezone="UTC", result_expires=None, beat_schedule={{"theirs": entry}})
""",
    )
    log = site.home / "celery.log"
    command = [sys.executable, "-m", "celery", "-A", "anyone", "beat", "-S", "worker.daemons.beat:Scheduler"]
    env = environment({"PENSTOCK_HOME": str(site.home), "PYTHONPATH": f"{site.home}:{ROOT}"})
    with log.open("wb") as output:
        beat = subprocess.Popen(command, cwd=site.home, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    site.processes.append(beat)
    try:
        eventually(lambda: tasks(site, "ours"), "our slot")
        depth = eventually(lambda: ask(site, lambda store: store.redis.llen("penstock")) >= 5, "Celery's own entries")
        assert depth and len(tasks(site, "ours")) == 1
    except AssertionError as error:
        raise AssertionError(f"{error}\n{log.read_text()[-3000:]}") from None
    beat.send_signal(signal.SIGTERM)
    assert beat.wait(DEADLINE_S) == 0, log.read_text()[-3000:]
    assert "Traceback" not in log.read_text(), log.read_text()[-3000:]


def test_the_command_line_makes_shows_tries_changes_and_deletes(site: Deployment) -> None:
    made = site.penstock("schedules", "create", "nightly", "--script", "say", "--cron", "30 2 * * *", "-p", "n=3",
                         "--timezone", "Europe/Berlin", "--tag", "loud", "--json")  # fmt: skip
    assert made.code == 0, made
    assert (made.json["payload"], made.json["tags"], made.json["enabled"]) == ({"n": 3}, ["loud"], True)
    again = site.penstock("schedules", "create", "nightly", "--script", "say", "--cron", "@daily")
    assert (again.code, "already" in again.err) == (65, True)
    lost = site.penstock("schedules", "create", "lost", "--workflow", "../x", "--cron", "@daily")
    assert (lost.code, "/workflow" in lost.err) == (65, True)
    wrong = site.penstock("schedules", "create", "../x", "--script", "no", "--cron", "$(touch x)", "--timezone", "../x")
    assert wrong.code == 65 and not (site.home / "x").exists()
    assert [place in wrong.err for place in ("/script", "/cronExpression", "/timezone", "not allowed")] == [True] * 4
    changed = site.penstock("schedules", "update", "nightly", "--cron", "@hourly", "--json").json
    assert (changed["cronExpression"], changed["payload"], changed["timezone"]) == (
        "@hourly",
        {"n": 3},
        "Europe/Berlin",
    )
    assert site.penstock("schedules", "disable", "nightly").code == 0
    assert site.penstock("schedules", "show", "nightly", "--json").json["nextRunAt"] is None
    assert site.penstock("schedules", "enable", "nightly").code == 0
    site.file("config/workflows/pair.yaml", json.dumps({"steps": [{"name": "a", "script": "say"}]}))
    flow = site.penstock("schedules", "create", "flow", "--workflow", "pair", "--cron", "@daily", "--json").json
    assert (flow["script"], flow["workflow"], flow["payload"]) == (None, "pair", {})
    run = site.penstock("schedules", "trigger", "flow").out.strip()
    assert [each.id for each in workflow_runs(site, "flow")] == [run]
    assert site.penstock("schedules", "update", "flow", "--script", "say", "--json").json["workflow"] is None
    assert site.penstock("schedules", "delete", "flow").code == 0
    triggered = site.penstock("schedules", "trigger", "nightly").out.strip()
    assert [task.id for task in tasks(site, "nightly")] == [triggered]
    site.file("config/schedules/declared.yaml", json.dumps({"script": "say", "cronExpression": "@daily"}))
    listed = site.penstock("schedules", "list")
    assert [line.split()[0] for line in listed.out.splitlines()] == ["NAME", "declared", "nightly"]
    refused = site.penstock("schedules", "delete", "declared")
    assert (refused.code, "in a file" in refused.err) == (65, True)
    assert site.penstock("schedules", "delete", "nightly").code == 0
    assert site.penstock("schedules", "show", "nightly").code == 66
    preview = site.penstock("schedules", "preview", "30 2 * * *", "--timezone", "Europe/Berlin", "-n", "3", "--json")
    assert len(preview.json["times"]) == 3
    assert site.penstock("schedules", "preview", "61 * * * *").code == 65
    actions = site.penstock("audit", "--json", "--action", "schedules").json["entries"]
    assert {entry["action"] for entry in actions} >= {"schedules.create", "schedules.delete", "schedules.trigger"}
