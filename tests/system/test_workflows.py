"""Workflows as their users see them: a real server, a real worker, the embedded store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.conftest import Deployment
from tests.system.http_client import Api, running_api
from tests.system.site import eventually

FILE = {"type": "object", "additionalProperties": True}
SECRET = {"type": "object", "properties": {"token": {"type": "string", "writeOnly": True}, "note": {"type": "string"}}}
QUIET = {"plugins": {"disabled": ["logHeader"]}}


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0}}))
    d.script("echo", "cat", FILE, **QUIET)
    d.script("fail", "exit 1", FILE, **QUIET)
    d.script("once", "[ -e $MARK ] || { touch $MARK; exit 1; }; echo '{\"tries\": 2}'", FILE,
             env={"MARK": str(d.home / "tried")}, **QUIET)  # fmt: skip
    d.script("gate", "test -e $OPEN || exit 1; echo '{}'", FILE, env={"OPEN": str(d.home / "gate")}, **QUIET)
    d.script("make", "mkdir -p artifacts/public; echo one > artifacts/public/a.txt; echo two > 'artifacts/b ü.txt'; "
             "echo '{\"version\": \"1.2\", \"parts\": [1, {\"x\": 9007199254740993}]}'", FILE, **QUIET)  # fmt: skip
    d.script("look", "cd inputs && find . -type f -printf '%p %m ' -exec cat {} ';' | sort", FILE, **QUIET)
    d.script("hold", "echo begun; while [ ! -e $OPEN ]; do sleep 0.02; done", FILE,
             env={"OPEN": str(d.home / "open")}, killGrace="0s", **QUIET)  # fmt: skip
    d.script("strict", "cat", {"properties": {"n": {"type": "integer", "maximum": 5}, "s": {"type": "string"}},
             "required": ["n"]}, **QUIET)  # fmt: skip
    d.script("secret", "cat", SECRET, **QUIET)
    d.script("guarded", "exit 0", FILE, allowedScopes=["release:do"], **QUIET)
    d.script("off", "exit 0", FILE, enabled=False)
    d.file("config/workflows/from-file.yaml", "steps:\n  - name: only\n    script: echo\n    payload: {a: 1}\n")
    yield from running_api(d)


def save(api: Api, name: str, steps: list[dict[str, Any]], **more: Any) -> None:
    answer = api.post("/workflows", {"name": name, "steps": steps, **more})
    assert answer.status == 201, answer


def started(api: Api, name: str, payload: dict[str, Any] | None = None) -> str:
    answer = api.post(f"/workflows/{name}/execute", {"payload": payload or {}})
    assert answer.status == 202, answer
    run_id: str = answer.json["runId"]
    return run_id


def ended(api: Api, run_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        run: dict[str, Any] = api.get(f"/workflow-runs/{run_id}").json
        return run if run["status"] not in ("pending", "running") else None

    return eventually(look, f"the end of the run {run_id}")


def play(api: Api, name: str, steps: list[dict[str, Any]], payload: dict[str, Any] | None = None, **more: Any) -> Any:
    save(api, name, steps, **more)
    return ended(api, started(api, name, payload))


def statuses(run: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["status"] for step in run["steps"]}


def result(api: Api, run: dict[str, Any], step: str) -> Any:
    task = next(one["taskId"] for one in run["steps"] if one["name"] == step)
    return api.get(f"/tasks/{task}/result").json["result"]


def test_steps_run_in_order_and_hand_their_results_on(api: Api) -> None:
    schema = {"properties": {"who": {"type": "string"}, "list": {"type": "array"}}}
    run = play(
        api,
        "handing-on",
        [
            {"name": "make", "script": "make"},
            {
                "name": "say",
                "script": "echo",
                "payload": {
                    "text": "v${steps.make.result.version} for ${input.who}: $${literal}",
                    "number": "${steps.make.result.parts.1.x}",
                    "whole": ["${steps.make.result.parts}", "${input.list}"],
                    "status": "${steps.make.status} ${steps.make.exitCode}",
                    "run": "${run.id}",
                },
            },
        ],
        {"who": "$(touch x) ${input.list}", "list": [True, None]},
        schema=schema,
    )
    assert (run["status"], run["failedSteps"], statuses(run)) == (
        "completed",
        [],
        {"make": "completed", "say": "completed"},
    )
    assert result(api, run, "say") == {
        "text": "v1.2 for $(touch x) ${input.list}: ${literal}",
        "number": 9007199254740993,
        "whole": [[1, {"x": 9007199254740993}], [True, None]],
        "status": "completed 0",
        "run": run["runId"],
    }
    for step in run["steps"]:
        task = step["task"]
        assert (task["trigger"], task["workflow"], task["step"]) == ("workflow", run["runId"], step["name"])
        assert task["submittedBy"] == "all"
    listed = api.get(f"/tasks?workflow={run['runId']}").json["tasks"]
    assert sorted(task["step"] for task in listed) == ["make", "say"]


def test_artifacts_of_earlier_steps_are_read_only_files(api: Api) -> None:
    run = play(
        api, "artifacts", [{"name": "make", "script": "make"}, {"name": "look", "script": "look", "inputs": ["make"]}]
    )
    assert run["status"] == "completed"
    task = run["steps"][1]["taskId"]
    log = api.get(f"/tasks/{task}/log").body.decode()
    assert log == "./make/b ü.txt 400 two\n./make/public/a.txt 400 one\n"


def test_a_workflow_of_a_file_runs_and_cannot_be_changed(api: Api) -> None:
    found = api.get("/workflows/from-file").json
    assert (found["source"], found["version"]) == ("file", None)
    assert ended(api, started(api, "from-file"))["status"] == "completed"
    definition = {"steps": [{"name": "a", "script": "echo"}]}
    assert api.put("/workflows/from-file", definition).error == (409, "read-only")
    assert api.delete("/workflows/from-file").error == (409, "read-only")
    assert api.post("/workflows", {"name": "from-file", **definition}).error == (409, "workflow-exists")
