"""What the commands make of a server that is wrong, hostile, or not there."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.system.conftest import Result
from tests.system.hostile_server import Hostile, http
from tests.system.remote import Remote

ESCAPES = "\x1b]0;owned\x07\x1b[2J"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        yield Path(folder)


def listing(**other: Any) -> dict[str, Any]:
    task = {
        "taskId": "a",
        "runId": 0,
        "script": "echo",
        "status": "completed",
        "reason": None,
        "message": None,
        "queue": "penstock",
        "trigger": "api",
        "worker": None,
        "tags": [],
        "dryRun": False,
        "createdAt": "2026-11-21T12:00:00.000Z",
        "finishedAt": None,
        "durationMs": 1,
        "retries": 0,
        "priority": 0,
        "dueAt": None,
        "deadline": None,
        "cancel": None,
        **other,
    }
    return {"tasks": [task], "total": 1, "next": None}


def document(**other: Any) -> dict[str, Any]:
    run = {
        "runId": 0,
        "status": "completed",
        "logBytes": 3,
        "logTruncated": False,
        "artifacts": [],
        **other.pop("run", {}),
    }
    return {**listing()["tasks"][0], "digest": "0" * 64, "payload": {}, "runs": [run], **other}


def answering(value: Any, status: str = "200 OK", **headers: str) -> Hostile:
    return Hostile(http(json.dumps(value).encode(), status, **headers))


def asked(server: Hostile, folder: Path, *arguments: str) -> Result:
    """The command; nothing that a server says may reach the terminal raw, or show the key."""
    done = Remote(folder, server.url, "penstock_abcdefgh_hidden").penstock(*arguments)
    assert "\x1b" not in done.out + done.err
    assert "hidden" not in done.out + done.err
    assert "Traceback" not in done.err
    return done


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"\x16\x03\x01" * 100,
        http(b"<html>hello</html>"),
        http(b"[" * 100_000),
        http(b'{"tasks": [NaN], "total": 1, "next": null}'),
        http(b"{}", Content_Encoding="gzip"),
        http(b"[]"),
        http(b"{}"),
        http(b"<h1>not here</h1>", "404 Not Found"),
        http(json.dumps(listing(script=ESCAPES)).encode()),
        http(json.dumps(listing(taskId="../../x")).encode()),
        http(json.dumps(listing(status="done")).encode()),
        http(json.dumps(listing(queue=ESCAPES)).encode()),
        http(json.dumps(listing(reason=ESCAPES)).encode()),
        http(json.dumps(listing(tags=[ESCAPES])).encode()),
        http(json.dumps(listing(createdAt="9" * 400)).encode()),
        http(json.dumps(listing(durationMs=True)).encode()),
        http(json.dumps({**listing(), "next": "a\r\nb"}).encode()),
    ],
)
def test_a_server_that_answers_nonsense_is_69(elsewhere: Path, answer: bytes) -> None:
    with Hostile(answer) as server:
        done = asked(server, elsewhere, "tasks")
    assert done.code == 69, done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"id": "../../xx"}, {"name": ESCAPES}, {"scopes": [ESCAPES]}, {"state": "good"}, {"role": 1}, {"key": "x"}],
)
def test_a_key_that_none_of_ours_can_be_is_69(elsewhere: Path, wrong: dict[str, Any]) -> None:
    key = {"id": "abcdefgh", "name": "ci", "state": "active", "scopes": ["tasks:read"], "role": None}
    whole = {**key, "createdAt": "2026-11-21T12:00:00.000Z", "key": f"penstock_abcdefgh_{'a' * 43}"}
    with answering(whole, "201 Created") as server:
        assert asked(server, elsewhere, "keys", "create", "ci", "--role", "reader").code == 0
    with answering({**whole, **wrong}, "201 Created") as server:
        done = asked(server, elsewhere, "keys", "create", "ci", "--role", "reader")
        assert (done.code, len(server.requests)) == (69, 1), done.err
    with answering({"keys": [{**whole, **wrong}], "total": 1}) as server:
        assert asked(server, elsewhere, "keys", "list").code == (0 if "key" in wrong else 69)


def test_a_redirect_is_not_followed(elsewhere: Path) -> None:
    with Hostile(b"") as other, answering({}, "302 Found", Location=f"{other.url}/api/v1/tasks") as server:
        done = asked(server, elsewhere, "tasks")
        assert (done.code, "redirects" in done.err) == (65, True)
        assert not other.requests


@pytest.mark.parametrize(
    ("status", "code", "times"),
    [
        ("401 Unauthorized", 77, 1),
        ("403 Forbidden", 77, 1),
        ("429 Too Many Requests", 75, 3),
        ("503 Service Unavailable", 75, 3),
        ("500 Internal Server Error", 70, 1),
        ("502 Bad Gateway", 69, 3),
    ],
)
def test_a_refusal_says_why_in_printable_text(elsewhere: Path, status: str, code: int, times: int) -> None:
    with answering({"error": "x", "message": ESCAPES, "problems": []}, status, Retry_After="0") as server:
        done = asked(server, elsewhere, "tasks")
        assert (done.code, len(server.requests)) == (code, times)


def test_a_server_that_is_not_there_is_69_and_soon(elsewhere: Path) -> None:
    with Hostile(b"") as server:
        url = server.url
    done = Remote(elsewhere, url, "key").penstock("submit", "echo")
    assert (done.code, url in done.err) == (69, True)


def test_what_was_not_answered_is_submitted_again_with_the_same_id(elsewhere: Path) -> None:
    def answer(head: bytes, number: int) -> bytes:
        return b"" if number == 0 else http(json.dumps({"taskId": "mine", "created": True}).encode(), "202 Accepted")

    with Hostile(answer) as server:
        done = asked(server, elsewhere, "submit", "echo", "--id", "mine")
        assert (done.code, done.out) == (0, "mine\n"), done.err
        assert [request.split(b"\r\n")[0] for request in server.requests] == [
            b"POST /api/v1/scripts/echo/execute?async=true HTTP/1.1"
        ] * 2


@pytest.mark.parametrize(
    "command", [("logs", "-f", "a"), ("logs", "-f", "--tail", "9", "a"), ("run", "echo", "--id", "a")]
)
def test_who_follows_comes_again_when_the_server_asks_for_it(elsewhere: Path, command: tuple[str, ...]) -> None:
    """Stream and log are refused at first, with the time after which to come again."""
    refused: set[bytes] = set()
    came_s: dict[bytes, list[float]] = defaultdict(list)
    line = {"taskId": "a", "runId": 0, "source": "stdout", "line": "hi", "time": None}
    done = {"taskId": "a", "runId": 0, "status": "completed"}
    log = f"id: 0.log.1.3\nevent: log\ndata: {json.dumps(line)}\n\n"
    end = f"id: 0.done\nevent: done\ndata: {json.dumps(done)}\n\n"

    def answer(head: bytes, number: int) -> bytes:
        what = head.split()[1].rpartition(b"/")[2]
        came_s[what].append(time.monotonic())
        if what not in refused and what in (b"stream", b"log?run=0"):
            refused.add(what)
            status = "503 Service Unavailable" if what == b"stream" else "429 Too Many Requests"
            return http(b'{"error": "x", "message": "busy", "problems": []}', status, Retry_After="1")
        match what:
            case b"stream":
                seen = b"0.log.1.3" in head
                return http((end if seen else log + end).encode(), Content_Type="text/event-stream")
            case b"log?run=0":
                return http(b"ho\n", "206 Partial Content", Content_Range="bytes 3-5/6")
            case b"execute?async=true":
                return http(json.dumps({"taskId": "a", "created": True}).encode(), "202 Accepted")
        status = "completed" if len(came_s[b"stream"]) > 1 else "running"
        return http(json.dumps(document(status=status, run={"status": status, "logBytes": 6})).encode())

    with Hostile(answer) as server:
        shown = asked(server, elsewhere, *command)
    assert (shown.code, shown.out) == (0, "hi\nho\n"), shown.err
    assert "the server asks to wait" in shown.err
    first, second = came_s[b"stream"][:2]
    assert second - first >= 1.0


def test_who_follows_does_not_wait_for_a_server_that_asks_for_too_long(elsewhere: Path) -> None:
    def answer(head: bytes, number: int) -> bytes:
        if b"/stream" in head:
            return http(b'{"error": "x", "message": "busy"}', "503 Service Unavailable", Retry_After="3600")
        return http(json.dumps(document(status="running", run={"status": "running"})).encode())

    with Hostile(answer) as server:
        shown = asked(server, elsewhere, "logs", "-f", "a")
    assert (shown.code, "busy" in shown.err) == (75, True), shown.err


@pytest.mark.parametrize("name", ["../out.txt", "/etc/x", "a/../../b", "a\x1b[2J", ".", "a//b", ""])
def test_a_name_never_leads_out_of_the_folder(elsewhere: Path, tmp_path: Path, name: str) -> None:
    artifact = {"name": name, "size": 3, "sha256": "0" * 64, "contentType": "text/plain", "public": False}
    with answering(document(run={"artifacts": [artifact]})) as server:
        done = asked(server, elsewhere, "artifacts", "a", "--download", str(tmp_path / "in"))
    assert done.code == 69
    assert not list(tmp_path.rglob("*.txt"))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("body", "code"), [(b"abc", 0), (b"abX", 70), (b"abcd", 69), (b"ab", 69)], ids=["good", "damaged", "more", "less"]
)
def test_an_artifact_is_what_was_recorded_or_is_not_kept(
    elsewhere: Path, tmp_path: Path, body: bytes, code: int
) -> None:
    digest = hashlib.sha256(b"abc").hexdigest()
    artifact = {"name": "public/a.txt", "size": 3, "sha256": digest, "contentType": "text/plain", "public": True}

    def answer(head: bytes, number: int) -> bytes:
        if b"/artifacts/" not in head:
            return http(json.dumps(document(run={"artifacts": [artifact]})).encode())
        assert b"GET /api/v1/tasks/a/artifacts/public/a.txt?run=0 " in head or b"Range" in head.title()
        return http(body)

    with Hostile(answer) as server:
        done = asked(server, elsewhere, "artifacts", "a", "--download", str(tmp_path))
    assert done.code == code, done.err
    kept = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert kept == (["a.txt"] if code == 0 else [])


def test_words_of_a_server_cannot_steer_a_terminal(elsewhere: Path) -> None:
    value = document(message=ESCAPES, payload={"a": ESCAPES}, cancel={"by": ESCAPES, "why": ESCAPES, "at": None})
    with answering(value) as server:
        assert asked(server, elsewhere, "show", "a").code == 0
        assert asked(server, elsewhere, "show", "a", "--json").code == 0
    cancelled = {"taskId": "a", "outcome": "requested", "status": "running", "worker": "w"}
    with answering(cancelled) as server:
        assert asked(server, elsewhere, "cancel", "a").out == "a is ended by its worker w\n"


def schedule(**other: Any) -> dict[str, Any]:
    texts = ("name", "script", "cronExpression", "timezone", "description", "owner", "updatedBy", "file")
    return {
        **dict.fromkeys(texts, f"x{ESCAPES}"),
        **dict.fromkeys(("workflow", "startAt", "endAt", "createdAt", "updatedAt", "nextRunAt")),
        **dict.fromkeys(("lastTaskId", "lastWorkflowRunId", "lastStatus", "target")),
        "payload": {ESCAPES: ESCAPES},
        "enabled": True,
        "overlap": "skip",
        "catchUp": "none",
        "catchUpLimit": 1,
        "jitter": 0,
        "tags": [ESCAPES],
        "source": "store",
        "skipped": 0,
        "missed": 0,
        "lastRunAt": "2026-12-31T23:59:60Z",
        "trouble": {"message": ESCAPES, "at": None},
        "more": ESCAPES,
        **other,
    }


def test_documents_of_a_server_are_cut_checked_and_cannot_steer_a_terminal(elsewhere: Path) -> None:
    with Hostile(http(json.dumps({"schedules": [schedule()], "total": 1}).encode())) as server:
        listed = Remote(elsewhere, server.url).penstock("schedules", "list")
        whole = Remote(elsewhere, server.url).penstock("schedules", "list", "--json")
    assert (listed.code, "\x1b" in listed.out, "owned" in listed.out) == (0, False, True), listed
    assert (whole.code, "\x1b" in whole.out, "more" in whole.json["schedules"][0]) == (0, False, False)
    wrong: tuple[dict[str, Any], ...] = ({"tags": None}, {"lastRunAt": "noon"}, {"skipped": -1}, {"overlap": ESCAPES})
    for other in wrong:
        with Hostile(http(json.dumps(schedule(**other)).encode())) as server:
            shown = Remote(elsewhere, server.url).penstock("schedules", "show", "x")
        assert (shown.code, "does not answer as" in shown.err, "\x1b" in shown.err) == (69, True, False), shown


def test_what_is_approved_is_what_was_shown(elsewhere: Path, tmp_path: Path) -> None:
    """The digest of another declaration is not signed."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key").write_bytes(pem)
    about = {"version": 1, "digest": "0" * 64, "sha256": "0" * 64, "removed": False, "registeredBy": "x"}
    one = {**about, "name": "rotate", "registeredAt": "2026-11-21T12:00:00Z", "declaration": {"body": "echo"}}

    def answer(head: bytes, _: int) -> bytes:
        found = one if b"/versions/1 " in head else {"name": "rotate", "versions": [one]}
        return http(json.dumps(found).encode())

    with Hostile(answer) as server:
        command = ("scripts", "approve", "rotate", "--key-file", str(tmp_path / "key"), "--yes")
        done = Remote(elsewhere, server.url).penstock(*command)
        sent = [head.partition(b" ")[0] for head in server.requests]
    assert (done.code, "digest is not that" in done.err, sent) == (69, True, [b"GET", b"GET"]), done
