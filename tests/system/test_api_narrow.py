"""What the API tells, and does, for those who may little or have proved nothing: one running site."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from tests.system.conftest import Deployment
from tests.system.http_client import Api, audit_of, make_key, running_api

PASSWORD = "correct horse battery staple"
SECRET = {"properties": {"pin": {"type": "string", "writeOnly": True}}}


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    hashed = d.penstock("keys", "hash-password", stdin=PASSWORD.encode() + b"\n").out
    (d.file("basic", hashed)).chmod(0o600)
    basic = {"user": "root", "passwordHashFile": str(d.home / "basic")}
    api = {"port": 0, "rateLimit": "40/h"}
    d.file("config/penstock.yaml", json.dumps({"api": api, "auth": {"basic": basic}}))
    schema = {"additionalProperties": True}
    d.script("say", "cat", schema)
    d.script("other", "exit 0", schema)
    d.script("pin", "exit 0", SECRET)
    d.script("odd", """echo '{"a": 1}'; echo '"\\ud800"'""", {})
    d.script("odder", """echo '{"a": 1, "a": 2}'; echo 1e999; echo '"\\ud800"'; echo NaN""", {})
    yield from running_api(d)


def as_(api: Api, deployment: Deployment, *scopes: str, name: str = "narrow") -> Api:
    """A key of its own, so that the limit of another's requests does not matter."""
    return api.with_key(make_key(deployment, name, *scopes))


def test_a_result_that_is_no_strict_json_is_none(api: Api, shared_deployment: Deployment) -> None:
    me = as_(api, shared_deployment, "*")
    task = me.post("/scripts/odd/execute").json["taskId"]
    assert me.get(f"/tasks/{task}/result").json["result"] == {"a": 1}
    task = me.post("/scripts/odder/execute").json["taskId"]
    assert me.get(f"/tasks/{task}/result").error == (404, "no-result")
    assert me.get(f"/executions/{task}/result").error == (404, "no-result")


def test_who_asks_is_known_before_the_query_is_looked_at(api: Api, shared_deployment: Deployment) -> None:
    assert api.with_key(None).get("/tasks?unknown=1").error == (401, "unauthorized")
    assert api.get("/healthz?unknown=1").error == (400, "invalid-query")
    me = as_(api, shared_deployment, "*")
    long = "&".join(f"limit{n}=1" for n in range(700))
    answer = me.get(f"/tasks?{long}")
    assert answer.error == (400, "invalid-query")
    problems = answer.json["problems"]
    assert len(problems) == 20
    assert sum("did you mean" in problem["message"] for problem in problems) <= 3
    assert "did you mean" in problems[0]["message"]


def test_a_task_whose_script_may_not_be_read_is_as_one_that_is_not_there(
    api: Api, shared_deployment: Deployment
) -> None:
    me = as_(api, shared_deployment, "*")
    task = me.post("/scripts/other/execute").json["taskId"]
    narrow = as_(api, shared_deployment, "tasks:*", "scripts:read:say", "scripts:execute:say", name="peeps")
    for base in ("tasks", "executions"):
        for method, rest in (
            *(("GET", rest) for rest in ("", "/log", "/result", "/artifacts", "/artifacts/a", "/stream")),
            *(("POST", "/cancel"), ("POST", "/rerun"), ("DELETE", "")),
        ):
            there = narrow.send(method, f"/{base}/{task}{rest}")
            nowhere = narrow.send(method, f"/{base}/nowhere{rest}")
            assert there.error == nowhere.error == (404, "unknown-task"), (method, rest)
            assert there.json["message"] == nowhere.json["message"]
    denied = [e for e in audit_of(shared_deployment) if e.who == "peeps" and e.target == task]
    assert {(e.result, e.status) for e in denied} == {("denied", 404)}
    assert me.get(f"/tasks/{task}").status == 200


def test_a_conflict_names_the_other_task_to_those_who_may_read_it(api: Api, shared_deployment: Deployment) -> None:
    me = as_(api, shared_deployment, "*")
    first = me.post("/scripts/say/execute", {"idempotencyKey": "k", "payload": {"a": 1}}).json["taskId"]
    blind = as_(api, shared_deployment, "scripts:execute:say")
    for asking, named in ((me, True), (blind, False)):
        answer = asking.post("/scripts/say/execute", {"idempotencyKey": "k", "payload": {"a": 2}})
        assert answer.error == (409, "conflict")
        assert (first in answer.json["message"]) is named


def test_idempotency_keys_of_two_scripts_are_two(api: Api, shared_deployment: Deployment) -> None:
    me = as_(api, shared_deployment, "*")
    made = [me.post(f"/scripts/{script}/execute", {"idempotencyKey": "same"}).json for script in ("say", "other")]
    assert [each["created"] for each in made] == [True, True]
    assert me.delete(f"/tasks/{made[0]['taskId']}").status == 204
    again = [me.post(f"/scripts/{script}/execute", {"idempotencyKey": "same"}).json for script in ("say", "other")]
    assert [each["created"] for each in again] == [True, False]


def test_the_digest_of_what_is_masked_is_told_nowhere(api: Api, shared_deployment: Deployment) -> None:
    me = as_(api, shared_deployment, "*", name="digests")
    task = me.post("/scripts/pin/execute", {"payload": {"pin": "1234"}}).json
    assert task["digest"] is None and task["payload"] != {"pin": "1234"}
    assert me.get(f"/tasks/{task['taskId']}").json["digest"] is None
    submitted = shared_deployment.penstock("submit", "pin", "--json-payload", '{"pin": "1234"}')
    shown = shared_deployment.penstock("show", task["taskId"], "--json").json
    assert shown["digest"] is None, submitted
    entries = [e for e in audit_of(shared_deployment) if e.action == "scripts.execute" and e.target == "pin"]
    assert entries and {e.digest for e in entries} == {None}
    plain = me.post("/scripts/say/execute", {"payload": {"a": 1}}).json
    assert len(plain["digest"]) == 64
    assert len(shared_deployment.penstock("show", plain["taskId"], "--json").json["digest"]) == 64


def test_the_audit_says_what_was_answered(api: Api, shared_deployment: Deployment) -> None:
    me = as_(api, shared_deployment, "*", name="audited")
    assert me.post("/scripts/say/execute?async=true").status == 202
    assert me.post("/scripts/say/execute?wait=never").error == (400, "invalid-query")
    assert me.post("/scripts/say/execute?unknown=1").error == (400, "invalid-query")
    entries = [e for e in audit_of(shared_deployment) if e.who == "audited" and e.target == "say"]
    assert [(e.result, e.status) for e in reversed(entries)] == [("allowed", 202), ("failed", 400), ("failed", 400)]


def test_health_is_asked_with_head_too(api: Api) -> None:
    for path in ("/healthz", "/readyz"):
        answer = api.with_key(None).send("HEAD", path)
        assert (answer.status, answer.body) == (200, b"")


def test_a_task_is_removed_once(api: Api, shared_deployment: Deployment) -> None:
    me = as_(api, shared_deployment, "*")
    task = me.post("/scripts/say/execute").json["taskId"]
    assert [me.delete(f"/tasks/{task}").status for _ in range(2)] == [204, 404]


def test_guesses_at_a_password_are_limited_before_they_are_hashed(api: Api) -> None:
    def guess(password: str) -> int:
        proof = base64.b64encode(f"root:{password}".encode()).decode()
        answer = api.with_key(None).get("/me", Authorization=f"Basic {proof}")
        if answer.status == 429:
            assert int(answer.headers["retry-after"]) >= 1
        return answer.status

    assert guess(PASSWORD) == 200
    found = [guess(f"wrong-{n}") for n in range(12)]
    assert found[0] == 401 and found[-1] == 429
    assert found.count(401) <= 10
    assert guess(PASSWORD) == 200  # what was right once needs no hash


def test_refusals_of_other_sites_are_limited_like_all_refusals(api: Api, shared_deployment: Deployment) -> None:
    """Last: the address has spent its refusals then."""
    found = [api.with_key(None).post("/scripts/say/execute", Origin="https://evil.example").status for _ in range(50)]
    assert found[-1] == 429
    entries = [e for e in audit_of(shared_deployment) if e.detail == "cross-site"]
    assert len(entries) <= 40
