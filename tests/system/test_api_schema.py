"""The OpenAPI document is true: whatever it allows or forbids is sent, and every answer is one that it names.

PENSTOCK_FUZZ_EXAMPLES is how many right and how many wrong requests are made to each route. They are the same each
time, unless PENSTOCK_FUZZ_RANDOM is set.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

from tests.system.conftest import Deployment
from tests.system.http_client import Api, make_key, running_api

EXAMPLES = int(os.environ.get("PENSTOCK_FUZZ_EXAMPLES", "3"))
# They answer for as long as somebody reads.
ENDLESS = ("/api/v1/events",)
RIGHT = schemathesis.GenerationMode.POSITIVE
CHECKS = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
)
SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="PENSTOCK_FUZZ_RANDOM" not in os.environ,
    database=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    settings = {"port": 0, "rateLimit": "none", "maxWait": "50ms"}
    d.file("config/penstock.yaml", json.dumps({"api": settings, "worker": {"name": "say"}}))
    schema = {"properties": {"n": {"type": "integer"}}}
    d.script("say", "echo hi; echo '{}'; echo a > artifacts/a.txt; echo 1 > artifacts/result.json", schema)
    for running in running_api(d):
        assert running.post("/scripts/say/execute?async=true", {"id": "t1"}).status == 202
        workflow = {"name": "say", "steps": [{"name": "a", "script": "say"}]}
        assert running.post("/workflows", workflow).status == 201
        assert running.post("/workflows/say/execute", {"id": "r1"}).status == 202
        yield running


def test_no_answer_is_another_than_the_document_says(api: Api, shared_deployment: Deployment) -> None:
    key = make_key(shared_deployment, "spent", "tasks:read").split("_")[1]
    names = {"task_id": "t1", "key_id": key, "run_id": "r1", "target": "_any"}
    document = with_names(api.get("/openapi.json").json, names)
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://{api.host}:{api.port}")
    wrong: list[str] = []
    with requests.Session() as session:
        for found in schema.get_all_operations():
            if found.ok().path not in ENDLESS:
                for mode in schemathesis.GenerationMode:
                    wrong += explored(found.ok(), mode, api, session)
    assert wrong == [], "\n\n".join(wrong)


def with_names(document: Any, names: dict[str, str]) -> Any:
    """What is asked for by name is there, else no request would come further than 404. What is removed is not."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                name = parameter["name"]
                if parameter["in"] != "path" or method == "delete":
                    continue
                if name == "number":
                    parameter["schema"] = {"type": "integer", "enum": [1]}
                    continue
                found = ("a.txt" if "/artifacts/" in path else "say") if name == "name" else names[name]
                parameter["schema"] = {"type": "string", "enum": [found]}
    return document


def explored(operation: Any, mode: schemathesis.GenerationMode, api: Api, session: requests.Session) -> list[str]:
    """What went wrong. Nothing, too, when there is nothing wrong that could be sent."""
    there = {
        p["name"]: p["schema"].get("enum") for p in operation.definition.raw.get("parameters", ()) if p["in"] == "path"
    }

    @SETTINGS
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        # Another name than that of the document may be that of a task which was made meanwhile.
        known = all(there[name] == [value] for name, value in (case.path_parameters or {}).items())
        wanted = (*CHECKS, checks.negative_data_rejection) if known and mode is not RIGHT else CHECKS
        case.call_and_validate(session=session, headers={"X-API-Key": api.key}, checks=wanted)

    try:
        send()
    except hypothesis.errors.Unsatisfiable:
        return []
    except (FailureGroup, AssertionError) as error:
        return [f"{operation.label} ({mode.name}): {error!r} {getattr(error, 'exceptions', '')}"]
    return []
