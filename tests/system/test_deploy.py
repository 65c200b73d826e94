"""The files of docs/deploy.md, played: a store with TLS, and accounts that do the work of their role and no more."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery
import pytest
import redis

from tests.system.conftest import Deployment
from tests.system.doc_examples import blocks
from tests.system.http_client import Api
from tests.system.scheduled import make, now_ms
from tests.system.scheduled import tasks as tasks_of
from tests.system.site import eventually
from tests.system.tls_store import TlsStore

pytestmark = pytest.mark.xdist_group("deploy")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "deploy.md"
DENIED = "(?i)no permission|NOPERM|user executing the script"


class Fleet:
    """One deployment whose processes have an account each."""

    def __init__(self, site: Deployment) -> None:
        self.site = site
        files = {block.file: block.text for block in blocks(PAGE.read_text())}
        self.store = TlsStore(site.home, files["store.conf"] or "")
        self._make_accounts(files["accounts.sh"] or "")
        settings = {"broker": {"urlFile": "api.url"}, "worker": {"lease": "2s", "shutdownGrace": "1s"}}
        site.file("config/penstock.yaml", json.dumps(settings))
        self.store.start()

    def _make_accounts(self, commands: str) -> None:
        accounts = ["user default off"]
        for line in commands.splitlines():
            if line.startswith("penstock "):
                words = shlex.split(line.replace('"$server"', shlex.quote(self.store.url)))[1:-2]
                done = self.site.penstock(*words)
                assert done.code == 0, done
                accounts.append(done.out.strip())
        assert len(accounts) == 7
        (self.site.home / "users.acl").write_text("\n".join(accounts) + "\n")

    def url(self, account: str) -> str:
        return (self.site.home / f"{account}.url").read_text().strip()

    def client(self, account: str) -> redis.Redis:
        return self.store.client(self.url(account))

    def start(self, account: str, *command: str) -> subprocess.Popen[bytes]:
        env = {"PENSTOCK_BROKER_URL": self.url(account), "PENSTOCK_WORKER_NAME": account}
        with self.log(account).open("ab") as log:
            return self.site.start(*command, env=env, stdout=log, stderr=log)

    def log(self, account: str) -> Path:
        return self.site.home / f"{account}.log"

    def says(self, account: str, words: str) -> re.Match[str]:
        log, what = self.log(account), f"{words!r} in the log of {account}"
        return eventually(lambda: re.search(words, log.read_text()), what)

    def task(self, id: str) -> Any:
        done = self.site.penstock("show", id, "--json")
        return done.json if done.code == 0 else None

    def ended(self, id: str) -> Any:
        return eventually(lambda: (t := self.task(id)) and t["finishedAt"] and t, f"the end of {id}")


@pytest.fixture(scope="module")
def fleet(shared_deployment: Deployment) -> Iterator[Fleet]:
    site = shared_deployment
    site.script("say", "cat", {"properties": {"n": {"type": "integer"}}})
    site.script("build", "cat", {"properties": {"n": {"type": "integer"}}}, queue="builds")
    site.script("wait", "sleep 60", retries=1)
    site.file("config/workflows/both.yaml", json.dumps({"steps": [{"name": n, "script": n} for n in ("say", "build")]}))
    fleet = Fleet(site)
    try:
        yield fleet
    finally:
        for process in site.processes:
            process.send_signal(signal.SIGTERM)
        for process in site.processes:
            process.wait(20)
        fleet.store.stop()


@pytest.fixture(scope="module")
def api(fleet: Fleet) -> Api:
    """With a worker, a beat and an API that run."""
    make(fleet.site, "past", now_ms() - 3_600_000, cronExpression="* * * * *", catchUp="once")
    for account in ("build-1", "build-2"):
        fleet.start(account, "worker")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    fleet.start("api", "api", "--port", str(port))
    fleet.start("beat", "beat")
    key = fleet.site.penstock("keys", "create", "all", "--role", "admin").out.strip()
    for account in ("build-1", "build-2"):
        fleet.says(account, '"ready"')
    api = Api("127.0.0.1", port, key)
    try:
        eventually(lambda: _answers(api), "the API", within_s=10)
    except AssertionError:
        raise AssertionError(fleet.log("api").read_text()[-3000:]) from None
    return api


def _answers(api: Api) -> bool:
    try:
        return api.get("/readyz").status == 200
    except OSError:
        return False


def test_each_role_does_its_work_with_its_own_account(fleet: Fleet, api: Api) -> None:
    with celery.Celery(broker=fleet.url("ci") + "&ssl_cert_reqs=required", set_as_current=False) as producer:
        producer.send_task("penstock.say", kwargs={"n": 1}, queue="penstock", task_id="by-celery", retry=False)
    with fleet.client("ci") as producer:
        producer.lpush("penstock", "no message")
    ids = [api.post(f"/scripts/{name}/execute?async=true", {"payload": {"n": 2}}) for name in ("say", "build")]
    ended = [fleet.ended(id)["status"] for id in ("by-celery", *(answer.json["taskId"] for answer in ids))]
    assert ended == ["completed"] * 3
    run = fleet.site.penstock("workflows", "run", "both")
    assert run.code == 0, run
    eventually(lambda: tasks_of(fleet.site, "past"), "the task of a schedule")
    eventually(lambda: "no message" in fleet.site.penstock("dead-letters", "list", "--json").out, "the dead letter")
    assert api.get("/audit").json["entries"]
    assert [worker["name"] for worker in api.get("/workers").json["workers"]] == ["build-1", "build-2"]
    assert api.get("/workers/build-1/log").error == (409, "no-log"), "it was asked, and has answered"
    with fleet.client("operator") as operator:
        refused = [
            (entry["username"], entry["reason"], entry["object"])
            for entry in operator.acl_log()
            # Newer servers know this one, and no library needs it.
            if "setinfo" not in entry["object"]
        ]
    assert refused == []


def test_what_a_role_must_not_do_is_refused(fleet: Fleet, api: Api) -> None:
    task = api.post("/scripts/say/execute", {"payload": {}}).json["taskId"]
    everybody: list[tuple[str, ...]] = [("KEYS", "*"), ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("FLUSHALL",)]
    everybody += [("CLIENT", "KILL", "TYPE", "normal"), ("SUBSCRIBE", "x"), ("MONITOR",), ("SET", "elsewhere", "1")]
    lua = "return redis.call('HSET', 'penstock:api-key:abcdefgh', 'n', 'me')"
    cases: dict[str, list[tuple[str, ...]]] = {
        "ci": [
            ("HGETALL", f"penstock:task:{task}"),
            ("LPUSH", "builds", "x"),
            ("LPUSH", "penstock:events", "x"),
            ("RPOP", "penstock"),
            ("LRANGE", "penstock", "0", "-1"),
            ("EVAL", "return 1", "0"),
            ("XRANGE", "penstock:events", "-", "+"),
        ],
        "build-1": [
            ("HSET", "penstock:api-key:abcdefgh", "n", "me"),
            ("EVAL", lua, "0"),
            ("ZADD", "penstock:api-keys", "1", "abcdefgh"),
            ("XADD", "penstock:audit", "*", "a", "b"),
            ("XRANGE", "penstock:audit", "-", "+"),
            ("HSET", "penstock:registry", "say", "{}"),
            ("HSET", "penstock:approvals:say", "x", "{}"),
            ("HSET", "penstock:schedules", "past", "{}"),
            ("HSET", "penstock:workflows", "both", "{}"),
            ("RPUSH", "penstock:worker-asks:build-2", "x"),
            ("BLPOP", "penstock:worker-asks:build-2", "1"),
            ("LRANGE", "penstock:worker-answer:x", "0", "-1"),
        ],
        "api": [("LMOVE", "penstock", "penstock", "LEFT", "RIGHT"), ("LRANGE", "penstock", "0", "-1")],
        "beat": [
            ("HSET", "penstock:schedules", "past", "{}"),
            ("HSET", "penstock:api-key:abcdefgh", "n", "me"),
            ("LRANGE", "penstock", "0", "-1"),
            ("XRANGE", "penstock:webhooks:cursor", "-", "+"),
        ],
    }
    allowed = []
    for account, commands in cases.items():
        with fleet.client(account) as client:
            for command in [*commands, *everybody]:
                try:
                    client.execute_command(*command)
                    allowed.append((account, *command))
                except redis.exceptions.ResponseError as error:
                    if not re.search(DENIED, str(error)):
                        allowed.append((account, *command, str(error)))
    assert allowed == []


def test_nobody_gets_in_without_an_account_or_with_another_authority(fleet: Fleet, api: Api) -> None:
    said = fleet.site.penstock("tasks", env={"PENSTOCK_BROKER_URL": fleet.store.url})
    assert said.code == 69 and re.search("(?i)auth", said.err) and "refuses this account" in said.err, said
    wrong = fleet.url("api").replace("api:", "api:x")
    said = fleet.site.penstock("tasks", env={"PENSTOCK_BROKER_URL": wrong})
    assert said.code == 69 and "refuses this account" in said.err and fleet.url("api").split("@")[0] not in said.err, (
        said
    )
    stranger = fleet.url("api").partition("?")[0]  # the authorities of the system do not know ours
    said = fleet.site.penstock("tasks", env={"PENSTOCK_BROKER_URL": stranger})
    assert said.code == 69 and "certificate" in said.err.lower(), said


def test_one_worker_is_revoked_and_the_others_go_on(fleet: Fleet, api: Api) -> None:
    task = api.post("/scripts/wait/execute?async=true", {"payload": {}}).json["taskId"]
    first = eventually(lambda: (t := fleet.task(task)) and t["runs"][0].get("worker"), "a worker that has it")
    other = {"build-1": "build-2", "build-2": "build-1"}[first]
    with fleet.client("operator") as operator:
        assert operator.acl_deluser(first) == 1
    fleet.says(first, "refuses this account, which may have been revoked")
    ended = eventually(lambda: (t := fleet.task(task)) and len(t["runs"]) == 2 and t, "the next run")
    assert ended["runs"][0]["reason"] == "claim-expired"
    eventually(lambda: fleet.task(task)["runs"][1].get("worker") == other, "the run on the other one")
    done = api.post("/scripts/say/execute", {"payload": {}}).json
    assert done["status"] == "completed", done
    restarted = fleet.start(first, "worker")
    assert restarted.wait(20) == 69
    fleet.says(first, "refuses this account; is it revoked")
    fleet.site.penstock("cancel", task)


def test_an_account_file_is_made_once_private_and_not_for_another(fleet: Fleet) -> None:
    home = fleet.site.home
    assert (home / "api.url").stat().st_mode & 0o777 == 0o600
    acl = (home / "users.acl").read_text()
    assert not any(fleet.url(name).split(":")[2].split("@")[0] in acl for name in ("api", "ci", "build-1"))
    again = fleet.site.penstock("acl", "--role", "beat", "--name", "beat", "--url-file", "beat.url")
    assert again.code == 0 and again.out in acl
    other = fleet.site.penstock("acl", "--role", "api", "--name", "me", "--url-file", "beat.url")
    assert other.code == 65 and "another account" in other.err
    for name in ("a b", "a\nuser x on nopass +@all ~*", "../x"):
        done = fleet.site.penstock(
            "acl", "--role", "api", "--name", name, "--url-file", "new.url", "--server", "redis://x"
        )
        assert done.code == 64 and done.out == "", (name, done)
    for server in ("http://x", "redis://a:b@x", "redis://[x"):
        done = fleet.site.penstock("acl", "--role", "api", "--name", "x", "--url-file", "new.url", "--server", server)
        assert done.code == 64 and not (home / "new.url").exists(), (server, done)
    os.chmod(home / "beat.url", 0o644)
    assert fleet.site.penstock("acl", "--role", "beat", "--name", "beat", "--url-file", "beat.url").code == 65
    os.chmod(home / "beat.url", 0o600)
