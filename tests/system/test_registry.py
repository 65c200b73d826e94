"""The registry as its users see it: over HTTP, with a worker that runs what its operator admits and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import Deployment
from tests.system.http_client import Answer, Api, audit_of, make_key, running_api
from tests.system.site import eventually
from worker.config import load_settings
from worker.daemons.wiring import open_store
from worker.store.registry import MOST_APPROVALS, Registry

HOSTILE = "$(touch x)"
ALLOWED = {
    "scripts": [
        {"name": "allowed", "path": "scripts/hello.sh"},
        {"name": "pinned", "path": "scripts/pinned.sh", "sha256": hashlib.sha256(b"echo pinned\n").hexdigest()},
        {"name": "other-path", "path": "scripts/elsewhere.sh"},
        {"name": "escape", "path": "../../bin/sh"},
        {"name": "many", "path": "scripts/hello.sh"},
        {"name": "gone", "path": "scripts/hello.sh"},
        {"name": "env", "path": "scripts/env.sh"},
        {"name": "dry", "path": "scripts/hello.sh"},
    ]
}


def write(deployment: Deployment, path: str, text: str, mode: int = 0o755) -> Path:
    file = deployment.file(path, text)
    file.chmod(mode)
    return file


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    for name in ("approve-key", "other-key"):
        key = d.home / name
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
        public = d.home / "config" / f"{name}.pub"
        subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
    worker = {"approvalKeyFile": "config/approve-key.pub", "allowInlineBodies": True}
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0}, "worker": worker}))
    d.file("config/allow.yaml", json.dumps(ALLOWED))
    d.script("declared", ["scripts/declared.sh"], {}, plugins={"disabled": ["logHeader"]})
    write(d, "scripts/declared.sh", "#!/bin/sh\necho declared\n")
    write(d, "scripts/hello.sh", '#!/bin/sh\necho "hello $*" "$DRY_RUN"; cat\n')
    write(d, "scripts/pinned.sh", "echo pinned\n")
    write(d, "scripts/env.sh", 'echo "$TARGET"; cat\n')
    write(d, "scripts/approved.py", "print('approved')\n")
    write(d, "scripts/not-executable.sh", "echo no\n", 0o644)
    write(d, "scripts/.hidden.sh", "echo no\n")
    write(d, "scripts/!!!.sh", "echo no name\n")
    write(d, "scripts/sub/deep er.py", "#!/usr/bin/env python3\n")
    write(d, "scripts/a-binary", "\x7fELF")
    write(d, "outside.sh", "echo outside\n")
    (d.home / "scripts" / "link-out.sh").symlink_to(d.home / "outside.sh")
    (d.home / "scripts" / "link-in.sh").symlink_to("hello.sh")
    (d.home / "scripts" / "folder-out").symlink_to("/usr/bin")
    yield from running_api(d)


def register(api: Api, name: str, **fields: Any) -> dict[str, Any]:
    answer = api.post("/scripts", {"name": name, "parameters": [], **fields})
    assert answer.status == 201, answer
    found: dict[str, Any] = answer.json
    assert answer.headers["location"] == f"/api/v1/scripts/{name}"
    return found


def put(api: Api, path: str, value: Any) -> Answer:
    return api.send("PUT", path, json.dumps(value).encode(), {"Content-Type": "application/json"})


def run(api: Api, name: str, payload: dict[str, Any] | None = None, route: str = "execute") -> dict[str, Any]:
    answer = api.post(f"/scripts/{name}/{route}", {"payload": payload or {}})
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


def log(api: Api, task: dict[str, Any]) -> list[str]:
    text = api.get(f"/tasks/{task['taskId']}/log?stream=stdout").body.decode()
    return text.splitlines()


def end(task: dict[str, Any]) -> tuple[str, str | None]:
    return task["status"], task["reason"]


def fill_approvals(deployment: Deployment, name: str) -> None:
    async def main() -> None:
        async with open_store(load_settings(deployment.home, environ={})) as store:
            registry = Registry(store.redis)
            found = await registry.get(name)
            for number in range(MOST_APPROVALS - len(found.approvals)):
                await registry.approve(found, f"no.approval.{number}")

    asyncio.run(main())


# --- discovery


def test_files_that_no_script_names_are_listed_and_nothing_that_leads_out(api: Api) -> None:
    found = {file["path"]: file for file in api.get("/scripts/available").json["files"]}
    assert {"scripts/!!!.sh", "scripts/sub/deep er.py", "scripts/a-binary"} <= found.keys()
    hidden = ("declared", ".hidden", "link-out", "not-executable", "folder-out", "outside")
    assert [path for path in found if any(name in path for name in hidden)] == []
    assert found["scripts/!!!.sh"]["name"] is None
    assert (found["scripts/sub/deep er.py"]["name"], found["scripts/sub/deep er.py"]["kind"]) == ("deep-er", "python")
    assert found["scripts/a-binary"]["kind"] == "direct"
    assert found["scripts/a-binary"]["size"] == 4 and found["scripts/a-binary"]["modifiedAt"].endswith("Z")


# --- registration


def test_a_script_that_the_allow_list_names_runs(api: Api) -> None:
    made = register(api, "allowed", path="scripts/hello.sh", args=["one", HOSTILE], title=HOSTILE)
    assert (made["version"], made["declaration"]["kind"], made["registeredBy"]) == (1, "shell", "all")
    task = run(api, "allowed")
    assert end(task) == ("completed", None)
    assert log(api, task)[0] == f"hello one {HOSTILE} "
    eventually(lambda: api.get("/scripts/allowed").json["runnable"], "the worker's word")
    script = api.get("/scripts/allowed").json
    assert (script["source"], script["version"], script["title"]) == ("registered", 1, HOSTILE)
    assert [(each["admits"], each["why"]) for each in script["admissions"]] == [(True, "config/allow.yaml")]
    assert "allowed" in [each["name"] for each in api.get("/scripts").json["scripts"]]
    assert api.post("/scripts", {"name": "allowed", "path": "scripts/hello.sh", "parameters": []}).error == (
        *(409, "conflict"),
    )


def test_a_script_that_nobody_admits_is_refused_before_it_starts(api: Api, shared_deployment: Deployment) -> None:
    mark = shared_deployment.home / "started"
    write(shared_deployment, "scripts/mark.sh", f"touch {mark}\n")
    for name, fields in (
        ("nobody", {"path": "scripts/mark.sh"}),
        ("other-path", {"path": "scripts/mark.sh"}),
        ("bodied", {"body": f"touch {mark}", "type": "bash"}),
        ("apart", {"path": "scripts/mark.sh", "runner": "isolated"}),
    ):
        register(api, name, **fields)
        task = run(api, name)
        assert end(task) == ("exception", "not-admitted"), name
        assert task["exitCode"] is None and task["message"], task
        assert not api.get(f"/scripts/{name}").json["runnable"]
    assert not mark.exists()


def test_a_file_that_changed_since_it_was_allowed_is_refused(api: Api, shared_deployment: Deployment) -> None:
    register(api, "pinned", path="scripts/pinned.sh")
    assert log(api, run(api, "pinned")) == ["pinned"]
    path = shared_deployment.home / "scripts" / "pinned.sh"
    path.write_text("touch started; echo swapped\n")
    task = run(api, "pinned")
    assert end(task) == ("exception", "not-admitted") and "changed" in task["message"]
    assert log(api, task) == []
    path.write_text("echo pinned\n")
    assert end(run(api, "pinned"))[0] == "completed"


def test_an_approval_admits_one_version_and_the_very_content(api: Api, shared_deployment: Deployment) -> None:
    d = shared_deployment
    register(api, "approved", path="scripts/approved.py")
    assert end(run(api, "approved")) == ("exception", "not-admitted")
    other = d.penstock("scripts", "approve", "approved", "--key-file", str(d.home / "other-key"), "--yes")
    assert other.code == 0, other
    assert end(run(api, "approved")) == ("exception", "not-admitted")
    done = d.penstock("scripts", "approve", "approved", "--key-file", str(d.home / "approve-key"), "--yes")
    assert done.code == 0, done
    task = run(api, "approved")
    assert (end(task), log(api, task)) == (("completed", None), ["approved"])
    (d.home / "scripts" / "approved.py").write_text("print('swapped')\n")
    assert end(run(api, "approved")) == ("exception", "not-admitted")
    (d.home / "scripts" / "approved.py").write_text("print('approved')\n")
    assert end(run(api, "approved"))[0] == "completed"
    # Whatever else is declared needs an approval of its own.
    assert put(api, "/scripts/approved", {"path": "scripts/approved.py", "parameters": [], "args": ["x"]}).status == 200
    assert end(run(api, "approved")) == ("exception", "not-admitted")
    # What was approved once is approved when it comes back, and may be switched off without asking.
    back = {"path": "scripts/approved.py", "parameters": []}
    assert put(api, "/scripts/approved", {**back, "enabled": False}).status == 200
    assert api.post("/scripts/approved/execute").error == (400, "script-disabled")
    assert put(api, "/scripts/approved", back).status == 200
    assert end(run(api, "approved"))[0] == "completed"


def test_an_approval_that_was_signed_elsewhere_can_be_sent(api: Api, shared_deployment: Deployment) -> None:
    d = shared_deployment
    register(api, "body", body="echo from a body; cat", type="bash")
    text = d.penstock("scripts", "approve", "body", "--key-file", str(d.home / "approve-key"), "--print").out.strip()
    assert api.post("/scripts/body/approvals", {"approval": text[:-4] + "AAAA"}).status == 201
    assert end(run(api, "body")) == ("exception", "not-admitted")
    assert api.post("/scripts/body/approvals", {"approval": text}).status == 201
    assert log(api, run(api, "body"))[0] == "from a body"
    assert api.post("/scripts/body/approvals", {"approval": HOSTILE}).error == (400, "invalid-registration")
    fill_approvals(d, "body")
    assert api.post("/scripts/body/approvals", {"approval": "a.b.c"}).error == (409, "too-many-approvals")
    assert api.post("/scripts/body/approvals", {"approval": text}).status == 201
    assert api.post("/scripts/nosuch/approvals", {"approval": text}).error == (404, "unknown-script")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"path": "scripts/nosuch.sh"}, "/path"),
        ({"path": "../outside.sh"}, "/path"),
        ({"path": "scripts/../outside.sh"}, "/path"),
        ({"path": "/bin/sh"}, "/path"),
        ({"path": "outside.sh"}, "/path"),
        ({"path": "scripts/link-out.sh"}, "/path"),
        ({"path": "scripts/folder-out/env"}, "/path"),
        ({"path": "scripts/not-executable.sh"}, "/path"),
        ({"path": "scripts/.hidden.sh"}, "/path"),
        ({"path": "scripts"}, "/path"),
        ({"path": "scripts/sub"}, "/path"),
        ({"path": "scripts//hello.sh"}, "/path"),
        ({"path": "scripts/hello.sh\n"}, "/path"),
        ({"path": "scripts/\x00"}, "/path"),
        ({"path": HOSTILE}, "/path"),
        ({"path": "scripts/hello.sh", "command": ["/bin/sh"]}, "/command"),
        ({"path": "scripts/hello.sh", "plugins": {"disabled": ["watchdog"]}}, "/plugins"),
        ({"path": "scripts/hello.sh", "sha256": "0" * 64}, "/sha256"),
        ({"path": "scripts/hello.sh", "kind": "direct"}, "/kind"),
        ({"path": "scripts/hello.sh", "env": {"LD_PRELOAD": "/tmp/x.so"}}, "/env/LD_PRELOAD"),
        ({"path": "scripts/hello.sh", "env": {"TASK_ID": "x"}}, "/env/TASK_ID"),
        ({"path": "scripts/hello.sh", "env": {"A=B": "x"}}, "/env/A=B"),
        ({"path": "scripts/hello.sh", "queue": "somewhere"}, "/queue"),
        ({"path": "scripts/hello.sh", "args": ["\x00"]}, "/args/0"),
        ({"path": "scripts/hello.sh", "body": "echo", "type": "bash"}, "/path"),
        ({"body": "echo"}, "/type"),
        ({"body": "echo", "type": "perl"}, "/type"),
        ({}, "/path"),
        ({"path": "scripts/hello.sh", "runner": "docker"}, "/runner"),
        (
            {"path": "scripts/hello.sh", "parameters": [{"name": "LD_PRELOAD", "type": "text", "as": "env"}]},
            "/parameters/0/name",
        ),
        (
            {"path": "scripts/hello.sh", "parameters": [{"name": "dryRun", "type": "boolean"}]},
            "/schema/properties/dryRun",
        ),
    ],
)
def test_what_cannot_be_registered_is_refused_with_its_place(api: Api, fields: dict[str, Any], place: str) -> None:
    answer = api.post("/scripts", {"name": "refused", "parameters": [], **fields})
    assert answer.error == (400, "invalid-registration"), answer
    assert place in answer.pointers, answer.json["problems"]
    assert api.get("/scripts/refused").error == (404, "unknown-script")


@pytest.mark.parametrize("name", ["available", "A", "a_b", "../a", HOSTILE, "a" * 64, "a\n", "", 7, None])
def test_a_name_that_cannot_be_one_is_refused(api: Api, name: Any) -> None:
    answer = api.post("/scripts", {"name": name, "path": "scripts/!!!.sh", "parameters": []})
    assert answer.error == (400, "invalid-registration"), answer
    assert answer.pointers == ["/name"]


def test_without_a_name_it_is_called_as_its_file(api: Api) -> None:
    answer = api.post("/scripts", {"path": "scripts/sub/deep er.py", "parameters": []})
    assert (answer.status, answer.json["name"]) == (201, "deep-er")
    assert "scripts/sub/deep er.py" not in [file["path"] for file in api.get("/scripts/available").json["files"]]


def test_nothing_of_the_deployment_can_be_changed(api: Api) -> None:
    new = {"path": "scripts/hello.sh", "parameters": []}
    assert api.post("/scripts", {"name": "declared", **new}).error == (409, "conflict")
    assert put(api, "/scripts/declared", new).error == (409, "declared-in-file")
    assert api.delete("/scripts/declared").error == (409, "declared-in-file")
    assert api.get("/scripts/declared").json["source"] == "file"
    assert log(api, run(api, "declared")) == ["declared"]


# --- versions


def test_every_change_is_a_version_and_what_was_removed_can_be_read(api: Api) -> None:
    register(api, "many", path="scripts/hello.sh", env={"TOKEN": "t0"})
    changed = put(api, "/scripts/many", {"path": "scripts/hello.sh", "parameters": [], "args": [HOSTILE]})
    assert (changed.status, changed.json["version"]) == (200, 2)
    assert log(api, run(api, "many"))[0] == f"hello {HOSTILE} "
    assert put(api, "/scripts/many", {"path": "scripts/nosuch.sh", "parameters": []}).status == 400
    diff = api.get("/scripts/many/diff?from=1&to=2").json["diff"]
    assert api.get("/scripts/many/diff").json == {"name": "many", "fromVersion": 1, "toVersion": 2, "diff": diff}
    assert '-    "TOKEN": "t0"' in diff and f'+    "{HOSTILE}"' in diff
    assert api.delete("/scripts/many").status == 204
    assert api.delete("/scripts/many").error == (404, "unknown-script")
    for path in ("/scripts/many", "/scripts/many/schema"):
        assert api.get(path).error == (404, "unknown-script")
    assert api.post("/scripts/many/execute").error == (404, "unknown-script")
    history = api.get("/scripts/many/versions").json
    assert [(v["version"], v["removed"]) for v in history["versions"]] == [(3, True), (2, False), (1, False)]
    assert api.get("/scripts/many/versions/1").json["declaration"]["env"] == {"TOKEN": "t0"}
    assert api.get("/scripts/many/versions/9").error == (404, "unknown-script")
    for path in ("nosuch/versions", "..%2fx/versions", "nosuch/diff?from=1&to=2", "nosuch/diff"):
        assert api.get(f"/scripts/{path}").status == 404, path
    assert api.get("/scripts/many/diff?from=0&to=2").status == 400
    assert register(api, "many", path="scripts/hello.sh")["version"] == 4


def test_who_may_only_read_or_run_changes_and_sees_nothing_of_it(api: Api, shared_deployment: Deployment) -> None:
    operator = api.with_key(make_key(shared_deployment, "op", role="operator"))
    new = {"path": "scripts/hello.sh", "parameters": []}
    refused = [
        operator.get("/scripts/available"),
        operator.post("/scripts", {"name": "mine", **new}),
        operator.post("/scripts", new),
        operator.post("/scripts", {"path": "scripts/!!!.sh"}),
        put(operator, "/scripts/declared", new),
        operator.delete("/scripts/nosuch"),
        operator.get("/scripts/nosuch/versions"),
        operator.get("/scripts/nosuch/versions/1"),
        operator.get("/scripts/nosuch/diff?from=1&to=2"),
        operator.post("/scripts/nosuch/approvals", {"approval": "a.b.c"}),
    ]
    assert [answer.error for answer in refused] == [(403, "not-allowed")] * len(refused)
    one = api.with_key(make_key(shared_deployment, "one", "scripts:write:only-this"))
    assert one.post("/scripts", {"name": "only-this", **new}).status == 201
    assert one.post("/scripts", {"name": "another", **new}).error == (403, "not-allowed")
    actions = {(entry.action, entry.result) for entry in audit_of(shared_deployment)}
    assert {("scripts.register", "allowed"), ("scripts.register", "denied"), ("scripts.update", "denied")} <= actions


# --- parameters, dry run, browser


def test_parameters_are_filled_in_checked_and_handed_over(api: Api) -> None:
    parameters = [
        {"name": "TARGET", "type": "select", "options": ["staging", HOSTILE], "default": "staging", "as": "env"},
        {"name": "password", "type": "password", "required": True},
    ]
    register(api, "env", path="scripts/env.sh", parameters=parameters)
    task = run(api, "env", {"password": "s3cret-word"})
    assert log(api, task)[0] == "staging"
    assert (task["payload"], task["dryRun"]) == ({"TARGET": "staging", "password": "***"}, False)
    assert log(api, run(api, "env", {"TARGET": HOSTILE, "password": "s3cret-word"}))[0] == HOSTILE
    wrong = api.post("/scripts/env/execute", {"payload": {"TARGET": "x", "password": "", "LD_PRELOAD": "s3cret-word"}})
    assert wrong.error == (422, "invalid-payload")
    assert sorted(set(wrong.pointers)) == ["/LD_PRELOAD", "/TARGET", "/password"]
    assert b"s3cret-word" not in wrong.body
    assert b"s3cret-word" not in api.get("/tasks?script=env").body + api.get(f"/tasks/{task['taskId']}").body


def test_a_dry_run_has_its_arguments_and_is_recorded_as_one(api: Api) -> None:
    register(api, "dry", path="scripts/hello.sh", args=["now"], dryRunCommand=["--check"])
    task = run(api, "dry", route="dry-run")
    assert (task["dryRun"], log(api, task)[0]) == (True, "hello now --check true")
    assert api.get(f"/executions/{task['taskId']}").json["isDryRun"] is True


def test_what_is_for_a_browser_runs_nowhere_else(api: Api) -> None:
    register(api, "page", body="alert(1)", type="browser")
    answer = api.post("/scripts/page/execute")
    assert answer.error == (400, "browser-only") and "page" in answer.json["message"]


# --- the command line


def test_the_command_line_does_the_same(api: Api, shared_deployment: Deployment) -> None:
    d = shared_deployment
    write(d, "scripts/cli.sh", "echo one\n")
    files = d.penstock("scripts", "available", "--json").json["files"]
    assert "scripts/cli.sh" in [file["path"] for file in files]
    assert "scripts/cli.sh" in d.penstock("scripts", "available").out
    d.file("cli.json", json.dumps({"title": "By hand", "parameters": [{"name": "n", "type": "number", "default": 1}]}))
    made = d.penstock("scripts", "register", "scripts/cli.sh", "--file", "cli.json", "--json")
    assert (made.code, made.json["name"], made.json["version"]) == (0, "cli", 1), made
    assert d.penstock("scripts", "register", "scripts/cli.sh").code != 0
    assert d.penstock("scripts", "update", "cli", "scripts/cli.sh", "--arg", "x", "--json").json["version"] == 2
    assert '"x"' in d.penstock("scripts", "diff", "cli", "1", "2").out
    assert '"x"' in d.penstock("scripts", "diff", "cli").out
    assert d.penstock("scripts", "cli", "--json").json["file"] == "(registered)"
    assert "cli" in [script["name"] for script in d.penstock("scripts", "--json").json["scripts"]]
    assert d.penstock("run", "cli").code == 77
    shown = d.penstock("scripts", "approve", "cli", "--key-file", str(d.home / "approve-key"), "--yes")
    assert "scripts/cli.sh" in shown.out and hashlib.sha256(b"echo one\n").hexdigest() in shown.out
    ran = d.penstock("run", "cli")
    assert (ran.code, "one" in ran.out) == (0, True), ran
    (d.home / "scripts" / "cli.sh").write_text("echo two\n")
    changed = d.penstock("scripts", "approve", "cli", "--key-file", str(d.home / "approve-key"), "--yes")
    assert changed.code == 65 and "changed" in changed.err
    assert d.penstock("scripts", "delete", "cli").code == 0
    history = d.penstock("scripts", "history", "cli", "--json").json["versions"]
    assert [(v["version"], v["removed"]) for v in history] == [(3, True), (2, False), (1, False)]
    assert d.penstock("scripts", "delete", "cli").code == 66
    assert d.penstock("scripts", "delete", "declared").code == 77
    assert d.penstock("scripts", "register", "../outside.sh").code == 65
    assert {e.action for e in audit_of(d) if e.kind == "local"} >= {"scripts.register", "scripts.approve"}


# --- while tasks wait


def test_tasks_of_a_script_that_was_removed_end(api: Api, shared_deployment: Deployment) -> None:
    register(api, "gone", path="scripts/hello.sh")
    later = api.post("/scripts/gone/execute?async=true", {"id": "of-gone", "payload": {}})
    assert later.status == 202
    assert end(run(api, "gone"))[0] == "completed"
    assert api.delete("/scripts/gone").status == 204
    assert api.get("/tasks/of-gone").json["status"] in ("completed", "exception", "pending", "running")
    assert not (shared_deployment.home / "x").exists()
    assert not [path for path in Path(shared_deployment.home).rglob("x") if path.is_file()], os.listdir()


def test_a_worker_that_does_not_admit_a_script_leaves_it_to_one_that_does(
    api: Api, shared_deployment: Deployment
) -> None:
    """Another deployment at the same store, whose operator admits nothing."""
    register(api, "shared", path="scripts/hello.sh")
    allowed = [*ALLOWED["scripts"], {"name": "shared", "path": "scripts/hello.sh"}]
    shared_deployment.file("config/allow.yaml", json.dumps({"scripts": allowed}))
    eventually(lambda: api.get("/scripts/shared").json["runnable"], "the worker's word")
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        other = Deployment(Path(folder))
        socket = shared_deployment.home / ".penstock" / "store" / "store.sock"
        settings = {"broker": {"url": f"redis+socket://{socket}?virtual_host=0"}, "worker": {"name": "stranger"}}
        other.file("config/penstock.yaml", json.dumps(settings))
        worker = other.start("worker")
        try:
            eventually(lambda: len(api.get("/scripts/shared").json["admissions"]) == 2, "the other worker's word")
            said = {each["worker"]: each["admits"] for each in api.get("/scripts/shared").json["admissions"]}
            assert said.pop("stranger") is False and list(said.values()) == [True]
            ids = [f"shared-{number}" for number in range(12)]
            for task_id in ids:
                assert api.post("/scripts/shared/execute?async=true", {"id": task_id}).status == 202
            eventually(lambda: {api.get(f"/tasks/{i}").json["status"] for i in ids} == {"completed"}, "their end")
            worker.terminate()
            assert worker.wait(timeout=20) == 0
            assert len(api.get("/scripts/shared").json["admissions"]) == 1
        finally:
            other.end()
