"""Schedules over HTTP: who may do what with them, what is told of mistakes, and what beats and audit make of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.conftest import Deployment
from tests.system.http_client import Answer, Api, audit_of, make_key, running_api
from tests.system.scheduled import make, now_ms
from tests.system.site import eventually

NUMBER = {"properties": {"n": {"type": "integer"}, "token": {"type": "string", "writeOnly": True}}}
SAY = {"script": "say", "cronExpression": "30 2 * * *", "timezone": "Europe/Berlin", "payload": {"n": 1}}


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0, "maxBody": "256 KiB"}}))
    d.script("say", "cat", NUMBER)
    d.script("signed", "cat", NUMBER, allowedScopes=["release:sign"])
    d.script("off", "cat", NUMBER, enabled=False)
    d.file("config/schedules/declared.yaml", json.dumps({"script": "say", "cronExpression": "@yearly"}))
    yield from running_api(d)


def put(api: Api, path: str, value: Any) -> Answer:
    return api.send("PUT", path, json.dumps(value).encode(), {"Content-Type": "application/json"})


def made(api: Api, name: str, **fields: Any) -> dict[str, Any]:
    answer = api.post("/schedules", {"name": name, **SAY, **fields})
    assert answer.status == 201, answer
    assert answer.headers["location"] == f"/api/v1/schedules/{name}"
    found: dict[str, Any] = answer.json
    return found


def test_a_schedule_is_made_read_changed_switched_triggered_and_deleted(
    api: Api, shared_deployment: Deployment
) -> None:
    first = made(api, "life", payload={"n": 1, "token": "hidden"}, tags=["loud"])
    assert (first["source"], first["owner"], first["payload"]) == ("store", "all", {"n": 1, "token": "***"})
    assert first["nextRunAt"].endswith(":30:00.000Z")
    assert api.get("/schedules/life").json == first
    masked = {key: first[key] for key in ("script", "cronExpression", "payload")}
    refused = put(api, "/schedules/life", masked)
    assert (refused.error, refused.pointers) == ((422, "invalid-schedule"), ["/payload/token"])
    changed = put(api, "/schedules/life", {**SAY, "cronExpression": "@hourly", "overlap": "queue"}).json
    assert (changed["cronExpression"], changed["overlap"], changed["payload"]) == ("@hourly", "queue", {"n": 1})
    assert changed["createdAt"] == first["createdAt"]
    disabled = api.post("/schedules/life/disable").json
    assert (disabled["enabled"], disabled["nextRunAt"]) == (False, None)
    assert api.post("/schedules/life/enable", {}).json["enabled"] is True
    triggered = api.post("/schedules/life/trigger")
    assert triggered.status == 202 and triggered.headers["location"].endswith(triggered.json["taskId"])
    task_id = triggered.json["taskId"]
    eventually(lambda: api.get(f"/tasks/{task_id}").json["status"] == "completed", "the task")
    page = api.get("/schedules/life/tasks").json
    assert [task["taskId"] for task in page["tasks"]] == [task_id]
    assert (page["total"], page["next"], page["tasks"][0]["trigger"]) == (1, None, "schedule")
    names = [schedule["name"] for schedule in api.get("/schedules").json["schedules"]]
    assert names == sorted(names) and {"declared", "life"} <= set(names)
    assert api.delete("/schedules/life").status == 204
    assert api.get("/schedules/life").error == (404, "unknown-schedule")
    actions = {entry.action for entry in audit_of(shared_deployment) if entry.target == "life"}
    verbs = ("create", "update", "disable", "enable", "trigger", "delete")
    assert {f"schedules.{verb}" for verb in verbs} <= actions


def test_the_beat_of_up_submits_and_what_came_of_it_is_shown(api: Api, shared_deployment: Deployment) -> None:
    make(shared_deployment, "soon", now_ms() - 7_200_000, cronExpression="0 * * * *", catchUp="once")
    found = eventually(lambda: api.get("/schedules/soon").json["lastTaskId"], "a task", within_s=10)
    eventually(lambda: api.get("/schedules/soon").json["lastStatus"] == "completed", "its end")
    task = api.get(f"/tasks/{found}").json
    assert (task["trigger"], task["submittedBy"], task["tags"]) == ("schedule", "operator", ["schedule:soon"])


def test_a_preview_and_the_presets_need_no_schedule(api: Api) -> None:
    found = api.post("/schedules/preview", {"cronExpression": "@daily", "timezone": "Asia/Tokyo", "count": 3}).json
    assert [time[11:] for time in found["times"]] == ["15:00:00.000Z"] * 3
    wrong = api.post("/schedules/preview", {"cronExpression": "61 24 * * *", "timezone": "../etc"})
    assert (wrong.error, wrong.pointers) == (
        (422, "invalid-schedule"),
        ["/cronExpression", "/cronExpression", "/timezone"],
    )
    assert {"name": "@daily", "cronExpression": "0 0 * * *"} in api.get("/schedules/presets").json["presets"]
    assert api.post("/schedules/preview", {"cronExpression": "@daily", "count": 10**9}).error == (422, "invalid-body")


def test_every_route_asks_for_its_scope_and_for_the_scripts(api: Api, shared_deployment: Deployment) -> None:
    made(api, "guarded")
    calls = [
        ("GET", "/schedules", None),
        ("GET", "/schedules/presets", None),
        ("POST", "/schedules/preview", {"cronExpression": "@daily"}),
        ("POST", "/schedules", {"name": "new", **SAY}),
        ("GET", "/schedules/guarded", None),
        ("PUT", "/schedules/guarded", SAY),
        ("DELETE", "/schedules/guarded", None),
        ("POST", "/schedules/guarded/enable", {}),
        ("POST", "/schedules/guarded/disable", {}),
        ("POST", "/schedules/guarded/trigger", {}),
        ("GET", "/schedules/guarded/tasks", None),
    ]
    nobody = api.with_key(None)
    other = api.with_key(make_key(shared_deployment, "other", "tasks:read", "scripts:read", "scripts:execute"))
    for method, path, body in calls:
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        assert nobody.send(method, path, data, headers).error == (401, "unauthorized"), path
        assert other.send(method, path, data, headers).error[0] == 403, path
    # With the schedules' scopes alone: what is run needs its own.
    clerk = api.with_key(make_key(shared_deployment, "clerk", "schedules:*"))
    for method, path, body in (calls[3], calls[5], calls[7], calls[9], calls[4]):
        data = b"" if body is None else json.dumps(body).encode()
        assert clerk.send(method, path, data, {"Content-Type": "application/json"}).error[0] == 403, path
    narrow = ("schedules:*", "scripts:read", "scripts:execute")
    signer = api.with_key(make_key(shared_deployment, "signer", *narrow))
    assert signer.post("/schedules", {"name": "signs", **SAY, "script": "signed"}).error[0] == 403
    one = api.with_key(make_key(shared_deployment, "one", "schedules:read:guarded", "scripts:read:say"))
    assert [schedule["name"] for schedule in one.get("/schedules").json["schedules"]] == ["guarded"]
    assert one.get("/schedules/declared").error[0] == 403


def test_what_the_operator_declares_is_read_only(api: Api) -> None:
    for answer in (
        put(api, "/schedules/declared", SAY),
        api.delete("/schedules/declared"),
        api.post("/schedules/declared/disable", {}),
    ):
        assert answer.error == (409, "read-only")
    assert api.post("/schedules", {"name": "declared", **SAY}).error == (409, "conflict")
    assert api.get("/schedules/declared").json["source"] == "file"
    assert api.post("/schedules/declared/trigger").status == 202


def test_mistakes_are_told_all_at_once_and_nothing_is_kept(api: Api) -> None:
    wrong = {"cronExpression": "0 0 30 2 *", "timezone": "$(touch x)", "payload": {"n": "1"}, "startAt": "x"}
    answer = api.post("/schedules", {"name": "wrong", **SAY, **wrong})
    assert answer.error == (422, "invalid-schedule")
    assert sorted(answer.pointers) == ["/cronExpression", "/payload/n", "/timezone"]
    for name in ("../x", "$(touch x)", "a/b", "A", "x" * 63 + "\n", "ｎ", "presets"):
        assert api.post("/schedules", {"name": name, **SAY}).error[0] in (422, 403)
    for body in (
        {"name": "x", **SAY, "script": "nope"},
        {"name": "x", **SAY, "workflow": "w"},
        {"name": "x", "cronExpression": "@daily"},
        {"name": "x", **SAY, "surprise": 1},
        {"name": "x", **SAY, "catchUpLimit": 10**6},
        {"name": "x", **SAY, "enabled": "yes"},
        {"name": "x", **SAY, "cronExpression": "*/1," * 60 + "* * * * *"},
    ):
        assert api.post("/schedules", body).error[0] in (422, 201), body
    assert api.post("/schedules", {"name": "x", **SAY, "payload": {"token": "x" * 400_000}}).error[0] == 413
    for path in ("/schedules/..%2Fx", "/schedules/nope", "/schedules/$(x)"):
        assert api.get(path).error[0] == 404
        assert api.delete(path).error[0] in (404, 405)
    assert api.post("/schedules/nope/trigger").error == (404, "unknown-schedule")
    assert put(api, "/schedules/nope", SAY).error == (404, "unknown-schedule")
    assert api.get("/schedules/declared/tasks?limit=0").error == (400, "invalid-query")
    made(api, "twice")
    assert api.post("/schedules", {"name": "twice", **SAY}).error == (409, "conflict")
    made(api, "disabled-script", script="off")
    assert api.post("/schedules/disabled-script/trigger").error == (400, "script-disabled")
