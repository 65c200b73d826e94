"""Schedules over HTTP: who may do what with them, what is told of mistakes, and what beats and audit make of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.conftest import Deployment
from tests.system.http_client import Answer, Api, audit_of, make_key, running_api
from tests.system.scheduled import OPERATOR, ask, keep, make, now_ms
from tests.system.site import eventually
from worker.auth.secret_keys import SecretKeys
from worker.model.schedule import Schedule

NUMBER = {"properties": {"n": {"type": "integer"}, "token": {"type": "string", "writeOnly": True}}}
CHAIN = [{"name": "one", "script": "say"}, {"name": "two", "script": "signed"}]
FLOW = {"workflow": "chain", "cronExpression": "30 2 * * *", "payload": {"n": 1, "token": "hidden"}}
SAY = {"script": "say", "cronExpression": "30 2 * * *", "timezone": "Europe/Berlin", "payload": {"n": 1}}


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0, "maxBody": "256 KiB"}}))
    d.script("say", "cat", NUMBER)
    d.script("signed", "cat", NUMBER, allowedScopes=["release:sign"])
    d.script("off", "cat", NUMBER, enabled=False)
    d.file("config/workflows/chain.yaml", json.dumps({"schema": NUMBER, "steps": CHAIN}))
    d.file("config/schedules/flows.yaml", json.dumps({"workflow": "chain", "cronExpression": "@yearly"}))
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


def test_a_schedule_starts_a_workflow_as_who_may_run_all_of_its_steps(api: Api, shared_deployment: Deployment) -> None:
    first = api.post("/schedules", {"name": "flow", **FLOW}).json
    assert (first["workflow"], first["script"], first["payload"]) == ("chain", None, {"n": 1, "token": "***"})
    triggered = api.post("/schedules/flow/trigger")
    run_id = triggered.json["runId"]
    assert (triggered.status, triggered.json["taskId"]) == (202, None)
    assert triggered.headers["location"] == f"/api/v1/workflow-runs/{run_id}"
    eventually(lambda: api.get(f"/workflow-runs/{run_id}").json["status"] == "completed", "the run")
    page = api.get("/schedules/flow/runs").json
    assert [(run["runId"], run["trigger"]) for run in page["runs"]] == [(run_id, "schedule")]
    assert (page["total"], page["next"], api.get("/schedules/flow/tasks").json["tasks"]) == (1, None, [])
    assert api.get("/schedules/flows").json["source"] == "file"
    masked = put(api, "/schedules/flow", {**FLOW, "payload": first["payload"]})
    assert (masked.error, masked.pointers) == ((422, "invalid-schedule"), ["/payload/token"])
    for fields in ({"workflow": "../chain"}, {"workflow": "$(touch x)"}, {"workflow": "chain\u0000"}):
        wrong = api.post("/schedules", {**FLOW, "name": "wrong", **fields})
        assert (wrong.error, wrong.pointers) == ((422, "invalid-schedule"), ["/workflow"])
    assert api.post("/schedules", {**FLOW, **SAY, "name": "wrong"}).error == (422, "invalid-schedule")
    some = ("schedules:*", "workflows:execute", "scripts:execute", "scripts:read")
    less = api.with_key(make_key(shared_deployment, "less", *some))
    assert less.post("/schedules", {"name": "wrong", **FLOW}).status == 403  # of release:sign
    assert less.get("/schedules/flow").status == 403  # of workflows:read:chain
    assert "flow" not in [each["name"] for each in less.get("/schedules").json["schedules"]]
    none = api.with_key(make_key(shared_deployment, "none", "schedules:*", "scripts:*", "release:*"))
    assert none.post("/schedules", {"name": "wrong", **FLOW}).status == 403
    assert none.post("/schedules/flow/trigger").status == 403
    assert put(api, "/schedules/flow", SAY).json["workflow"] is None


def test_a_secret_is_in_no_store_and_no_log_and_keys_are_rotated_beside_the_api(
    api: Api, shared_deployment: Deployment
) -> None:
    secret = "correct-horse-of-the-night"
    keys = shared_deployment.home / ".penstock" / "secrets.key"
    assert made(api, "sealed", payload={"n": 1, "token": secret})["payload"] == {"n": 1, "token": "***"}
    made(api, "open")
    before = keys.read_text()
    kept = b"".join(ask(shared_deployment, lambda store: store.redis.hvals("penstock:schedules")))
    assert b'"sealed":"v1.' in kept and b'"payload":{"n":1}' in kept and secret.encode() not in kept
    staged, rotated = (shared_deployment.penstock("secrets", "rotate", *more) for more in (["--stage"], []))
    assert (staged.code, rotated.code) == (0, 0), rotated.err
    assert rotated.out.split()[0] == staged.out.split()[0] not in before
    checked = shared_deployment.penstock("secrets", "check", "--json")
    assert (checked.code, checked.json["clear"], checked.json["unreadable"]) == (0, [], {})
    assert [key["use"] for key in checked.json["keys"]] == ["use", "old"] and checked.json["keys"][1]["schedules"] == 0
    # A rotation that was killed before its end: the key is there, and what is sealed is not sealed by it.
    SecretKeys(keys).rotate()
    again = shared_deployment.penstock("secrets", "rotate")
    assert (again.code, keys.read_text().count("\nold ")) == (0, 2), again.err
    assert api.get("/schedules/sealed").json["payload"] == {"n": 1, "token": "***"}
    keys.chmod(0o644)
    try:
        refused = api.post("/schedules", {"name": "late", **SAY, "payload": {"n": 1, "token": secret}})
        assert refused.error == (503, "no-secret-key") and str(keys) not in str(refused.json)
        shown = api.get("/schedules/sealed").json
        assert shown["payload"] is None and "chmod 600" in shown["trouble"]["message"]
        assert api.get("/schedules/open").json["payload"] == {"n": 1}
        for command in (["secrets", "check"], ["schedules", "trigger", "sealed"]):
            told = shared_deployment.penstock(*command)
            assert told.code == 65 and "chmod 600" in told.err and secret not in told.out + told.err
    finally:
        keys.chmod(0o600)
    for name in ("sealed", "open"):
        assert api.send("DELETE", f"/schedules/{name}").status == 204
    texts = [path.read_bytes() for path in shared_deployment.home.rglob("*") if path.is_file()]
    assert any(before.encode() != text and b"secrets.rotate" in text for text in texts)
    # The store's own file has every command that it was sent.
    assert not [text for text in texts if secret.encode() in text]


def test_the_beat_of_up_submits_and_what_came_of_it_is_shown(api: Api, shared_deployment: Deployment) -> None:
    make(shared_deployment, "soon", now_ms() - 7_200_000, cronExpression="0 * * * *", catchUp="once")
    found = eventually(lambda: api.get("/schedules/soon").json["lastTaskId"], "a task", within_s=10)
    eventually(lambda: api.get("/schedules/soon").json["lastStatus"] == "completed", "its end")
    task = api.get(f"/tasks/{found}").json
    assert (task["trigger"], task["submittedBy"], task["tags"]) == ("schedule", "operator", ["schedule:soon"])


def test_the_beat_of_up_starts_workflows_and_follows_what_is_registered(
    api: Api, shared_deployment: Deployment
) -> None:
    shared_deployment.file("scripts/later.sh", "exit 0").chmod(0o755)
    steps = [{"name": "only", "script": "say", "payload": {"n": "${input.n}"}}]
    assert api.post("/workflows", {"name": "saved", "schema": NUMBER, "steps": steps}).status == 201
    assert api.post("/scripts", {"name": "later", "path": "scripts/later.sh", "parameters": []}).status == 201
    # The beat runs since before all of these.
    for name, what in (("of-later", {"script": "later"}), ("of-saved", {"workflow": "saved", "payload": {"n": 1}})):
        schedule = Schedule(name=name, cron="0 * * * *", owner=OPERATOR, catch_up="once", **what)
        keep(shared_deployment, schedule, now_ms() - 7_200_000)
    found = eventually(lambda: api.get("/schedules/of-later").json["lastTaskId"], "a task", within_s=10)
    assert api.get(f"/tasks/{found}").json["script"] == "later"
    eventually(
        lambda: api.get("/schedules/of-saved").json["lastStatus"] == "completed", "the end of a run", within_s=10
    )
    [run] = api.get("/schedules/of-saved/runs").json["runs"]
    assert (run["trigger"], run["startedBy"], run["workflow"]) == ("schedule", "operator", "saved")


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
