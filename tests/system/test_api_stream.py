"""The live stream of a task as its readers see it: a real server, a real worker, the embedded store."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
import redis

from tests.system.conftest import Deployment
from tests.system.http_client import BASE, Api, make_key, running_api
from tests.system.site import eventually, run_folder
from tests.system.sse_client import Event, Stream, read, text

ANY = {"type": "object", "additionalProperties": True}
COMMENT = r"# (HELP|TYPE) penstock_\w+ .+"
SAMPLE = r'penstock_\w+(\{(\w+="[^"\\]*",?)+\})? [0-9.e+-]+'
SAY = """
echo one; echo "data: forged" >&2
printf 'three\\r\\rid: 9.done\\n'
printf 'line\\xe2\\x80\\xa8separator \\xff\\n'
mkdir -p artifacts/public; echo hi > artifacts/public/a.txt; echo hi > artifacts/b.txt
printf 'no newline'; exit 1
"""
# Pieces of unfinished lines are shown before lines of the other stream that end earlier.
MIXED = """
import json, os, sys, time
gate = os.path.join(os.environ["OPEN"], json.load(sys.stdin)["gate"])
def out(fd, data): os.write(fd, data)
out(1, b"begun ")
out(2, b"sad ")
time.sleep(0.6)
out(2, b"end\\n")
time.sleep(0.3)
out(1, b"ended\\n")
for n in range(2000):
    out(1 + n % 2, f"line {n}\\n".encode())
out(1, b"x" * 200_000)
out(1, b"\\n")
out(2, "é".encode() * 40_000 + b"\\n")
while not os.path.exists(gate): time.sleep(0.02)
out(1, b"last\\n")
"""
FLOOD = """
import json, os, sys, time
want = json.load(sys.stdin)
def wait(name):
    while name and not os.path.exists(os.path.join(os.environ["OPEN"], name)): time.sleep(0.02)
wait(want.get("first"))
for n in range(want["lines"]):
    sys.stdout.write(f"{n} " + "y" * want.get("width", 20) + "\\n")
sys.stdout.flush()
wait(want.get("gate"))
print("end", flush=True)
"""


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0, "rateLimit": "none"}}))
    options = {"plugins": {"disabled": ["logHeader"]}, "env": {"OPEN": str(d.home)}, "killGrace": "0s"}
    d.script("say", SAY, ANY, **options)
    d.script("silent", "exit 0", ANY, **options)
    d.script(
        "again",
        "echo run $RUN_ID; exit $((1 - RUN_ID))",
        ANY,
        retries=1,
        retryOn=["exit-code"],
        retryDelay="10ms",
        **options,
    )
    for name, program in (("mixed", MIXED), ("flood", FLOOD)):
        path = d.file(f"scripts/{name}.py", program)
        d.script(name, ["/usr/bin/env", "python3", str(path)], ANY, **options)
    yield from running_api(d)


def start(api: Api, script: str, **payload: object) -> str:
    answer = api.post(f"/scripts/{script}/execute?async=true", {"payload": payload})
    assert answer.status == 202, answer
    task_id: str = answer.json["taskId"]
    return task_id


def log_of(api: Api, task_id: str) -> bytes:
    return api.get(f"/tasks/{task_id}/log").body


def pace(events: list[Event]) -> list[str]:
    """Names and statuses without the log."""
    return [event.data.get("status", event.name) for event in events if event.name != "log"]


def whole(api: Api, task_id: str, events: list[Event]) -> None:
    """It tells every line of the kept log once and in order."""
    lines = [event for event in events if event.name == "log"]
    assert text(events) == log_of(api, task_id).decode("utf-8", "replace")
    numbers = [event.data["seq"] for event in lines if not event.data.get("more")]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_stream_that_is_opened_after_the_end_replays_and_closes(api: Api) -> None:
    task_id = start(api, "say")
    first = read(api, f"/tasks/{task_id}/stream")
    events = read(api, f"/tasks/{task_id}/stream")
    assert pace(events) == ["pending", "running", "failed", "artifact", "artifact", "failed"]
    whole(api, task_id, events)
    for event in events:
        if event.name == "log":
            ours = event.data["line"].startswith("[worker:")
            assert event.data["source"] in (("stderr", "worker") if ours else ("stdout",))
    assert [event.data["name"] for event in events if event.name == "artifact"] == ["b.txt", "public/a.txt"]
    done = events[-1]
    assert (done.name, done.data["exitCode"], done.data["taskId"], done.id) == ("done", 1, task_id, "0.done")
    assert [(event.id, event.name) for event in first] == [(event.id, event.name) for event in events]
    assert read(api, f"/executions/{task_id}/stream") == events


def test_who_resumes_behind_any_event_gets_exactly_the_rest(api: Api) -> None:
    task_id = start(api, "say")
    events = read(api, f"/tasks/{task_id}/stream")
    for number, event in enumerate(events[:-1]):
        assert read(api, f"/tasks/{task_id}/stream", event.id) == events[number + 1 :]
        assert read(api, f"/tasks/{task_id}/stream?since={event.id}") == events[number + 1 :]
    with Stream(api, f"/tasks/{task_id}/stream", events[-1].id) as stream:
        assert stream.status == 204


def test_the_live_view_tells_the_lines_of_the_kept_log(api: Api, shared_deployment: Deployment) -> None:
    task_id = start(api, "mixed", gate="mixed")
    with Stream(api, f"/tasks/{task_id}/stream") as live:
        events = []
        for event in live:
            events.append(event)
            if event.name == "log" and not event.data.get("more") and event.data["line"].endswith("é"):
                assert api.get(f"/tasks/{task_id}").json["status"] == "running"
                (shared_deployment.home / "mixed").touch()
    whole(api, task_id, events)
    kept = read(api, f"/tasks/{task_id}/stream")
    assert [event.id for event in kept] == [event.id for event in events]
    assert [event.data.get("source") for event in kept] == [event.data.get("source") for event in events]


def test_a_reader_resumes_in_the_middle_at_another_server_and_after_a_restart(
    api: Api, shared_deployment: Deployment
) -> None:
    d = shared_deployment
    task_id = start(api, "flood", lines=10_000, gate="resumed")
    other, port = serve(d)
    events: list[Event] = []
    with Stream(api, f"/tasks/{task_id}/stream") as live:
        for event in live:
            events.append(event)
            if len(events) == 3000:
                break
    elsewhere = Api(api.host, port, api.key)
    with Stream(elsewhere, f"/tasks/{task_id}/stream", events[-1].id) as live:
        for event in live:
            events.append(event)
            if len(events) == 6000:
                other.send_signal(signal.SIGTERM)  # a running stream holds no server up
                assert other.wait(5) == 0
    assert events[-1].name == "log", "it was cut off in the middle"
    with Stream(api, f"/tasks/{task_id}/stream", events[-1].id) as live:
        (d.home / "resumed").touch()
        events.extend(live)
    assert pace(events) == ["pending", "running", "completed", "completed"]
    whole(api, task_id, events)


def serve(d: Deployment) -> tuple[subprocess.Popen[bytes], int]:
    process = d.start("api", "--port", "0")
    found = re.search(rb"http://[0-9.]+:([0-9]+)", process.stdout.readline())  # type: ignore[union-attr]
    assert found
    return process, int(found[1])


def test_a_log_larger_than_the_live_view_is_told_whole_while_it_grows(api: Api, shared_deployment: Deployment) -> None:
    task_id = start(api, "flood", lines=30_000, width=200, gate="large")
    log = shared_deployment.home / ".penstock" / "spool"
    eventually(lambda: [p for p in log.glob(f"*/{task_id}-0-*.txt") if p.stat().st_size > 6_000_000], "6 MB")
    with Stream(api, f"/tasks/{task_id}/stream") as late:
        events = []
        for event in late:
            events.append(event)
            if event.data.get("seq") == 30_000:
                (shared_deployment.home / "large").touch()
    whole(api, task_id, events)


def test_a_reader_that_takes_nothing_costs_little_and_holds_up_nobody(api: Api, shared_deployment: Deployment) -> None:
    server = next(p for p in psutil.process_iter(["cmdline"]) if _serves(p, shared_deployment.home))
    task_id = start(api, "flood", lines=30_000, width=200, first="stuck")
    before = server.memory_info().rss
    request = f"GET {BASE}/tasks/{task_id}/stream HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.key}\r\n\r\n"
    with ExitStack() as stuck:
        for _ in range(20):
            connection = stuck.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((api.host, api.port))
            connection.sendall(request.encode())
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        with Stream(api, f"/tasks/{task_id}/stream") as live:
            (shared_deployment.home / "stuck").touch()
            events = list(live)
        whole(api, task_id, events)
        # 9 MB for each of them, if it waited here.
        assert server.memory_info().rss - before < 60_000_000


def _serves(process: psutil.Process, home: Path) -> bool:
    line = process.info["cmdline"] or []
    return "api" in line and str(home) in line and "--port" not in line


def test_an_answer_comes_before_any_event(api: Api, shared_deployment: Deployment) -> None:
    task_id = start(api, "silent")
    assert api.with_key(None).get(f"/tasks/{task_id}/stream").error == (401, "unauthorized")
    assert api.get("/tasks/none/stream").error[0] == 404
    blind = make_key(shared_deployment, "blind", "tasks:read", "scripts:read:say")
    assert api.with_key(blind).get(f"/tasks/{task_id}/stream").error[0] == 404
    for wrong in ("x", "0.log.1", "5.pending", "0.done\r\nX: y", "0.log.٣.1", "9" * 90, "9" * 101):
        assert api.get(f"/tasks/{task_id}/stream?since={quote(wrong)}").error[0] == 400
    assert api.get(f"/tasks/{task_id}/stream", Last_Event_ID="nonsense").error == (400, "invalid-event-id")
    assert api.get("/events?since=yesterday").error == (400, "invalid-event-id")
    assert api.with_key(None).get("/events").error == (401, "unauthorized")


def test_a_task_with_two_runs_is_one_stream(api: Api) -> None:
    task_id = start(api, "again")
    events = read(api, f"/tasks/{task_id}/stream")
    assert pace(events) == ["pending", "running", "failed", "pending", "running", "completed", "completed"]
    assert [event.data["runId"] for event in events] == sorted(event.data["runId"] for event in events)
    assert [event.data["line"] for event in events if event.data.get("source") == "stdout"] == ["run 0", "run 1"]
    assert (events[-1].id, events[-1].data["runId"]) == ("1.done", 1)
    for number, event in enumerate(events[:-1]):
        assert read(api, f"/tasks/{task_id}/stream", event.id) == events[number + 1 :]


def test_a_log_that_is_gone_is_told_as_a_gap(api: Api, shared_deployment: Deployment) -> None:
    task_id = start(api, "say")
    events = read(api, f"/tasks/{task_id}/stream")
    size = api.get(f"/tasks/{task_id}").json["logBytes"]
    (run_folder(shared_deployment.home / ".penstock", task_id) / "log.txt").unlink()
    # The live view has it for some minutes, and tells the same.
    assert read(api, f"/tasks/{task_id}/stream") == events
    with redis.Redis(unix_socket_path=str(shared_deployment.home / ".penstock/store/store.sock")) as store:
        assert store.delete(f"penstock:log:{task_id}:0") == 1
    told = read(api, f"/tasks/{task_id}/stream")
    assert pace(told) == ["pending", "running", "gap", "failed", "artifact", "artifact", "failed"]
    assert told[2].data == {"runId": 0, "lostBytes": size}


def test_the_events_of_all_tasks_come_to_who_may_read_them(api: Api, shared_deployment: Deployment) -> None:
    key = make_key(shared_deployment, "some", "tasks:read", "scripts:read:say")
    with Stream(api, "/events") as everything, Stream(api, "/events", key=key) as some:
        all_events, some_events = iter(everything), iter(some)
        begin = next(all_events)
        assert (begin.name, next(some_events).name) == ("hello", "hello")
        hidden, shown = start(api, "silent"), start(api, "say")
        seen = _until(all_events, {hidden, shown})
        assert {event.data["taskId"] for event in seen} >= {hidden, shown}
        assert [event.data["taskId"] for event in _until(some_events, {shown})] == [shown] * 3
    of_shown = [event for event in seen if event.data["taskId"] == shown]
    assert [event.data["kind"] for event in of_shown] == ["registered", "claimed", "resolved"]
    with Stream(api, "/events", begin.id) as again:
        events = iter(again)
        assert next(events).id == begin.id
        assert _until(events, {hidden, shown})[: len(seen)] == seen
    with Stream(api, f"/events?since={seen[1].id}") as rest:
        events = iter(rest)
        assert next(events).name == "hello"
        assert next(events) == seen[2]


def test_who_comes_too_late_for_some_events_is_told(api: Api) -> None:
    start(api, "silent")
    with Stream(api, "/events", "1-0") as late:
        events = iter(late)
        assert [next(events).name for _ in range(3)] == ["hello", "gap", "task"]


def test_metrics_count_tasks_requests_and_readers_by_names_that_are_ours(
    api: Api, shared_deployment: Deployment
) -> None:
    task_id = start(api, "silent")
    read(api, f"/tasks/{task_id}/stream")
    api.send("BREW", "/pots/" + quote('"}\n1'))
    with Stream(api, "/events") as stream:
        next(iter(stream))
        answer = api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = answer.body.decode()
    for line in found.splitlines():
        assert re.fullmatch(COMMENT if line.startswith("#") else SAMPLE, line), line
    values = dict(line.rsplit(" ", 1) for line in found.splitlines() if not line.startswith("#"))
    assert float(values['penstock_tasks{script="silent",status="completed"}']) >= 1
    assert values['penstock_tasks{script="say",status="pending"}'] == "0"
    assert values['penstock_stream_readers{kind="events"}'] == "1"
    assert float(values['penstock_queue_messages{queue="penstock"}']) == 0
    assert values["penstock_workers"] == "1"
    assert 'penstock_http_requests_total{method="other",route="none",status="404"}' in values
    route = "/api/v1/tasks/{task_id}/stream"
    assert f'penstock_http_requests_total{{method="GET",route="{route}",status="200"}}' in values
    assert not [name for name in values if task_id in name or "pots" in name]
    timed = 'penstock_http_request_duration_seconds_count{method="POST",route="/api/v1/scripts/{name}/execute"}'
    assert float(values[timed]) >= 1
    assert api.with_key(None).get("/metrics").error == (401, "unauthorized")
    blind = make_key(shared_deployment, "no metrics", "tasks:read")
    assert api.with_key(blind).get("/metrics").error == (403, "not-allowed")


def _until(events: Iterator[Event], tasks: set[str]) -> list[Event]:
    """Those up to the end of these tasks."""
    found = []
    left = set(tasks)
    while left:
        event = next(events)
        found.append(event)
        if event.data["status"] not in ("pending", "running"):
            left.discard(event.data["taskId"])
    return found
