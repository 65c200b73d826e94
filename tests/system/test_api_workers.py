"""Workers over HTTP: who is there, what is asked of one, who may know what, and the same from another machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import Deployment
from tests.system.http_client import Api, audit_of, gone_worker, make_key, running_api
from tests.system.remote import Remote
from tests.system.site import eventually


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    worker = {"name": "w1", "beat": "500ms", "labels": ["group=web.dev", "os=debian"]}
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0}, "worker": worker}))
    d.script("say", "echo hi")
    d.script("other", f"until [ -e {d.home}/go ]; do sleep 0.02; done")
    yield from running_api(d)


def state(api: Api, name: str, wanted: str) -> None:
    eventually(lambda: api.get(f"/workers/{name}").json["state"] == wanted, f"{name} {wanted}", 5)


def test_a_worker_is_drained_and_comes_back(api: Api, shared_deployment: Deployment) -> None:
    asked = api.post("/workers/w1/drain", {"why": "a \u001b[31m disk"})
    assert asked.status == 200
    assert asked.json["drain"] == {"by": "all", "why": "a \u001b[31m disk", "at": asked.json["drain"]["at"]}
    state(api, "w1", "draining")
    assert api.get("/workers/w1").json["reason"] == "drained by all: a \\x1b[31m disk", "as a terminal may show it"
    assert api.post("/scripts/say/execute?async=true", {"id": "later"}).status == 202
    [seen] = api.get("/status").json["workers"]
    assert (seen["name"], seen["state"], seen["running"]) == ("w1", "draining", 0)
    assert api.get("/tasks/later").json["status"] == "pending"
    assert api.post("/workers/w1/undrain").status == 200
    eventually(lambda: api.get("/tasks/later").json["status"] == "completed", "the task that had waited")
    entries = [entry for entry in audit_of(shared_deployment) if entry.action.startswith("workers.")]
    assert [(entry.action, entry.target, entry.result) for entry in entries] == [
        ("workers.undrain", "w1", "allowed"),
        ("workers.drain", "w1", "allowed"),
    ]


def test_who_may_know_what(api: Api, shared_deployment: Deployment) -> None:
    def with_scopes(*scopes: str) -> Api:
        return api.with_key(make_key(shared_deployment, "some", *scopes))

    assert api.post("/scripts/other/execute?async=true", {"id": "o1"}).status == 202
    eventually(lambda: api.get("/workers/w1").json["tasks"] == ["o1"], "the task in the list", 5)
    narrow = with_scopes("workers:read", "scripts:read:say", "tasks:read")
    whole, seen = api.get("/workers/w1").json, narrow.get("/workers/w1").json
    assert [each["script"] for each in whole["scripts"]] == ["other", "say"]
    assert ([each["script"] for each in seen["scripts"]], seen["tasks"], seen["running"]) == (["say"], [], 1)
    assert narrow.get("/workers").json["workers"][0]["tasks"] == []
    assert narrow.post("/workers/w1/pause").error == (403, "not-allowed")
    one = with_scopes("workers:read:w1", "workers:write:w2")
    assert [each["name"] for each in one.get("/workers").json["workers"]] == ["w1"]
    assert one.get("/workers/w2").error == one.post("/workers/w1/pause").error == (403, "not-allowed")
    assert one.delete("/workers/w2").error == (404, "unknown-worker")
    shared_deployment.file("go", "")


def test_pages_show_every_worker_once(api: Api, shared_deployment: Deployment) -> None:
    for name in ("a1", "b.2", "_c"):
        gone_worker(shared_deployment, name)
    names, cursor = [], ""
    while True:
        page = api.get(f"/workers?limit=1{cursor}").json
        assert page["total"] == 4 and len(page["workers"]) == 1
        names.append(page["workers"][0]["name"])
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert names == ["_c", "a1", "b.2", "w1"]
    assert [each["name"] for each in api.get("/workers?state=offline").json["workers"]] == ["_c", "a1", "b.2"]
    assert api.get("/workers?state=gone").status == api.get("/workers?cursor=a%20b").status == 400
    for name in ("a1", "b.2", "_c"):
        assert api.delete(f"/workers/{name}").status == 204
    assert api.delete("/workers/a1").error == (404, "unknown-worker")


def test_the_commands_are_the_same_from_another_machine(
    api: Api, shared_deployment: Deployment, tmp_path: Path
) -> None:
    remote = Remote(tmp_path, f"http://{api.host}:{api.port}", api.key)
    gone_worker(shared_deployment, "old")
    moves = {"load", "lastSeenAt", "memoryFree", "diskFree", "running", "tasks", "state"}
    here, there = (site.penstock("workers", "show", "w1", "--json").json for site in (shared_deployment, remote))
    assert {k: v for k, v in here.items() if k not in moves} == {k: v for k, v in there.items() if k not in moves}
    assert remote.penstock("workers", "pause", "w1", "--why", "x").out == "w1: pause asked for\n"
    state(api, "w1", "paused")
    assert "w1    paused" in remote.penstock("workers", "list").out
    assert remote.penstock("workers", "resume", "w1", "--json").json["workers"][0]["pause"] is None
    assert remote.penstock("workers", "remove", "old").out == "old removed\n"
    for arguments, code in {
        ("show", "old"): 66,
        ("show", "../keys"): 66,
        ("remove", "w1"): 65,
        ("show", ".."): 66,
    }.items():
        assert remote.penstock("workers", *arguments).code == code, arguments
