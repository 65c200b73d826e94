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
