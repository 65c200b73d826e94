"""`exec` and `shell` as operators see them: two workers with different settings on one store, over HTTP and CLI."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery
import pytest

from tests.system.conftest import Deployment
from tests.system.http_client import Answer, Api, audit_of, make_key, running_api
from tests.system.remote import Remote
from tests.system.site import eventually

HOSTILE = ["$(touch made)", "; touch made", "`touch made`", "| touch made", "a\nb", "*", "~", "'\"", "é\u202e", ""]
PROGRAMS = {
    "show": {"path": "/usr/bin/printf", "args": {"prefixItems": [{"const": "<%s>\n"}], "items": {"type": "string"}}},
    "where": {"path": "/bin/pwd"},
    "nap": {"path": "/bin/sleep", "args": [{"pattern": "^[0-9]+$"}], "cwd": []},
    "flag": {"path": "/bin/echo", "args": [{"pattern": "^-[a-z]$"}, {"enum": ["--", "x"]}]},
    "gone": {"path": "/nothing/there"},
    "test": {"path": "/usr/bin/test", "args": {"items": {"pattern": "^[0-9]$"}}},
}


@dataclass
class Two:
    """`w1` runs programs and any text, `w2` one program of its own."""

    api: Api
    home: Deployment

    def exec(self, program: str, *args: str, target: str = "w1", **more: Any) -> Answer:
        return self.api.post(f"/workers/{target}/exec", {"program": program, "args": list(args), **more})

    def shell(self, text: str, target: str = "w1", **more: Any) -> Answer:
        return self.api.post(f"/workers/{target}/shell", {"text": text, **more})

    def log(self, answer: Answer) -> str:
        assert answer.status == 200, answer
        return self.api.get(f"/tasks/{answer.json['taskId']}/log").body.decode()

    def ended(self, task_id: str) -> Any:
        def look() -> Any:
            found = self.api.get(f"/tasks/{task_id}")
            return found.json if found.status == 200 and found.json["finishedAt"] else None

        return eventually(look, f"the end of {task_id}")


@pytest.fixture(scope="module")
def two(shared_deployment: Deployment) -> Iterator[Two]:
    first = shared_deployment
    second = Deployment(Path(tempfile.mkdtemp(prefix="penstock-")))
    state = first.home / ".penstock"
    (first.home / "work").mkdir()
    worker = {
        "name": "w1",
        "labels": ["group=web.dev"],
        "programs": PROGRAMS,
        "commandFolders": [str(first.home / "work")],
        "allowArbitraryShell": True,
        "facts": {"site": "$(touch made)"},
        "beat": "300ms",
    }
    open_text = {"properties": {"a": {"type": "string", "maxLength": 22}}}
    first.script("tell", "cat", open_text, facts=True, plugins={"disabled": ["logHeader"]})
    first.script("plain", "cat", open_text, plugins={"disabled": ["logHeader"]})
    api = {"port": 0, "maxWait": "20s"}
    # What a deployment does with plugins is for its own scripts.
    plugins = {"disabled": ["maxRunTime"]}
    first.file("config/penstock.yaml", json.dumps({"worker": worker, "api": api, "plugins": plugins}))
    broker = {"url": f"redis+socket://{state}/store/store.sock?virtual_host=0"}
    own = {"name": "w2", "programs": {"where": {"path": "/bin/true"}}, "beat": "300ms"}
    second.file("config/penstock.yaml", json.dumps({"worker": own, "stateDir": str(state), "broker": broker}))
    try:
        for running in running_api(first):
            with (second.home / "worker.log").open("wb") as log:
                second.start("worker", stdout=log, stderr=log)
            found = Two(running, first)
            for name in ("w1", "w2"):
                eventually(lambda name=name: found.exec("where", target=name).status == 200, name)  # type: ignore[misc]
            yield found
            second.end()
    finally:
        second.end()
        shutil.rmtree(second.home)


def last_lines(log: str, count: int) -> list[str]:
    return log.splitlines()[-count:]


def test_arguments_reach_the_program_as_they_are(two: Two) -> None:
    answer = two.exec("show", "<%s>\n", *HOSTILE)
    assert (answer.json["status"], answer.json["exitCode"]) == ("completed", 0)
    assert two.log(answer).endswith("".join(f"<{each}>\n" for each in HOSTILE))
    assert not list(two.home.home.rglob("made"))


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"program": "show", "args": ["<%s>\n", "--version"]}, {"/args/1"}),
        ({"program": "show", "args": ["<%s>\n", "--"]}, {"/args/1"}),
        ({"program": "show", "args": ["<%s>\n", "a\0b"]}, {"/args/1"}),
        ({"program": "show", "args": ["<%s>\n", "x" * 32_768]}, {"/args/1"}),
        ({"program": "show", "args": ["%d"]}, {"/args/0"}),
        ({"program": "nap", "args": ["1\n"]}, {"/args/0"}),
        ({"program": "nap", "args": []}, {"/args"}),
        ({"program": "nap", "args": ["1", "2"]}, {"/args"}),
        ({"program": "nap", "args": ["1"], "cwd": "WORK"}, {"/cwd"}),
        ({"program": "where", "args": ["x"]}, {"/args"}),
        ({"program": "/bin/sh", "args": []}, {"/program"}),
        ({"program": "where", "cwd": "/"}, {"/cwd"}),
        ({"program": "where", "cwd": "WORK/../.."}, {"/cwd"}),
        ({"program": "where", "cwd": "WORK\n"}, {"/cwd"}),
    ],
)
def test_what_the_worker_does_not_list_is_not_started(two: Two, body: dict[str, Any], pointers: set[str]) -> None:
    if "cwd" in body:
        body = {**body, "cwd": body["cwd"].replace("WORK", str(two.home.home / "work"))}
    answer = two.api.post("/workers/w1/exec", body)
    assert (answer.json["status"], answer.json["reason"]) == ("exception", "malformed-payload"), answer
    log = two.log(answer)
    assert all(f"{pointer}" in log for pointer in pointers), log


def test_an_option_is_let_in_where_the_schema_says_so(two: Two) -> None:
    assert two.log(two.exec("flag", "-x", "--")).endswith("-x --\n")


def test_a_program_works_where_it_may_with_nothing_of_the_workers(two: Two) -> None:
    work = str(two.home.home / "work")
    assert two.log(two.exec("where", cwd=work)).endswith(f"{work}\n")
    own = two.log(two.exec("where"))
    assert work not in own and "/.penstock/" in own
    said = two.log(two.shell("env -0 | tr '\\0' ' '; cat; echo; grep SigIgn /proc/self/status", cwd=work))
    names = {word.partition("=")[0] for word in said.splitlines()[-2].split()}
    assert names <= {"TASK_ID", "RUN_ID", "PATH", "PWD", "SHLVL", "_", "OLDPWD"}, said
    assert said.splitlines()[-1].split() == ["SigIgn:", "0" * 16]


def test_exit_codes_are_the_programs_and_time_is_short(two: Two) -> None:
    failed = two.exec("test", "0")
    assert (failed.json["status"], failed.json["exitCode"]) == ("completed", 0)
    # A 4 ends no worker, and a 2 blames no payload.
    for code in (2, 4):
        failed = two.shell(f"exit {code}")
        assert (failed.json["status"], failed.json["reason"], failed.json["exitCode"]) == ("failed", "exit-code", code)
    missing = two.exec("gone")
    assert missing.json["exitCode"] == 127
    assert two.log(missing).startswith("[worker:error] cannot run /nothing/there: No such file or directory\n")
    late = two.exec("nap", "20", timeout=0.2)
    assert (late.json["status"], late.json["reason"]) == ("timeout", "max-run-time")
    assert two.api.get(f"/tasks/{missing.json['taskId']}").json["payload"]["maxRunTime"] == 30
    for wrong in (0, 300.1, "5", True, -1):
        refused = two.exec("nap", "1", timeout=wrong)
        assert (refused.error, refused.pointers) == ((422, "invalid-body"), ["/timeout"])


def test_a_text_runs_only_where_any_text_may(two: Two) -> None:
    text = "x='a b'; printf '%s\\n' \"$x\" -- \"$0\"\necho two # ; 'quoted'"
    everybody = two.shell(text, "_all")
    assert [(each["worker"], each["status"]) for each in everybody.json["results"]] == [("w1", "completed")]
    log = two.api.get(everybody.json["results"][0]["logUrl"].removeprefix("/api/v1")).body.decode()
    assert last_lines(log, 4) == ["a b", "--", "/bin/sh", "two"]
    assert two.shell("-x", "_any").json["exitCode"] == 127, "it is no option of the shell"
    refused = two.shell("echo no", "w2")
    assert refused.error == (409, "no-worker") and "w2 does not run shell" in refused.json["message"]
    assert two.shell("echo no", "nobody").error == (404, "unknown-worker")
    assert two.shell("a\0b").json["reason"] == "malformed-payload"
    assert two.shell("").error == (422, "invalid-body")
    assert two.shell("x" * 70_000).error == (422, "invalid-payload")


def test_each_worker_has_its_own_programs(two: Two) -> None:
    assert two.exec("where", target="w2").json["exitCode"] == 0
    assert two.exec("show", "<%s>\n", target="w2").json["reason"] == "malformed-payload"
    everybody = two.exec("show", "<%s>\n", target="_all")
    assert everybody.json["status"] == "partial"


def test_they_are_counted_as_other_scripts_are(two: Two) -> None:
    assert two.exec("where").json["status"] == "completed"
    metrics = two.api.get("/metrics").body.decode()
    assert re.search(r'^penstock_tasks\{script="exec",status="completed"\} [1-9]', metrics, re.MULTILINE)
    assert 'penstock_queue_messages{queue="penstock.exec"} 0' in metrics


def test_a_message_without_penstock_runs_neither(two: Two) -> None:
    url = f"redis+socket://{two.home.home}/.penstock/store/store.sock?virtual_host=0"
    with celery.Celery("test", broker=url) as producer:
        for queue in ("penstock", "penstock.shell", "penstock.worker.w2"):
            sent = producer.send_task("penstock.shell", kwargs={"text": "touch made"}, queue=queue)
            # The first is taken by whoever comes, the last by one that has no shell.
            reasons = {"not-allowed"} if queue == "penstock.shell" else {"not-allowed", "script-disabled"}
            assert two.ended(sent.id)["reason"] in reasons, queue
        sent = producer.send_task("penstock.shell", kwargs={"x": "y"}, queue="penstock.worker.w2")
        assert two.ended(sent.id)["reason"] == "script-disabled"
    assert not list(two.home.home.rglob("made"))


def test_they_need_a_scope_that_no_operator_has(two: Two) -> None:
    operator = two.api.with_key(make_key(two.home, "operator", role="operator"))
    for verb, body in (("exec", {"program": "where"}), ("shell", {"text": "true"})):
        assert operator.post(f"/workers/w1/{verb}", body).error == (403, "not-allowed")
        # Nor are they scripts for schedules, workflows, or a call that keeps less of it.
        assert two.api.post(f"/scripts/{verb}/execute", {"payload": body}).error == (404, "unknown-script")
        registered = two.api.post("/scripts", {"name": verb, "path": "scripts/x", "parameters": []})
        assert registered.error == (400, "invalid-registration")
    narrow = two.api.with_key(make_key(two.home, "narrow", "command:execute:exec", "tasks:read", "scripts:read:exec"))
    done = narrow.post("/workers/w1/exec", {"program": "where"})
    assert done.json["status"] == "completed"
    assert narrow.post("/workers/w1/shell", {"text": "true"}).error == (403, "not-allowed")
    assert narrow.get(f"/tasks/{done.json['taskId']}").status == 200
    assert {task["script"] for task in narrow.get("/tasks").json["tasks"]} == {"exec"}
    assert two.api.post(f"/tasks/{done.json['taskId']}/rerun").error[0] in (404, 409)


def test_the_audit_has_the_whole_text(two: Two) -> None:
    text = "true # " + "long text, é; " * 400 + "end"
    answer = two.shell(text, tags=["t"])
    entry = next(e for e in audit_of(two.home) if e.action == "commands.shell" and answer.json["taskId"] in e.detail)
    assert (entry.who, entry.result, entry.target) == ("all", "allowed", "shell")
    assert text in entry.detail and "on w1" in entry.detail
    refused = two.api.with_key(make_key(two.home, "refused", "tasks:read")).post("/workers/w1/shell", {"text": "x"})
    assert refused.status == 403
    assert any(e.action == "commands.shell" and e.result == "denied" and e.target == "w1" for e in audit_of(two.home))


@pytest.mark.parametrize("remote", [False, True])
def test_on_the_command_line(two: Two, tmp_path: Path, remote: bool) -> None:
    elsewhere = Remote(tmp_path, f"http://{two.api.host}:{two.api.port}", two.api.key)
    penstock = elsewhere.penstock if remote else two.home.penstock
    done = penstock("on", "group:web,group:web.dev", "--", "show", "<%s>\n", "$(touch made)")
    assert (done.code, done.out) == (0, "[w1] <$(touch made)>\n"), done
    failed = penstock("on", "w1", "-q", "--shell", "echo out; exit 5", "--timeout", "9")
    assert (failed.code, failed.out.splitlines()[0], failed.err) == (1, "out", "")
    assert penstock("on", "w2", "--shell", "true").code == 66
    assert penstock("on", "_all", "--", "where").code == 64, "nobody can be asked"
    assert penstock("on", "w1").code == 64
    assert penstock("on", "w1", "--timeout", "301", "--", "where").code == 64
    assert penstock("on", "w1", "--", "nap").code != 0
    entry = next(e for e in audit_of(two.home) if e.action == "commands.shell" and "exit 5" in e.detail)
    assert (entry.result, entry.kind) == ("allowed", "key" if remote else "local")


def test_accounts_take_from_their_queues_where_the_settings_say_so(two: Two, tmp_path: Path) -> None:
    def rules(role: str) -> list[str]:
        server = ("--server", "rediss://queue.internal:6379/0", "--url-file", str(tmp_path / role))
        printed = two.home.penstock("acl", "--role", role, "--name", "a", *server)
        assert printed.code == 0, printed
        return printed.out.split()

    assert "~penstock.shell" in rules("worker") and "~penstock.exec" in rules("worker")
    assert "%W~penstock.shell" in rules("api")
    assert not [rule for rule in rules("producer") if "penstock.shell" in rule or "penstock.exec" in rule]


def test_a_payload_names_facts_where_its_script_lets_it(two: Two) -> None:
    def told(script: str, text: str) -> Any:
        return two.api.post(f"/scripts/{script}/execute", {"payload": {"a": text}, "target": "w1"})

    assert two.log(told("tell", "${worker.label.group}")) == '{"a":"web.dev"}\n'
    assert two.log(told("tell", "${worker.fact.site}")) == '{"a":"$(touch made)"}\n'
    assert two.log(told("plain", "${worker.label.group}")) == '{"a":"${worker.label.group}"}\n'
    unknown = told("tell", "${worker.fact.none}")
    assert unknown.json["reason"] == "malformed-payload" and "/a" in two.log(unknown)
    shown = two.api.get(f"/tasks/{unknown.json['taskId']}").json
    assert shown["payload"] == {"a": "${worker.fact.none}"}


def test_no_file_may_take_their_names_or_queues(deployment: Deployment) -> None:
    deployment.script("exec", "true")
    deployment.script("other", "true", queue="penstock.shell")
    bad = {"x": {"path": "bin/x"}, "y": {"path": "/bin/y", "args": {"contains": {}}}, "a b": {"path": "/x"}}
    deployment.file("config/penstock.yaml", json.dumps({"worker": {"commandFolders": ["relative"], "programs": bad}}))
    said = deployment.penstock("check").out
    for part in ("exec is a command of Penstock's own", "penstock.shell is the queue of a command", "/worker/programs"):
        assert part in said, said
