"""Tasks from the terminal, with one `penstock up` for all tests of this file."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.system.conftest import UUID, Deployment, finish, running_up

pytestmark = pytest.mark.xdist_group("cli-tasks")

QUIET = {"plugins": {"disabled": ["logHeader"]}}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")


@pytest.fixture(scope="module")
def site(shared_deployment: Deployment) -> Iterator[Deployment]:
    site = shared_deployment
    any_object = {"type": "object", "additionalProperties": True}
    typed = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "count": {"type": "integer"},
            "token": {"type": "string", "writeOnly": True},
        },
    }
    site.file("config/penstock.yaml", "worker: {shutdownGrace: 300ms, queues: [penstock]}\n")
    site.script("echo", "cat", typed, **QUIET)
    site.script("end", 'read -r p; eval "exit ${p#*:}"', any_object, exitCodes="declarative")
    site.script("slow", "echo begun; sleep 60", maxRunTime="300ms", killGrace=0)
    site.script("stay", "echo begun; echo second; sleep 60", killGrace=0, **QUIET)
    site.script("off", "true", enabled=False)
    site.script("elsewhere", "true", queue="nobody-consumes-this")
    site.script(
        "make", "mkdir artifacts/public; echo hi > artifacts/public/a.txt; printf x > 'artifacts/b c.bin'", **QUIET
    )
    site.script("lines", "for i in 1 2 3 4 5; do echo line $i; done; echo bad >&2", **QUIET)
    site.script("flood", "yes 0123456789abcdef | head -n 200000; sleep 0.2; echo end", **QUIET)
    site.script(
        "huge-log",
        [sys.executable, "-c", "import sys; sys.stdout.buffer.write(bytes(range(256)) * 100 + b'\\n')"],
        **QUIET,
    )
    for code in range(6):
        site.script(f"exit-{code}", f"exit {code}")
    yield site


@pytest.fixture(scope="module", autouse=True)
def up(site: Deployment) -> Iterator[subprocess.Popen[bytes]]:
    yield from running_up(site)


def test_submit_prints_the_id_and_the_task_runs(site: Deployment) -> None:
    done = site.penstock("submit", "echo", "-p", "text=hello", "--tag", "a", "--tag", "b")
    assert done.code == 0
    task_id = done.out.strip()
    assert UUID.match(task_id)
    assert site.penstock("logs", "-f", task_id).out == '{"text":"hello"}\n'
    shown = site.penstock("show", task_id, "--json").json
    assert (shown["status"], shown["tags"], shown["trigger"]) == ("completed", ["a", "b"], "cli")


def test_submit_json_says_whether_the_task_is_new(site: Deployment) -> None:
    first = site.penstock("submit", "echo", "--id", "once", "--json").json
    assert first == {"taskId": "once", "script": "echo", "created": True, "published": True}
    assert site.penstock("submit", "echo", "--id", "once", "--json").json["created"] is False
    other = site.penstock("submit", "echo", "--id", "once", "-p", "text=other")
    assert other.code == 65
    assert "conflict" in other.err


def test_a_refused_payload_is_65_with_every_violation_and_leaves_no_task(site: Deployment) -> None:
    before = site.penstock("tasks", "--json").json["total"]
    for command in ("submit", "run"):
        done = site.penstock(command, "echo", "-p", "count=x", "-p", "nonsense=1", "-p", "token:=1")
        assert done.code == 65
        assert done.out == ""
        assert [line.split(": ")[2] for line in sorted(done.err.splitlines())] == ["/count", "/nonsense", "/token"]
    assert site.penstock("tasks", "--json").json["total"] == before


def test_a_disabled_script_is_77(site: Deployment) -> None:
    assert site.penstock("submit", "off").code == 77
    assert site.penstock("run", "off").code == 77


@pytest.mark.parametrize("task_id", ["../x", "a/b", "", "a\nb", ".hidden", "x" * 65])
def test_a_hostile_id_is_refused_everywhere(site: Deployment, task_id: str) -> None:
    assert site.penstock("submit", "echo", "--id", task_id).code == 64
    for command in ("show", "logs", "artifacts"):
        done = site.penstock(command, "--", task_id)
        assert done.code == 66
        assert len(done.err.splitlines()) == 1


def test_unknown_ids_and_runs_are_66(site: Deployment) -> None:
    assert site.penstock("show", "no-such-task").code == 66
    site.penstock("run", "echo", "--id", "one-run", "-q")
    assert site.penstock("logs", "one-run", "--run", "1").code == 66
    assert site.penstock("artifacts", "one-run", "nothing").code == 66


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (2, 2), (3, 3), (5, 3)])
def test_run_ends_with_the_code_of_the_command(site: Deployment, code: int, expected: int) -> None:
    done = site.penstock("run", f"exit-{code}", "--json")
    assert (done.code, done.json["exitCode"]) == (expected, code)


def test_run_shows_the_log_then_status_and_artifacts(site: Deployment) -> None:
    done = site.penstock("run", "make")
    assert (done.code, done.out) == (0, "")
    assert "completed" in done.err
    assert "public/a.txt" in done.err
    assert "sha256:98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4" in done.err
    quiet = site.penstock("run", "lines", "-q")
    assert sorted(quiet.out.splitlines()) == ["[worker:error] bad", *(f"line {i}" for i in range(1, 6))]
    assert quiet.err == ""


def test_run_json_and_show_json_have_the_fields_of_exec_and_the_record(site: Deployment) -> None:
    executed = site.penstock("exec", "make", "--json").json
    done = site.penstock("run", "make", "--json", "--tag", "x")
    ran = done.json
    assert list(ran)[: len(executed)] == list(executed)
    for key in ("script", "status", "reason", "exitCode", "signal", "artifacts", "logBytes", "logTruncated"):
        assert ran[key] == executed[key], key
    assert ran == site.penstock("show", ran["taskId"], "--json").json
    assert TIME.match(ran["createdAt"])
    assert TIME.match(ran["finishedAt"])
    assert (ran["queue"], ran["tags"], ran["dryRun"], ran["payload"]) == ("penstock", ["x"], False, {})
    (run,) = ran["runs"]
    assert (run["runId"], run["status"], run["artifacts"]) == (0, "completed", ran["artifacts"])
    assert TIME.match(run["startedAt"])


def test_secrets_are_masked_in_what_is_shown(site: Deployment) -> None:
    secret = site.file("token.txt", "hunter2\n")
    done = site.penstock("run", "echo", "-p", f"token=@{secret}", "--no-follow", "--json")
    assert done.json["payload"] == {"token": "***"}
    assert "hunter2" not in done.out + site.penstock("show", done.json["taskId"]).out


def test_large_integers_unicode_and_newlines_reach_the_command(site: Deployment) -> None:
    done = site.penstock("run", "echo", "-p", f"count={2**70}", "-p", "text=ż\n🐢 $(touch pwned)")
    assert json.loads(done.out) == {"count": 2**70, "text": "ż\n🐢 $(touch pwned)"}
    assert not list(site.home.rglob("pwned"))


def test_every_byte_of_a_log_arrives(site: Deployment) -> None:
    with site.start("run", "huge-log", "-q") as process:
        out, _ = process.communicate(timeout=60)
    assert out == bytes(range(256)) * 100 + b"\n"


def test_a_log_that_is_faster_than_its_reader_is_complete_and_in_order(site: Deployment) -> None:
    with site.start("run", "flood", "-q") as process:
        out, _ = process.communicate(timeout=60)
    assert out == b"0123456789abcdef\n" * 200_000 + b"end\n"


def test_no_follow_waits_without_the_log(site: Deployment) -> None:
    done = site.penstock("run", "exit-1", "--no-follow")
    assert (done.code, done.out) == (1, "")
    assert "failed" in done.err


def test_a_time_limit_is_124(site: Deployment) -> None:
    done = site.penstock("run", "slow", "--json")
    assert (done.code, done.json["status"], done.json["reason"]) == (124, "timeout", "max-run-time")


def test_timeout_stops_the_waiting_and_not_the_task(site: Deployment) -> None:
    done = site.penstock("run", "elsewhere", "--timeout", "0.2", "--id", "left-alone")
    assert done.code == 75
    assert "penstock show left-alone" in done.err
    assert site.penstock("show", "left-alone", "--json").json["status"] == "pending"


def test_a_task_that_nobody_takes_is_said_to_wait(site: Deployment) -> None:
    process = site.start("run", "elsewhere")
    assert process.stderr is not None
    assert b"task " in process.stderr.readline()
    assert b"waiting for a worker of the queue nobody-consumes-this" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 130


def test_ctrl_c_leaves_the_task_alone_and_says_how_to_look_at_it(site: Deployment) -> None:
    process = site.start("run", "stay", "--id", "goes-on")
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.code == 130
    assert "penstock logs -f goes-on" in done.err
    shown = site.penstock("show", "goes-on", "--json").json
    assert (shown["status"], shown["finishedAt"], shown["exitCode"]) == ("running", None, None)
    # What there is so far, with the run still going on.
    assert site.penstock("logs", "goes-on").out == "begun\nsecond\n"
    assert site.penstock("logs", "goes-on", "--tail", "1").out == "second\n"
    follower = site.start("logs", "-f", "--tail", "1", "goes-on")
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"second\n"
    follower.send_signal(signal.SIGINT)
    assert finish(follower).code == 130


def test_logs_prints_the_kept_log_and_its_tail(site: Deployment) -> None:
    site.penstock("run", "lines", "--id", "some-lines", "-q")
    assert len(site.penstock("logs", "some-lines").out.splitlines()) == 6
    assert len(site.penstock("logs", "some-lines", "--tail", "2").out.splitlines()) == 2
    assert site.penstock("logs", "some-lines", "--tail", "0").out == ""
    assert site.penstock("logs", "-f", "some-lines").out == site.penstock("logs", "some-lines").out


def test_artifacts_are_listed_and_downloaded_and_verified(site: Deployment) -> None:
    site.penstock("run", "make", "--id", "makes", "-q")
    listed = site.penstock("artifacts", "makes")
    assert "public/a.txt" in listed.out
    assert "b c.bin" in listed.out
    done = site.penstock("artifacts", "makes", "--download", "out", "--json")
    assert [a["name"] for a in done.json["artifacts"]] == ["b c.bin", "public/a.txt"]
    assert (site.home / "out/public/a.txt").read_text() == "hi\n"
    assert site.penstock("artifacts", "makes", "--download", "one", "public/a.txt").code == 0
    assert sorted(p.name for p in (site.home / "one").rglob("*")) == ["a.txt", "public"]
    (kept,) = (site.home / ".penstock/artifacts").rglob("makes/artifacts/public/a.txt")
    kept.write_text("no\n")
    damaged = site.penstock("artifacts", "makes", "--download", "bad")
    assert damaged.code == 70
    assert not (site.home / "bad/public/a.txt").exists()
    kept.unlink()
    assert site.penstock("artifacts", "makes", "--download", "bad").code == 66
    site.file("occupied", "x")
    assert site.penstock("artifacts", "makes", "--download", "occupied", "b c.bin").code == 73


def test_tasks_are_paged_and_filtered(site: Deployment) -> None:
    for number in range(3):
        site.penstock("run", "exit-1", "--id", f"page-{number}", "-q")
    first = site.penstock("tasks", "--script", "exit-1", "--status", "failed", "--limit", "2", "--json").json
    assert [task["taskId"] for task in first["tasks"]] == ["page-2", "page-1"]
    assert first["total"] >= 3
    second = site.penstock("tasks", "--script", "exit-1", "--limit", "2", "--before", first["next"], "--json").json
    assert second["tasks"][0]["taskId"] == "page-0"
    assert site.penstock("tasks", "--before", "x'y").code == 64
    table = site.penstock("tasks", "--script", "exit-1", "--limit", "1").out
    assert table.splitlines()[1].split()[:4] == ["page-2", "exit-1", "failed", "exit-code"]
    assert site.penstock("tasks", "--script", "no-such", "--json").json == {"tasks": [], "total": 0, "next": None}


def test_show_is_readable(site: Deployment) -> None:
    site.penstock("run", "make", "--id", "readable", "-q")
    out = site.penstock("show", "readable").out
    assert "status:   completed" in out
    assert "run 0: completed" in out
    assert "public/a.txt" in out


def test_a_server_that_is_not_there_ends_a_run_with_69(site: Deployment) -> None:
    assert site.penstock("run", "stay", "-q", env={"PENSTOCK_BROKER_URL": "redis://127.0.0.1:1"}).code == 69


def test_the_log_of_a_run_that_wrote_nothing_is_kept_in_its_record(site: Deployment) -> None:
    ran = site.penstock("run", "exit-0", "--id", "silent")
    assert ran.out.startswith("[worker:info] script exit-0, task silent, run 0")
    logs = site.penstock("logs", "silent")
    assert logs.out == ran.out
    assert len(logs.out) == site.penstock("show", "silent", "--json").json["logBytes"]
    assert list((site.home / ".penstock/artifacts").rglob("silent")) == []
