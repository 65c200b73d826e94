"""Workflows as their users see them: a real server, a real worker, the embedded store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.reference import jsonschema
from tests.system.conftest import Deployment
from tests.system.http_client import Api, audit_of, make_key, running_api
from tests.system.site import eventually
from worker.cli.document_schema import DOCUMENT_SCHEMAS

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


def fits(name: str, document: Any) -> None:
    """Whether it is as the schema says that is exported for it."""
    checker = jsonschema().FormatChecker()
    jsonschema().Draft202012Validator(DOCUMENT_SCHEMAS[name], format_checker=checker).validate(document)


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


def test_a_workflow_is_saved_shown_replaced_and_deleted(api: Api, shared_deployment: Deployment) -> None:
    definition = {"title": "One", "steps": [{"name": "a", "script": "echo"}]}
    made = api.post("/workflows", {"name": "kept", **definition})
    assert (made.status, made.headers["location"], made.headers["etag"]) == (201, "/api/v1/workflows/kept", '"1"')
    assert made.json["graph"].startswith("flowchart TD\n")
    assert (made.json["definition"], made.json["createdBy"]) == (definition, "all")
    assert api.post("/workflows", {"name": "kept", **definition}).error == (409, "workflow-exists")
    changed = api.put("/workflows/kept", {"name": "kept", **definition, "title": "Two"}, If_Match='"1"')
    assert (changed.status, changed.json["version"], changed.json["title"]) == (200, 2, "Two")
    assert changed.json["createdAt"] == made.json["createdAt"]
    assert api.put("/workflows/kept", definition, If_Match='"1"').error == (412, "workflow-changed")
    assert api.put("/workflows/kept", {"name": "other", **definition}).error == (422, "invalid-workflow")
    assert "kept" in [one["name"] for one in api.get("/workflows").json["workflows"]]
    assert shared_deployment.penstock("workflows", "show", "kept", "--json").json["definition"]["title"] == "Two"
    assert api.delete("/workflows/kept").status == 204
    for answer in (api.get("/workflows/kept"), api.delete("/workflows/kept"), api.put("/workflows/kept", definition)):
        assert answer.error == (404, "unknown-workflow")
    done = [(entry.action, entry.target) for entry in audit_of(shared_deployment)][:9]
    assert {("workflows.create", "kept"), ("workflows.replace", "kept"), ("workflows.delete", "kept")} <= set(done)


def test_a_wrong_definition_is_refused_with_every_problem(api: Api) -> None:
    wrong = {"steps": [{"name": "a", "script": "nothing"}, {"name": "a", "script": "strict", "payload": {"n": "x"}}]}
    answer = api.post("/workflows", {"name": "wrong", **wrong})
    assert answer.error == (422, "invalid-workflow")
    pointers = {problem["pointer"] for problem in answer.json["problems"]}
    assert pointers == {"/steps/0/script", "/steps/1/name", "/steps/1/payload/n"}
    checked = api.post("/workflows/from-file/check", wrong).json
    assert (checked["valid"], {error["pointer"] for error in checked["errors"]}) == (False, pointers)
    assert api.post("/workflows/from-file/check").json == {"valid": True, "errors": []}
    many = {"name": "many", "steps": [{"name": f"s{n}", "script": "echo"} for n in range(10_000)]}
    assert [problem["pointer"] for problem in api.post("/workflows", many).json["problems"]] == ["/steps"]
    for name in ("../x", "", "A", "$(touch x)", 7, None, "x" * 64):
        assert api.post("/workflows", {"name": name, **wrong}).error == (422, "invalid-workflow")
    for path in ("..%2Fx", "%24(touch%20x)", "x" * 300):
        assert api.get(f"/workflows/{path}").status == 404
        assert api.post(f"/workflows/{path}/execute", {}).status == 404
        assert api.get(f"/workflow-runs/{path}").status == 404


def test_a_payload_that_the_workflow_does_not_take_starts_nothing(api: Api) -> None:
    save(api, "picky", [{"name": "a", "script": "echo"}], schema={"properties": {"n": {"type": "integer"}}})
    answer = api.post("/workflows/picky/execute", {"payload": {"n": "x", "m": 1}})
    assert (answer.error[0], {problem["pointer"] for problem in answer.json["problems"]}) == (422, {"/n", "/m"})
    save(api, "disabled", [{"name": "a", "script": "echo"}], enabled=False)
    assert api.post("/workflows/disabled/execute", {}).error == (409, "workflow-disabled")
    assert api.get("/workflow-runs?workflow=picky").json["runs"] == []


def test_a_run_goes_on_after_a_failed_step_that_may_fail_and_says_which(api: Api) -> None:
    run = play(
        api,
        "going-on",
        [
            {"name": "a", "script": "fail", "onFailure": "continue"},
            {
                "name": "b",
                "script": "echo",
                "when": "${steps.a.status} == failed",
                "payload": {"c": "${steps.a.exitCode}"},
            },
            {"name": "c", "script": "echo", "when": "${steps.a.status} == completed"},
            {"name": "d", "script": "once", "retries": 1},
        ],
    )
    assert (run["status"], run["failedSteps"]) == ("failed", ["a"])
    assert statuses(run) == {"a": "failed", "b": "completed", "c": "skipped", "d": "completed"}
    assert result(api, run, "b") == {"c": 1}
    assert run["steps"][3]["attempt"] == 1


def test_a_step_that_takes_too_long_is_ended(api: Api) -> None:
    run = play(api, "slow", [{"name": "a", "script": "hold", "timeout": 0.3}, {"name": "b", "script": "echo"}])
    assert run["status"] == "failed"
    assert [(step["status"], step["reason"]) for step in run["steps"]] == [
        ("exception", "deadline-exceeded"),
        ("skipped", "stopped"),
    ]


def test_a_run_is_cancelled_and_what_runs_with_it(api: Api, shared_deployment: Deployment) -> None:
    save(api, "held", [{"name": "a", "script": "hold"}, {"name": "b", "script": "echo"}])
    run_id = started(api, "held")
    task = api.get(f"/workflow-runs/{run_id}").json["steps"][0]["taskId"]
    eventually(lambda: api.get(f"/tasks/{task}/log").body == b"begun\n", "the step")
    assert api.post(f"/workflow-runs/{run_id}/rerun").error == (409, "not-final")
    answer = api.post(f"/workflow-runs/{run_id}/cancel", {"why": "enough"})
    assert (answer.status, answer.json["outcome"]) == (202, "requested")
    run = ended(api, run_id)
    assert (run["status"], run["cancel"]["why"], statuses(run)) == (
        "cancelled",
        "enough",
        {"a": "cancelled", "b": "skipped"},
    )
    assert api.post(f"/workflow-runs/{run_id}/cancel").error == (409, "final")
    assert ("workflows.cancel", run_id) in [(entry.action, entry.target) for entry in audit_of(shared_deployment)]


def test_a_run_is_repeated_from_the_step_that_failed(api: Api, shared_deployment: Deployment) -> None:
    steps = [
        {"name": "make", "script": "make"},
        {"name": "gate", "script": "gate"},
        {"name": "look", "script": "look", "inputs": ["make"]},
    ]
    run = play(api, "gated", steps)
    assert (run["status"], run["failedSteps"]) == ("failed", ["gate"])
    (shared_deployment.home / "gate").touch()
    answer = api.post(f"/workflow-runs/{run['runId']}/rerun")
    assert answer.status == 202
    again = ended(api, answer.json["runId"])
    assert (again["status"], again["rerunOf"]) == ("completed", run["runId"])
    assert [step["kept"] for step in again["steps"]] == [True, False, False]
    assert again["steps"][0]["taskId"] == run["steps"][0]["taskId"]
    assert b"./make/public/a.txt" in api.get(f"/tasks/{again['steps'][2]['taskId']}/log").body
    assert api.post(f"/workflow-runs/{again['runId']}/rerun").error == (409, "nothing-to-rerun")


def test_a_secret_goes_to_the_command_and_nowhere_else(api: Api, shared_deployment: Deployment) -> None:
    token = "correct-horse-battery"
    marked = {"properties": {"token": {"type": "string", "writeOnly": True}}}
    definition = [
        {"name": "use", "script": "secret", "payload": {"token": "${input.token}"}},
        {"name": "no", "script": "fail"},
    ]
    run = play(api, "secretive", definition, {"token": token}, schema=marked)
    assert run["payload"] == {"token": "***"}
    assert api.get(f"/tasks/{run['steps'][0]['taskId']}").json["payload"] == {"token": "***"}
    assert token in api.get(f"/tasks/{run['steps'][0]['taskId']}/log").body.decode()  # the command prints what it gets
    assert token not in json.dumps(run)
    assert token not in (shared_deployment.home / "up-of-the-test.log").read_text()
    # A digest of it would be found by trying short ones.
    shown = shared_deployment.penstock("workflows", "show", run["runId"], "--json").json
    audited = {entry.digest for entry in audit_of(shared_deployment) if entry.detail == run["runId"]}
    assert (run["digest"], shown["digest"], audited) == (None, None, {None})
    assert api.post(f"/workflow-runs/{run['runId']}/rerun").error == (409, "payload-not-kept")


def test_scopes_hold_for_workflows_and_for_each_step(api: Api, shared_deployment: Deployment) -> None:
    save(api, "guarded", [{"name": "a", "script": "echo"}, {"name": "b", "script": "guarded"}])
    run_id = ended(api, started(api, "guarded"))["runId"]

    def as_one(*scopes: str) -> Api:
        return Api(api.host, api.port, make_key(shared_deployment, "one", *scopes))

    nobody = as_one("tasks:read")
    for answer in (
        nobody.get("/workflows"),
        nobody.get("/workflows/guarded"),
        nobody.get("/workflows/no-such"),
        nobody.get("/workflow-runs"),
        nobody.get(f"/workflow-runs/{run_id}"),
        nobody.get("/workflow-runs/nobody"),
        nobody.post("/workflows/guarded/execute", {}),
        nobody.post(f"/workflow-runs/{run_id}/cancel"),
        nobody.post(f"/workflow-runs/{run_id}/rerun"),
        nobody.delete("/workflows/guarded"),
        nobody.post("/workflows", {"name": "x", "steps": []}),
        as_one("workflows:execute").post("/workflows/guarded/execute", {}),
        as_one("workflows:execute", "scripts:execute").post("/workflows/guarded/execute", {}),
        as_one("workflows:*", "scripts:execute").post(
            "/workflows", {"name": "other", "steps": [{"name": "a", "script": "guarded"}]}
        ),
        as_one("workflows:read:other").get("/workflow-runs?workflow=guarded"),
    ):
        assert answer.error == (403, "not-allowed"), answer
    reader = as_one("workflows:read:guarded")
    assert [one["name"] for one in reader.get("/workflows").json["workflows"]] == ["guarded"]
    shown = reader.get(f"/workflow-runs/{run_id}").json
    assert [step["task"] for step in shown["steps"]] == [None, None] and all(step["taskId"] for step in shown["steps"])
    runner = as_one("workflows:execute:guarded", "scripts:execute:echo", "scripts:execute:guarded", "release:do")
    answer = runner.post("/workflows/guarded/execute", {})
    assert answer.status == 202
    assert ended(api, answer.json["runId"])["startedBy"] == "one"


def test_the_same_id_is_the_same_run(api: Api) -> None:
    save(api, "named", [{"name": "a", "script": "echo"}], schema={"additionalProperties": True})
    answers = [api.post("/workflows/named/execute", {"id": "slot-1", "payload": {"x": 1}}) for _ in range(2)]
    assert [answer.json["created"] for answer in answers] == [True, False]
    assert api.post("/workflows/named/execute", {"id": "slot-1", "payload": {"x": 2}}).error == (409, "conflict")
    assert len(api.get("/workflow-runs?workflow=named").json["runs"]) == 1


def test_the_command_line_starts_follows_and_repeats(api: Api, shared_deployment: Deployment) -> None:
    penstock = shared_deployment.penstock
    steps = [{"name": "a", "script": "echo", "payload": {"x": "${input.x}"}}, {"name": "b", "script": "fail"}]
    save(api, "by-hand", steps, schema={"properties": {"x": {"type": "integer"}}})
    done = penstock("workflows", "run", "by-hand", "-p", "x=7", "--follow", "--json")
    assert (done.code, done.json["failedSteps"], done.json["payload"]) == (1, ["b"], {"x": 7})
    assert "b: failed (exit-code)" in done.err
    fits("workflow-run", done.json)
    fits("workflow-details", penstock("workflows", "show", "by-hand", "--json").json)
    run_id = done.json["runId"]
    assert penstock("workflows", "show", run_id).out.splitlines()[2].split() == ["status:", "failed"]
    runs = penstock("workflows", "runs", "--workflow", "by-hand", "--json").json
    fits("workflow-runs", runs)
    assert runs["runs"][0]["runId"] == run_id
    again = penstock("workflows", "rerun", run_id)
    assert again.code == 0
    assert ended(api, again.out.strip())["rerunOf"] == run_id
    assert penstock("workflows", "cancel", run_id).out == f"{run_id} had ended: failed\n"
    assert penstock("workflows", "run", "by-hand", "-p", "x=seven").code == 65
    assert penstock("workflows", "run", "by-hnad").code == 64
    assert penstock("workflows", "show", "../../etc").code == 66
    assert penstock("workflows", "graph", run_id).out == penstock("workflows", "graph", "by-hand").out
    listed = penstock("workflows", "list", "--json").json
    fits("workflows", listed)
    names = [one["name"] for one in listed["workflows"]]
    assert "by-hand" in names and "from-file" in names


def test_check_needs_no_store_and_tells_every_problem(deployment: Deployment) -> None:
    deployment.script("one", "true")
    deployment.file("config/workflows/good.yaml", "steps:\n  - {name: a, script: one}\n")
    assert deployment.penstock("workflows", "check").out == "ok: 1 workflow\n"
    assert deployment.penstock("workflows", "graph", "good").out == 'flowchart TD\n  s0["a<br/>one"]\n'
    deployment.file("config/workflows/bad.yaml", "steps:\n  - {name: a, script: oen}\n  - {name: a, script: one}\n")
    for command in (("check",), ("workflows", "check")):
        done = deployment.penstock(*command)
        assert done.code == 65
        assert "bad.yaml:2:15: /steps/0/script: " in done.out and "/steps/1/name: " in done.out
    draft = deployment.file("draft.yaml", "steps: []\n")
    report = deployment.penstock("workflows", "check", str(draft), "--json")
    fits("workflow-check", report.json)
    assert (report.code, report.json["ok"], report.json["problems"][0]["file"]) == (65, False, str(draft))
