"""Webhooks as their receiver sees them: a real server, a real worker, the embedded store, a real receiver."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from tests.system.conftest import Deployment
from tests.system.http_client import Api, running_api
from tests.system.site import eventually

ANY = {"type": "object", "additionalProperties": True}
SECRET = b"a secret of the receiver"
NEXT = bytes(range(32))


@dataclass
class Receiver:
    """Answers with `statuses` one after the other, then with 204. `stop` and `start` keep the port."""

    statuses: list[int] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0
    server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status = receiver.statuses.pop(0) if receiver.statuses else 204
                self.send_response(status)
                self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def of(self, task_id: str) -> list[dict[str, Any]]:
        events = [json.loads(body) for _, _, body in list(self.requests)]
        return [event for event in events if event["subject"] == task_id]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment, receiver: Receiver) -> Iterator[Api]:
    d = shared_deployment
    d.file("secret", SECRET.decode() + "\nwhsec_" + base64.b64encode(NEXT).decode() + "\n")
    d.file("url", f"http://user:password@127.0.0.1:{receiver.port}/hook?token=hidden\n")
    hook = {"name": "all", "urlFile": "url", "secretFile": "secret"}
    some = {**hook, "name": "some", "scripts": ["bad"], "statuses": ["failed"]}
    dead = {"name": "dead", "url": "http://127.0.0.1:1/", "secretFile": "secret", "scripts": ["bad"]}
    d.file(
        "config/penstock.yaml",
        json.dumps({"api": {"port": 0, "rateLimit": "none"}, "webhooks": [hook, some, dead]}),
    )
    d.script("good", "echo hi", ANY)
    d.script("bad", "mkdir -p artifacts; echo 1 > artifacts/a.txt; exit 1", ANY)
    d.script("again", "exit $((1 - RUN_ID))", ANY, retries=1, retryOn=["exit-code"], retryDelay="10ms")
    yield from running_api(d)


def run(api: Api, script: str, **body: Any) -> str:
    answer = api.post(f"/scripts/{script}/execute", body)
    assert answer.status == 200, answer
    task_id: str = answer.json["taskId"]
    return task_id


def test_the_end_of_a_task_is_told_as_a_signed_cloud_event(api: Api, receiver: Receiver) -> None:
    task_id = run(api, "bad", tags=["x"])
    first, second = eventually(lambda: (found := receiver.of(task_id))[1:] and found, "both webhooks")
    assert first == second
    assert first["specversion"] == "1.0"
    assert (first["id"], first["type"], first["subject"]) == (f"{task_id}.0", "penstock.task.failed", task_id)
    data = first["data"]
    assert (data["script"], data["status"], data["reason"], data["exitCode"]) == ("bad", "failed", "exit-code", 1)
    assert (data["tags"], [artifact["name"] for artifact in data["artifacts"]]) == (["x"], ["a.txt"])
    path, headers, body = next(each for each in receiver.requests if json.loads(each[2])["subject"] == task_id)
    assert path == "/hook?token=hidden"
    assert headers["authorization"] == "Basic " + base64.b64encode(b"user:password").decode()
    assert headers["content-type"].startswith("application/cloudevents+json")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert headers["webhook-id"] == first["id"]
    assert headers["webhook-signature"].split(" ") == [
        "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in (SECRET, NEXT)
    ]


def test_a_receiver_that_fails_is_tried_again_until_it_takes_the_same_event(api: Api, receiver: Receiver) -> None:
    receiver.statuses[:] = [500, 302, 429]
    task_id = run(api, "good")
    found = eventually(lambda: (found := receiver.of(task_id))[3:] and found, "four attempts")
    assert len({json.dumps(event) for event in found}) == 1
    assert not [path for path, _, _ in receiver.requests if path == "/elsewhere"], "a redirect is not followed"
    after = run(api, "good")
    eventually(lambda: receiver.of(after), "the next one")
    assert len(receiver.of(task_id)) == 4


def test_only_the_last_run_of_a_task_is_told(api: Api, receiver: Receiver) -> None:
    task_id = run(api, "again")
    (event,) = eventually(lambda: receiver.of(task_id), "its end")
    assert (event["id"], event["type"]) == (f"{task_id}.1", "penstock.task.completed")


@pytest.mark.parametrize("trimmed", [False, True], ids=["events are kept", "events are gone"])
def test_nothing_is_lost_while_receiver_and_server_are_down(
    api: Api, receiver: Receiver, shared_deployment: Deployment, trimmed: bool
) -> None:
    d = shared_deployment
    serving, process = _server(d, api)
    receiver.stop()
    while_away = run(serving, "good")
    eventually(lambda: _metric(serving, 'penstock_webhook_events_waiting{webhook="all"}') >= 1, "it waits")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert d.penstock("run", "good", stdin=b"{}").code == 0
    unseen = d.penstock("tasks", "--json", "--limit", "1").json["tasks"][0]["taskId"]
    if trimmed:
        with redis.Redis(unix_socket_path=str(d.home / ".penstock/store/store.sock")) as store:
            store.xtrim("penstock:events", maxlen=0, approximate=False)
    receiver.start()
    _, process = _server(d, api)
    eventually(lambda: receiver.of(while_away), "what waited")
    eventually(lambda: receiver.of(unseen), "what ended while no server was there")
    process.terminate()
    assert process.wait(10) == 0


def _server(d: Deployment, api: Api) -> tuple[Api, subprocess.Popen[bytes]]:
    """One that sends: that of `up` is ended."""
    for each in psutil.process_iter(["cmdline", "status"]):
        line = each.info["cmdline"] or []
        if "api" in line and str(d.home) in line and each.info["status"] != psutil.STATUS_ZOMBIE:
            each.terminate()
            eventually(lambda each=each: _has_ended(each), "the end of the server")  # type: ignore[misc]
    process = d.start("api", "--port", "0", stderr=subprocess.DEVNULL)
    assert process.stdout
    port = re.search(rb"http://[0-9.]+:([0-9]+)", process.stdout.readline())
    assert port
    return Api(api.host, int(port[1]), api.key), process


def _has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _metric(api: Api, name: str) -> float:
    values = dict(line.rsplit(" ", 1) for line in api.get("/metrics").body.decode().splitlines())
    return float(values[name])


def test_urls_and_secrets_are_in_no_log(shared_deployment: Deployment, api: Api) -> None:
    log = (shared_deployment.home / "up-of-the-test.log").read_text()
    assert "webhook=dead" in log or '"webhook": "dead"' in log
    for secret in ("password", "hidden", SECRET.decode(), "whsec"):
        assert secret not in log


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "file:///etc/passwd"},
        {"url": "http://"},
        {"url": "https://host/a\r\nX: y"},
        {"url": "gopher://host/"},
        {"url": "http://h", "urlFile": "x"},
        {"url": "http://h", "scripts": ["nope"]},
        {"url": "http://h", "statuses": ["pending"]},
        {},
    ],
)
def test_a_wrong_webhook_is_told_when_the_settings_are_read(tmp_path: Path, wrong: dict[str, Any]) -> None:
    d = Deployment(tmp_path)
    d.script("good", "exit 0")
    d.file("config/penstock.yaml", json.dumps({"webhooks": [{"name": "w", "secretFile": "s", **wrong}]}))
    told = d.penstock("check")
    assert told.code != 0
    assert "penstock.yaml" in told.out + told.err
    assert "passwd" not in told.out + told.err
