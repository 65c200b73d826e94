"""Targets as their users see them: three workers with names and labels of their own on one store, over HTTP and CLI."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import Deployment
from tests.system.http_client import Api, make_key, running_api
from tests.system.remote import Remote
from tests.system.site import DEADLINE_S, eventually
from worker.config import load_settings
from worker.daemons.wiring import open_store
from worker.model.worker import WorkerState
from worker.store.workers import Workers

LABELS = {"w1": ["group=web.dev"], "w2": ["group=web.prod", "zone=eu"], "w3": ["group=db", "zone=eu"]}
BEAT_S = 0.5
QUIET = {"plugins": {"disabled": ["logHeader"]}, "killGrace": "0s"}


@dataclass
class Fleet:
    api: Api
    homes: dict[str, Deployment]
    processes: dict[str, subprocess.Popen[bytes]]

    def start(self, *names: str) -> None:
        for name in names:
            with (self.homes[name].home / "worker.log").open("ab") as log:
                self.processes[name] = self.homes[name].start("worker", stdout=log, stderr=log)
        for name in names:
            self.reached(name)

    def reached(self, name: str) -> None:
        """It takes tasks: it has run one."""

        def runs() -> bool:
            answer = self.run("mark", name)
            return answer.status == 200 and answer.json["status"] == "completed"

        eventually(runs, f"the worker {name}")

    def run(self, script: str, target: Any, query: str = "", **body: Any) -> Any:
        return self.api.post(f"/scripts/{script}/execute{query}", {"target": target, **body})

    def marks(self, name: str = "marks") -> Counter[str]:
        """How often which task was begun."""
        path = self.homes["w1"].home / name
        return Counter(path.read_text().split()) if path.exists() else Counter()

    def register(self, call: Callable[[Workers], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            async with open_store(load_settings(self.homes["w1"].home, environ={})) as store:
                return await call(Workers(store.redis))

        return asyncio.run(main())

    def becomes(self, name: str, *states: str) -> None:
        """What `GET /workers` says is never wrong for longer than two beats."""

        def look() -> bool:
            found = self.api.get("/workers").json["workers"]
            return any(worker["name"] == name and worker["state"] in states for worker in found)

        eventually(look, f"{name} {' or '.join(states)}", within_s=2 * BEAT_S + 1.5)

    def ended(self, task_id: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            task: dict[str, Any] = self.api.get(f"/tasks/{task_id}").json
            return task if task["finishedAt"] else None

        return eventually(look, f"the end of {task_id}")


@pytest.fixture(scope="module")
def fleet(shared_deployment: Deployment) -> Iterator[Fleet]:
    first = shared_deployment
    homes = {"w1": first}
    state = first.home / ".penstock"
    broker = {"url": f"redis+socket://{state}/store/store.sock?virtual_host=0"}
    store = {"url": f"unix://{state}/store/store.sock"}
    folders = []
    try:
        for name, labels in LABELS.items():
            if name not in homes:
                folders.append(Path(tempfile.mkdtemp(prefix="penstock-")))
                homes[name] = Deployment(folders[-1])
            # Each with files of its own, as on hosts of their own.
            worker = {"name": name, "labels": labels, "lease": "2s", "beat": f"{BEAT_S}s", "queues": ["penstock"]}
            more = {"api": {"port": 0, "maxWait": "20s"}} if name == "w1" else {"broker": broker, "store": store}
            homes[name].file("config/penstock.yaml", json.dumps({"worker": worker, **more}))
            mark = f'echo "$TASK_ID" >> {first.home}'
            homes[name].script("mark", f"{mark}/marks", **QUIET)
            homes[name].script("say", f"echo one of {name}; echo two; printf three >&2", **QUIET)
            homes[name].script("code", f"exit {int(name[1]) - 1}", exitCodes="plain", **QUIET)
            hold = f"{mark}/held; while [ ! -e {first.home}/open ]; do sleep 0.02; done"
            homes[name].script("hold", hold, retries=0, **QUIET)
        homes["w1"].script("only-w1", "true", **QUIET)
        for api in running_api(first):
            found = Fleet(api, homes, {})
            found.reached("w1")
            found.start("w2", "w3")
            yield found
            for name in ("w2", "w3"):
                homes[name].end()
    finally:
        for folder in folders:
            Deployment(folder).end()
            shutil.rmtree(folder)


def test_all_means_each_worker_once_and_says_what_became_of_each(fleet: Fleet) -> None:
    task = fleet.run("say", "_all").json
    assert (task["status"], task["target"], task["worker"], task["parent"]) == ("completed", "_all", None, None)
    assert [result["worker"] for result in task["results"]] == ["w1", "w2", "w3"]
    for result in task["results"]:
        assert (result["status"], result["exitCode"]) == ("completed", 0) and result["durationMs"] is not None
        log = fleet.api.get(result["logUrl"].removeprefix("/api/v1")).body.decode()
        assert sorted(log.splitlines()) == sorted([f"one of {result['worker']}", "two", "[worker:error] three"]), (
            "each has a log of its own"
        )
        child = fleet.api.get(f"/tasks/{result['taskId']}").json
        assert (child["parent"], child["target"], child["results"]) == (task["taskId"], result["worker"], None)
    listed = fleet.api.get(f"/tasks?parent={task['taskId']}").json["tasks"]
    assert sorted(each["worker"] for each in listed) == ["w1", "w2", "w3"]


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("group:web", ["w1", "w2"]),
        ("group:web.dev", ["w1"]),
        (["group:web", "zone:eu"], ["w2"]),
        (["zone:eu"], ["w2", "w3"]),
    ],
)
def test_labels_mean_whoever_carries_all_of_them(fleet: Fleet, target: Any, meant: list[str]) -> None:
    task = fleet.run("mark", target).json
    assert [result["worker"] for result in task["results"]] == meant
    assert [fleet.marks()[result["taskId"]] for result in task["results"]] == [1] * len(meant)
    assert task["status"] == "completed" and task["taskId"] not in fleet.marks()


def test_a_name_means_that_worker_and_the_task_is_its_own(fleet: Fleet) -> None:
    task = fleet.run("code", "w3").json
    assert (task["status"], task["exitCode"], task["worker"]) == ("failed", 2, "w3")
    assert (task["target"], task["results"], task["parent"]) == ("w3", None, None)
    again = fleet.api.post(f"/tasks/{task['taskId']}/rerun").json
    assert fleet.ended(again["taskId"])["worker"] == "w3", "also when it is run again"


def test_some_that_fail_make_it_partial(fleet: Fleet) -> None:
    task = fleet.run("code", "_all").json
    assert (task["status"], task["reason"]) == ("partial", "some-failed")
    assert task["message"] == "1 of 3 workers completed it"
    assert [result["exitCode"] for result in task["results"]] == [0, 1, 2]
    assert fleet.api.get("/tasks?status=partial&limit=1").json["tasks"][0]["taskId"] == task["taskId"]


@pytest.mark.parametrize(
    ("script", "target", "words"),
    [
        ("mark", "group:none", ("group:none", "w1 (group=web.dev)", "w3")),
        ("mark", "w9", ("w9", "w1")),
        ("mark", ["group:web", "group:db"], ("group:web group:db",)),
        ("only-w1", "w2", ("w2 does not run only-w1",)),
    ],
)
def test_a_target_that_means_nobody_is_refused_at_once(fleet: Fleet, script: str, target: Any, words: Any) -> None:
    before = fleet.api.get("/tasks?limit=1").json["total"]
    answer = fleet.run(script, target)
    assert answer.error == (409, "no-worker")
    for word in words:
        assert word in answer.json["message"], answer.json["message"]
    assert fleet.api.get("/tasks?limit=1").json["total"] == before
    less = fleet.api.with_key(make_key(fleet.homes["w1"], "less", "scripts:execute", "scripts:read"))
    told = less.post(f"/scripts/{script}/execute", {"target": target})
    assert told.error == (409, "no-worker") and "w1 (" not in told.json["message"], "and tells no more than it may"


@pytest.mark.parametrize(
    "target", ["", "a b", "../w1", "w1\n", "$(id)", "group:", ["w1", "w2"], [], ["_any", "a:b"], {}]
)
def test_what_is_no_target_is_refused(fleet: Fleet, target: Any) -> None:
    answer = fleet.run("mark", target)
    assert answer.error == (422, "invalid-body") and answer.pointers[0].startswith("/target")


def test_only_those_that_run_a_script_are_meant_by_all(fleet: Fleet) -> None:
    task = fleet.run("only-w1", "_all").json
    assert [result["worker"] for result in task["results"]] == ["w1"]


def test_any_is_run_once_by_somebody(fleet: Fleet) -> None:
    path = "/scripts/mark/execute?async=true"
    ids = [fleet.api.post(path, {"target": "_any"} if n % 2 else {}).json["taskId"] for n in range(60)]

    def ended() -> list[dict[str, Any]]:
        listed = fleet.api.get("/tasks?script=mark&status=completed&limit=200").json["tasks"]
        found = [task for task in listed if task["taskId"] in set(ids)]
        return found if len(found) == len(ids) else []

    tasks = eventually(ended, "the end of all")
    marks = fleet.marks()
    assert [marks[task_id] for task_id in ids] == [1] * len(ids)
    assert {task["target"] for task in tasks} == {None}
    assert {task["worker"] for task in tasks} == {"w1", "w2", "w3"}


def test_the_command_line_groups_by_worker_and_ends_with_the_worst(fleet: Fleet) -> None:
    home = fleet.homes["w1"]
    done = home.penstock("run", "say", "--target", "_all", "--yes")
    assert done.code == 0, done.err
    for name in LABELS:
        said = [line for line in done.out.splitlines() if line.startswith(f"[{name}] ")]
        assert sorted(said) == sorted(f"[{name}] {text}" for text in (f"one of {name}", "two", "[worker:error] three"))
    assert len(done.out.splitlines()) == 9
    done = home.penstock("run", "code", "--target", "zone:eu", "--json")
    assert (done.code, done.json["status"]) == (1, "failed")
    assert [(result["worker"], result["exitCode"]) for result in done.json["results"]] == [("w2", 1), ("w3", 2)]
    shown = home.penstock("show", done.json["taskId"])
    assert "zone:eu" in shown.out and all(f"{name} " in shown.out for name in ("w2", "w3"))
    said = home.penstock(
        "logs", "--tail", "1", home.penstock("run", "say", "--target", "group:web", "--json").json["taskId"]
    )
    assert (said.code, len(said.out.splitlines()), said.err) == (0, 2, "")
    assert [line.partition(" ")[0] for line in said.out.splitlines()] == ["[w1]", "[w2]"]
    nobody = home.penstock("run", "say", "--target", "w9")
    assert nobody.code == 66 and "w9" in nobody.err and "w1" in nobody.err
    unasked = home.penstock("submit", "say", "--target", "_all")
    assert unasked.code == 64 and "--yes" in unasked.err
    wrong = home.penstock("run", "say", "--target", "$(id)")
    assert wrong.code == 64 and wrong.out == ""


def test_the_remote_command_line_does_the_same(fleet: Fleet, tmp_path: Path) -> None:
    home = Remote(tmp_path, f"http://{fleet.api.host}:{fleet.api.port}", fleet.api.key)
    done = home.penstock("run", "say", "--target", "group:web")
    assert done.code == 0, done.err
    assert {line.split(" ")[0] for line in done.out.splitlines()} == {"[w1]", "[w2]"}
    shown = home.penstock("run", "code", "--target", "_all", "--yes", "--json")
    assert (shown.code, shown.json["status"], len(shown.json["results"])) == (1, "partial", 3)
    assert home.penstock("run", "say", "--target", "w9").code == 66


def test_cancelling_it_ends_all_of_them(fleet: Fleet) -> None:
    task_id = fleet.run("hold", "_all", "?async=true").json["taskId"]
    assert fleet.api.get(f"/tasks/{task_id}").json["status"] == "running"
    children = {result["taskId"] for result in fleet.api.get(f"/tasks/{task_id}").json["results"]}
    eventually(lambda: children <= fleet.marks("held").keys(), "all of them to begin")
    assert fleet.api.post(f"/tasks/{task_id}/cancel", {"why": "enough"}).json["outcome"] == "requested"
    task = fleet.ended(task_id)
    assert (task["status"], {result["status"] for result in task["results"]}) == ("cancelled", {"cancelled"})


def test_a_worker_that_is_killed_in_the_middle_costs_its_part_alone(fleet: Fleet) -> None:
    opened = fleet.homes["w1"].home / "open"
    task_id = fleet.run("hold", "_all", "?async=true").json["taskId"]
    results = fleet.api.get(f"/tasks/{task_id}").json["results"]
    eventually(lambda: {result["taskId"] for result in results} <= fleet.marks("held").keys(), "all of them to begin")
    fleet.becomes("w3", "busy")
    fleet.processes["w3"].kill()
    fleet.processes["w3"].wait()
    fleet.becomes("w3", "offline")
    opened.touch()
    try:
        task = fleet.ended(task_id)
        fleet.start("w3")
    finally:
        opened.unlink()
    assert (task["status"], task["message"]) == ("partial", "2 of 3 workers completed it")
    assert [(r["status"], r["reason"]) for r in task["results"]][2] == ("exception", "claim-expired")
    assert {fleet.marks("held")[result["taskId"]] for result in results} == {1}, "and nothing is replayed"


def test_a_worker_that_is_frozen_has_not_answered_and_runs_nothing_afterwards(fleet: Fleet) -> None:
    frozen = fleet.processes["w2"]
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        task = fleet.run("mark", "_all", deadline="1s").json
        fleet.becomes("w2", "offline")
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    fleet.becomes("w2", "online", "busy")
    assert (task["status"], [result["reason"] for result in task["results"]]) == ("partial", [None, "no-answer", None])
    fleet.reached("w2")
    assert [fleet.marks()[result["taskId"]] for result in task["results"]] == [1, 0, 1]


def test_who_comes_later_was_not_meant(fleet: Fleet) -> None:
    fleet.processes["w3"].terminate()
    assert fleet.processes["w3"].wait(DEADLINE_S) == 0
    task = fleet.run("mark", "_all").json
    assert [result["worker"] for result in task["results"]] == ["w1", "w2"]
    assert fleet.run("mark", "w3").error == (409, "no-worker")
    fleet.start("w3")
    assert sum(fleet.marks()[each["taskId"]] for each in task["results"]) == 2
    again = fleet.run("mark", "_all").json
    assert len(again["results"]) == 3


def test_a_worker_that_is_drained_is_not_meant(fleet: Fleet) -> None:
    fleet.register(lambda workers: workers.wish("w2", "drain", "me"))
    eventually(
        lambda: fleet.register(lambda workers: workers.get("w2")).state is WorkerState.DRAINING, "w2 to be drained"
    )
    task = fleet.run("mark", "_all").json
    assert [result["worker"] for result in task["results"]] == ["w1", "w3"]
    refused = fleet.run("mark", "w2")
    assert refused.error == (409, "no-worker") and "w2 is draining" in refused.json["message"]
    fleet.register(lambda workers: workers.take_back("w2", "drain"))
    fleet.reached("w2")
    assert sum(fleet.marks()[each["taskId"]] for each in task["results"]) == 2
