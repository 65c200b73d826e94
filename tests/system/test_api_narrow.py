"""What the API tells, and does, for those who may little or have proved nothing: one running site."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.system.conftest import Deployment
from tests.system.http_client import Api, make_key, running_api

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
