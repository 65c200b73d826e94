"""The HTTP API as its users see it: a real server, a real worker, the embedded store."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.conftest import Deployment
from tests.system.http_client import Answer, Api, audit_of, make_key, running_api
from tests.system.site import eventually

FILE = {"type": "object", "additionalProperties": True}
SAY = """
echo "hello $(cat)"
echo "a warning" >&2
mkdir -p artifacts/public
printf '<script>1</script>' > artifacts/public/page.html
printf 'plain' > 'artifacts/an ünusual näme.txt'
echo '{"found": 3, "large": 9007199254740993}'
"""
SECRET = {"type": "object", "properties": {"token": {"type": "string", "writeOnly": True}}}


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0, "maxOutput": 10, "maxWait": "5s"}}))
    quiet = {"plugins": {"disabled": ["logHeader"]}}
    d.script("say", SAY, FILE, category="talk", tags=["loud"], title="Say it", **quiet)
    d.script("fail", "exit 1", FILE)
    d.script("result", "echo '{\"source\": \"file\"}' > artifacts/result.json; echo '{}'", FILE, **quiet)
    d.script("silent", "exit 0", FILE, **quiet)
    d.script("secret", "exit 0", SECRET)
    d.script("hold", "echo begun; echo sad >&2; while [ ! -e $OPEN ]; do sleep 0.02; done", FILE,
             env={"OPEN": str(d.home / "open")}, killGrace="0s", **quiet)  # fmt: skip
    d.script("strict", "exit 0", {"properties": {"n": {"type": "integer", "maximum": 5}}, "required": ["n"]})
    d.script("off", "exit 0", FILE, enabled=False)
    yield from running_api(d)


def run(api: Api, script: str = "say", **body: Any) -> dict[str, Any]:
    answer = api.post(f"/scripts/{script}/execute", body)
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


def held(api: Api, **body: Any) -> str:
    """The id of a task that runs until it is cancelled."""
    answer = api.post("/scripts/hold/execute?async=true", body)
    assert answer.status == 202, answer
    task_id: str = answer.json["taskId"]
    eventually(lambda: api.get(f"/tasks/{task_id}/log").body == b"begun\n[worker:error] sad\n", "the log of a run")
    return task_id


# --- scripts


def test_scripts_are_listed_by_name_and_filtered(api: Api) -> None:
    found = api.get("/scripts").json
    names = [script["name"] for script in found["scripts"]]
    assert names == sorted(names) and len(names) == found["total"] == 8
    assert [script["name"] for script in api.get("/scripts?category=talk").json["scripts"]] == ["say"]
    assert [script["name"] for script in api.get("/scripts?tag=loud&category=talk").json["scripts"]] == ["say"]
    assert api.get("/scripts?tag=none").json == {"scripts": [], "total": 0}


def test_a_script_and_its_schema_are_shown(api: Api) -> None:
    assert api.get("/scripts/say").json["title"] == "Say it"
    schema = api.get("/scripts/strict/schema").json
    assert schema["properties"]["n"] == {"type": "integer", "maximum": 5}
    assert "dryRun" in schema["properties"]


def test_validation_tells_every_violation_and_records_nothing(api: Api) -> None:
    before = api.get("/tasks?limit=1").json["total"]
    answer = api.post("/scripts/strict/validate", {"payload": {"n": 9, "m": 1}})
    assert (answer.status, answer.json["valid"]) == (200, False)
    assert sorted(error["pointer"] for error in answer.json["errors"]) == ["/m", "/n"]
    assert api.post("/scripts/strict/validate", {"parameters": {"n": 5}}).json == {"valid": True, "errors": []}
    assert api.get("/tasks?limit=1").json["total"] == before


# --- execute


def test_execute_waits_for_the_end_and_answers_with_the_task(api: Api) -> None:
    answer = api.post("/scripts/say/execute", {"payload": {"to": "you"}, "tags": ["x"], "priority": 3})
    task = answer.json
    assert (answer.status, task["status"], task["exitCode"], task["created"]) == (200, "completed", 0, True)
    assert answer.headers["location"] == f"/api/v1/tasks/{task['taskId']}"
    assert (task["tags"], task["priority"], task["trigger"]) == (["x"], 3, "api")
    assert (task["submittedBy"], task["submittedFrom"]) == ("all", "127.0.0.1")
    assert [entry["event"] for entry in task["timeline"]] == ["created", "claimed", "started", "completed"]


def test_what_show_prints_is_what_the_api_answers(api: Api, shared_deployment: Deployment) -> None:
    task_id = run(api)["taskId"]
    shown = shared_deployment.penstock("show", "--json", task_id).json
    answered = api.get(f"/tasks/{task_id}").json
    assert {key: answered[key] for key in shown} == shown | {
        "runs": [{key: run[key] for key in shown["runs"][0]} for run in answered["runs"]]
    }


def test_a_failure_is_an_answer_and_no_error(api: Api) -> None:
    task = run(api, "fail")
    assert (task["status"], task["reason"], task["exitCode"]) == ("failed", "exit-code", 1)


def test_execute_that_is_not_waited_for_says_where_to_look(api: Api) -> None:
    for query in ("async=true", "wait=0", "wait=0.05"):
        answer = api.post(f"/scripts/hold/execute?{query}")
        assert answer.status == 202
        assert answer.json["pollUrl"] == answer.headers["location"] == f"/api/v1/tasks/{answer.json['taskId']}"
        assert answer.json["status"] in ("pending", "running")
        assert api.post(f"/tasks/{answer.json['taskId']}/cancel").status == 202


def test_a_client_that_goes_away_cancels_nothing(api: Api) -> None:
    body = b'{"id": "left-alone"}'
    head = f"POST /api/v1/scripts/hold/execute HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.key}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((api.host, api.port), 10) as connection:
        connection.sendall(head.encode() + body)
        eventually(lambda: api.get("/tasks/left-alone").status == 200, "the task")
    eventually(lambda: api.get("/tasks/left-alone").json["status"] == "running", "the run")
    assert api.post("/tasks/left-alone/cancel").status == 202
    eventually(lambda: api.get("/tasks/left-alone").json["status"] == "cancelled", "the end")


def test_the_same_key_is_the_same_task_and_another_body_a_conflict(api: Api) -> None:
    first = run(api, payload={"a": 1}, idempotencyKey="k1")
    again = run(api, payload={"a": 1}, idempotencyKey="k1")
    assert (again["taskId"], again["created"]) == (first["taskId"], False)
    assert api.post("/scripts/say/execute", {"payload": {"a": 2}, "idempotencyKey": "k1"}).error == (409, "conflict")
    assert run(api, "fail", payload={"a": 1}, idempotencyKey="k1")["created"] is True


def test_large_integers_come_through_exactly(api: Api) -> None:
    task = run(api, payload={"n": 12345678901234567890123})
    assert b"12345678901234567890123" in api.get(f"/tasks/{task['taskId']}/log").body
    assert b"12345678901234567890123" in api.get(f"/tasks/{task['taskId']}").body


def test_a_dry_run_is_one_by_the_route_and_by_the_body(api: Api) -> None:
    for answer in (api.post("/scripts/silent/dry-run"), api.post("/scripts/silent/execute", {"dryRun": True})):
        assert (answer.status, answer.json["dryRun"]) == (200, True)


def test_waiters_are_all_woken(api: Api) -> None:
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(api.post("/scripts/silent/execute"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200] * 20


# --- tasks


def test_tasks_are_listed_newest_first_with_true_totals(api: Api) -> None:
    ids = [run(api, "silent", tags=["listed"])["taskId"] for _ in range(3)]
    page = api.get("/tasks?script=silent&limit=2").json
    assert [task["taskId"] for task in page["tasks"]] == [ids[2], ids[1]]
    assert page["total"] >= 3 and page["counts"]["completed"] == page["total"]
    following = api.get(f"/tasks?script=silent&limit=2&cursor={page['next']}").json
    assert following["tasks"][0]["taskId"] == ids[0]
    assert following["total"] == page["total"]
    assert [task["taskId"] for task in api.get("/tasks?tag=listed").json["tasks"]] == list(reversed(ids))


def test_every_filter_finds_and_leaves_out(api: Api) -> None:
    task = run(api, "fail", payload={"word": "Rumpelstilz"}, tags=["one", "two"])
    task_id, worker = task["taskId"], task["worker"]

    def found(query: str) -> bool:
        page = api.get(f"/tasks?{query}")
        assert page.status == 200, page
        return task_id in [each["taskId"] for each in page.json["tasks"]]

    for query in (
        *("script=fail", "script=say&script=fail", "status=failed", "status=completed&status=failed"),
        *("reason=exit-code", "trigger=api", f"worker={worker}", "tag=one", "tag=one&tag=two", "q=rumpel"),
        *("since=2026-01-01", f"q={task_id[4:20].upper()}", "script=fail&status=failed&tag=one&q=exit"),
    ):
        assert found(query), query
    for query in (
        *("script=say", "status=completed", "reason=cancelled", "trigger=cli", "worker=other", "workflow=any"),
        *("tag=one&tag=three", "q=nothing+of+that", "until=2026-01-01", f"since={task['finishedAt'][:4]}-12-31"),
    ):
        assert not found(query), query


def test_totals_follow_the_time_that_is_asked_for(api: Api) -> None:
    first, second = run(api, "silent"), run(api, "silent")
    page = api.get(f"/tasks?since={second['createdAt']}&script=silent").json
    assert first["taskId"] not in [task["taskId"] for task in page["tasks"]]
    assert page["total"] == len(page["tasks"]) == sum(page["counts"].values())


def test_a_running_task_is_cancelled_with_a_reason(api: Api) -> None:
    task_id = held(api)
    answer = api.post(f"/tasks/{task_id}/cancel", {"why": "enough"})
    assert (answer.status, answer.json["outcome"]) == (202, "requested")
    eventually(lambda: api.get(f"/tasks/{task_id}").json["status"] == "cancelled", "the end")
    cancel = api.get(f"/tasks/{task_id}").json["cancel"]
    assert (cancel["by"], cancel["why"]) == ("all", "enough")
    assert api.post(f"/tasks/{task_id}/cancel").error == (409, "final")


def test_a_rerun_is_a_new_task_with_the_same_payload(api: Api) -> None:
    task = run(api, payload={"a": 1.5, "b": [12345678901234567890]}, tags=["t"], priority=4)
    answer = api.post(f"/tasks/{task['taskId']}/rerun")
    assert answer.status == 202
    again = eventually(lambda: final(api, answer.json["taskId"]), "the end of the rerun")
    assert again["rerunOf"] == task["taskId"] != again["taskId"]
    assert (again["digest"], again["tags"], again["priority"]) == (task["digest"], ["t"], 4)


def test_secrets_are_not_kept_so_such_a_task_is_not_run_again(api: Api) -> None:
    task = run(api, "secret", payload={"token": "s3cr3t"})
    assert b"s3cr3t" not in api.get(f"/tasks/{task['taskId']}").body
    assert api.post(f"/tasks/{task['taskId']}/rerun").error == (409, "payload-not-kept")
    without = run(api, "secret", payload={})
    assert api.post(f"/tasks/{without['taskId']}/rerun").status == 202


def test_a_removed_task_takes_its_files_along(api: Api, shared_deployment: Deployment) -> None:
    task_id = run(api)["taskId"]
    folder = shared_deployment.home / ".penstock" / "artifacts" / task_id[:2] / task_id
    assert folder.exists()
    answer = api.delete(f"/tasks/{task_id}")
    assert (answer.status, answer.body) == (204, b"")
    assert not folder.exists()
    assert api.get(f"/tasks/{task_id}").error == (404, "unknown-task")
    assert api.delete(f"/tasks/{task_id}").error == (404, "unknown-task")


def final(api: Api, task_id: str) -> dict[str, Any] | None:
    task: dict[str, Any] = api.get(f"/tasks/{task_id}").json
    return task if task["finishedAt"] else None


# --- logs, results, artifacts


def test_a_log_is_read_whole_by_source_by_lines_and_by_range(api: Api) -> None:
    task_id = run(api, payload={})["taskId"]
    log = api.get(f"/tasks/{task_id}/log")
    assert log.headers["content-type"] == "text/plain; charset=utf-8"
    whole = log.body
    assert whole.startswith(b"hello {}\n") and b"[worker:error] a warning\n" in whole
    assert api.get(f"/tasks/{task_id}/log?stream=stderr").body == b"[worker:error] a warning\n"
    out = api.get(f"/tasks/{task_id}/log?stream=stdout").body
    assert out.startswith(b"hello {}\n") and b"warning" not in out and out.endswith(b"993}\n")
    assert api.get(f"/tasks/{task_id}/log?tail=0").body == b""
    assert api.get(f"/tasks/{task_id}/log?tail=1&stream=stdout").body == out.splitlines(keepends=True)[-1]
    assert api.get(f"/tasks/{task_id}/log?tail=1000").body == whole
    part = api.get(f"/tasks/{task_id}/log", Range="bytes=6-7")
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"{}", f"bytes 6-7/{len(whole)}")
    assert api.get(f"/tasks/{task_id}/log?stream=stdout", Range="bytes=-5").body == out[-5:]
    assert api.get(f"/tasks/{task_id}/log", Range="bytes=5-").body == whole[5:]
    assert api.get(f"/tasks/{task_id}/log", Range=f"bytes={len(whole)}-").error == (416, "range-not-satisfiable")
    assert api.get(f"/tasks/{task_id}/log", Range="lines=1-2").body == whole
    same = api.get(f"/tasks/{task_id}/log", If_None_Match=log.headers["etag"])
    assert (same.status, same.body) == (304, b"")


def test_a_log_is_read_while_the_run_lasts(api: Api) -> None:
    task_id = held(api)
    assert api.get(f"/tasks/{task_id}/log?stream=stderr").body == b"[worker:error] sad\n"
    assert api.get(f"/tasks/{task_id}/log?tail=1").body == b"[worker:error] sad\n"
    assert api.get(f"/executions/{task_id}").json["output"] == "begun\n[wor\n\n[Output truncated at 10 bytes]"
    assert api.get(f"/tasks/{task_id}/result").error == (409, "not-final")
    assert api.post(f"/tasks/{task_id}/rerun").error == (409, "not-final")
    assert api.delete(f"/tasks/{task_id}").error == (409, "not-final")
    api.post(f"/tasks/{task_id}/cancel")


def test_a_short_log_is_read_by_source_too(api: Api) -> None:
    task_id = run(api, "silent")["taskId"]
    assert api.get(f"/tasks/{task_id}/log?stream=stdout").body == b""
    assert api.get(f"/tasks/{task_id}/log").status == 200


def test_a_result_is_the_last_json_line_or_the_artifact(api: Api) -> None:
    task_id = run(api)["taskId"]
    answer = api.get(f"/tasks/{task_id}/result")
    assert answer.json == {
        "taskId": task_id, "runId": 0, "source": "stdout", "result": {"found": 3, "large": 9007199254740993}
    }  # fmt: skip
    task_id = run(api, "result")["taskId"]
    found = api.get(f"/tasks/{task_id}/result").json
    assert (found["source"], found["result"]) == ("artifact", {"source": "file"})
    task_id = run(api, "silent")["taskId"]
    assert api.get(f"/tasks/{task_id}/result").error == (404, "no-result")


def test_artifacts_are_streamed_and_never_run_by_a_browser(api: Api) -> None:
    task_id = run(api)["taskId"]
    names = [artifact["name"] for artifact in api.get(f"/tasks/{task_id}/artifacts").json["artifacts"]]
    assert names == ["an ünusual näme.txt", "public/page.html"]
    page = api.get(f"/tasks/{task_id}/artifacts/public/page.html")
    assert page.body == b"<script>1</script>"
    assert page.headers["content-type"] == "text/html"
    assert page.headers["content-disposition"].startswith('attachment; filename="page.html"')
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in page.headers["content-security-policy"]
    odd = api.get(f"/tasks/{task_id}/artifacts/an%20%C3%BCnusual%20n%C3%A4me.txt", Range="bytes=1-2")
    assert (odd.status, odd.body) == (206, b"la")
    assert odd.headers["content-disposition"].startswith('inline; filename="an _nusual n_me.txt"; filename*=')


# --- executions, status


def test_executions_are_tasks_with_other_names(api: Api) -> None:
    task = run(api, payload={"a": 1})
    found = api.get(f"/executions/{task['taskId']}").json
    assert set(found) == {
        *("id", "scriptId", "status", "isDryRun", "triggeredBy", "triggeredIp", "parameters", "output", "exitCode"),
        *("startedAt", "completedAt", "createdAt"),
    }
    assert (found["scriptId"], found["triggeredBy"], found["parameters"]) == ("say", "all", {"a": 1})
    assert found["output"] == 'hello {"a"\n\n[Output truncated at 10 bytes]'
    assert api.get("/executions?limit=1&script=say").json["executions"][0]["id"] == task["taskId"]
    assert api.get(f"/executions/{task['taskId']}/log?tail=1").status == 200
    assert api.post(f"/executions/{task['taskId']}/rerun").status == 202
    assert api.delete(f"/executions/{task['taskId']}").status == 204


def test_status_knows_queues_workers_and_counts(api: Api) -> None:
    found = api.get("/status").json
    assert found["queues"] == [{"name": "penstock", "waiting": 0}]
    assert (found["store"], found["broker"], found["scripts"], len(found["workers"])) == (True, True, 8, 1)
    assert found["tasks"]["completed"] > 0


def test_health_is_for_everybody(api: Api) -> None:
    for path in ("/healthz", "/readyz"):
        assert api.with_key(None).get(path).json == {"status": "ok"}


def test_every_route_is_in_the_openapi_document(api: Api) -> None:
    found = api.get("/openapi.json").json
    assert found["openapi"].startswith("3.1")
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            answers = set(operation["responses"])
            if path not in ("/healthz", "/readyz"):
                assert {"400", "401", "429"} <= answers, (method, path)
                assert operation["security"]
            if "{" in path:
                assert {"403", "404"} <= answers, (method, path)
            if method == "post":
                # What cannot be registered is 400, whatever is wrong with it.
                assert {"413", "415", "400" if path == "/api/v1/scripts" else "422"} <= answers, (method, path)
    text = json.dumps(found)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in found["components"]["schemas"], reference


# --- access


def test_up_makes_a_first_key_that_no_log_has(api: Api, shared_deployment: Deployment) -> None:
    file = shared_deployment.home / ".penstock" / "api-key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = file.read_text().strip()
    assert api.with_key(key).get("/status").status == 200
    log = (shared_deployment.home / "up-of-the-test.log").read_text()
    assert key not in log and str(file) in log


def test_who_may_read_one_script_sees_its_tasks_only(api: Api, shared_deployment: Deployment) -> None:
    run(api, "silent"), run(api, "fail")
    key = make_key(shared_deployment, "narrow", "scripts:read:fail", "tasks:read", "scripts:execute:fail")
    narrow = api.with_key(key)
    assert [script["name"] for script in narrow.get("/scripts").json["scripts"]] == ["fail"]
    page = narrow.get("/tasks").json
    assert {task["script"] for task in page["tasks"]} == {"fail"}
    assert page["total"] == api.get("/tasks?script=fail").json["total"]
    assert narrow.post("/scripts/fail/execute").status == 200
    assert narrow.get("/tasks?script=silent").error == (403, "not-allowed")
    assert narrow.post("/scripts/silent/execute").error == (403, "not-allowed")


def test_changes_and_refusals_are_in_the_audit(api: Api, shared_deployment: Deployment) -> None:
    task_id = run(api, "silent", payload={"a": 1})["taskId"]
    api.delete(f"/tasks/{task_id}")
    api.with_key("penstock_wrong").get(f"/tasks/{task_id}")
    entries = audit_of(shared_deployment)
    refused = next(entry for entry in entries if entry.result == "denied")
    assert (refused.action, refused.status, refused.from_, refused.target) == ("tasks.read", 401, "127.0.0.1", task_id)
    removed = next(entry for entry in entries if entry.action == "tasks.delete")
    assert (removed.who, removed.target, removed.result) == ("all", task_id, "allowed")
    executed = next(entry for entry in entries if entry.action == "scripts.execute" and entry.detail == task_id)
    assert (executed.target, executed.digest is not None) == ("silent", True)


def test_the_server_ends_at_once_though_somebody_waits(api: Api, shared_deployment: Deployment) -> None:
    process = shared_deployment.start("api", "--port", "0")
    assert process.stdout
    found = re.search(r":([0-9]+)$", process.stdout.readline().decode().strip())
    assert found
    second = Api("127.0.0.1", int(found[1]), api.key)
    answers: list[Answer] = []
    waiting = threading.Thread(target=lambda: answers.append(second.post("/scripts/hold/execute", {"id": "waited"})))
    waiting.start()
    eventually(lambda: api.get("/tasks/waited").status == 200, "the task")
    begun_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(10) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert time.monotonic() - begun_s < 4
    waiting.join()
    assert answers[0].status == 202
    api.post("/tasks/waited/cancel")
