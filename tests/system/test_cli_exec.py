"""`penstock exec`: a script run by the engine alone, without any server."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path

import psutil
import pytest

from tests.system.conftest import UUID, Deployment, finish
from tests.system.site import eventually

ANY = {"type": "object", "additionalProperties": True}
TYPED = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "flag": {"type": "boolean"},
        "list": {"type": "array"},
        "either": {"type": ["integer", "string"]},
        "level": {"enum": [1, 2, 3]},
        "nothing": {"type": "null"},
        "in": {"$ref": "#/$defs/inner"},
        "a.b": {"type": "string"},
        "a": {"type": "object", "additionalProperties": True},
        "password": {"type": "string", "writeOnly": True},
    },
    "$defs": {
        "inner": {
            "type": "object",
            "properties": {"deep": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        }
    },
}


def stdin_of(deployment: Deployment, *arguments: str | bytes, stdin: bytes = b"") -> str:
    """What the command read, which it prints."""
    deployment.script("echo", "cat", TYPED, plugins={"disabled": ["logHeader"]})
    done = deployment.penstock("exec", "echo", *arguments, stdin=stdin)
    assert done.code == 0, done.err
    return done.out.removesuffix("\n")


def test_the_log_goes_to_stdout_and_the_ending_to_stderr(deployment: Deployment) -> None:
    deployment.script("say", "echo out; echo err >&2; echo x > artifacts/kept.txt", plugins={"disabled": ["logHeader"]})
    done = deployment.penstock("exec", "say")
    assert done.code == 0
    assert sorted(done.out.splitlines()) == ["[worker:error] err", "out"]
    assert "completed" in done.err
    assert "kept.txt" in done.err
    assert "\x1b" not in done.out + done.err


def test_json_is_one_document_on_stdout_with_the_log_on_stderr(deployment: Deployment) -> None:
    deployment.script("say", "echo out; mkdir artifacts/public; printf hello > artifacts/public/a.txt; exit 1")
    done = deployment.penstock("exec", "say", "--json", "--run-id", "7")
    assert done.code == 1
    document = done.json
    assert UUID.match(document.pop("taskId"))
    assert document.pop("durationMs") >= 0
    assert document.pop("logBytes") == len(done.err.encode())
    assert document == {
        "runId": 7,
        "script": "say",
        "status": "failed",
        "reason": "exit-code",
        "message": "the command ended with exit code 1",
        "exitCode": 1,
        "signal": None,
        "logTruncated": False,
        "artifacts": [
            {
                "name": "public/a.txt",
                "size": 5,
                "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
                "contentType": "text/plain",
                "public": True,
            }
        ],
    }
    assert "out\n" in done.err


@pytest.mark.parametrize(
    ("ending", "code", "status", "reason"),
    [
        ("exit 0", 0, "completed", None),
        ("exit 1", 1, "failed", "exit-code"),
        ("exit 2", 2, "exception", "malformed-payload"),
        ("exit 3", 3, "exception", "internal-error"),
        ("exit 4", 4, "exception", "internal-error"),
        ("exit 5", 3, "exception", "internal-error"),
        ("kill -9 $$", 3, "exception", "internal-error"),
    ],
)
def test_the_exit_code_is_that_of_the_table(
    deployment: Deployment, ending: str, code: int, status: str, reason: str | None
) -> None:
    deployment.script("end", ending)
    done = deployment.penstock("exec", "end", "--json")
    assert (done.code, done.json["status"], done.json["reason"]) == (code, status, reason)


def test_a_time_limit_is_exit_code_124(deployment: Deployment) -> None:
    deployment.script("slow", "sleep 60", maxRunTime="100ms", killGrace=0)
    done = deployment.penstock("exec", "slow", "--json")
    assert (done.code, done.json["status"], done.json["reason"]) == (124, "timeout", "max-run-time")


def test_exit_codes_of_another_map_are_told_by_their_meaning(deployment: Deployment) -> None:
    deployment.script("plain", "exit 4", exitCodes="plain")
    assert deployment.penstock("exec", "plain").code == 1
    deployment.script("shutdown", "exit 2", exitCodes="scriptworker")
    assert deployment.penstock("exec", "shutdown").code == 75


def test_a_refused_payload_is_65_and_every_violation_is_told(deployment: Deployment) -> None:
    deployment.script("echo", "cat", TYPED)
    done = deployment.penstock("exec", "echo", "-p", "count=x", "-p", "unknown=1", "--json")
    assert done.code == 65
    assert (done.json["status"], done.json["reason"], done.json["exitCode"]) == (
        "exception",
        "malformed-payload",
        None,
    )
    assert "/count" in done.err
    assert "/unknown" in done.err


def test_values_are_typed_by_the_schema(deployment: Deployment) -> None:
    given = ["text=5", "count=5", "ratio=0.5", "flag=true", "list=[1]", "either=5", "level=2", "nothing=null"]
    sent = json.loads(stdin_of(deployment, *(part for each in given for part in ("-p", each))))
    assert sent == {
        "text": "5",
        "count": 5,
        "ratio": 0.5,
        "flag": True,
        "list": [1],
        "either": "5",
        "level": 2,
        "nothing": None,
    }


def test_colon_equals_forces_json(deployment: Deployment) -> None:
    assert stdin_of(deployment, "-p", "either:=5", "-p", 'text:="@x"') == '{"either":5,"text":"@x"}'


def test_a_dot_leads_into_an_object_unless_the_key_is_declared(deployment: Deployment) -> None:
    sent = stdin_of(deployment, "-p", "in.deep.n=1", "-p", "a.b=2", "-p", "a.c=3")
    assert json.loads(sent) == {"in": {"deep": {"n": 1}}, "a.b": "2", "a": {"c": "3"}}


def test_parameters_lie_over_the_payload(deployment: Deployment) -> None:
    file = deployment.file("payload.json", '{"text": "a", "count": 1, "in": {"deep": {"n": 1}}}')
    sent = stdin_of(deployment, "--payload", str(file), "-p", "count=2", "-p", "in.deep.n=3")
    assert json.loads(sent) == {"text": "a", "count": 2, "in": {"deep": {"n": 3}}}


def test_large_integers_and_unicode_arrive_unharmed(deployment: Deployment) -> None:
    large = 2**70 + 1
    assert stdin_of(deployment, "-p", f"count={large}", "-p", "text=zażółć 🐢") == (
        f'{{"count":{large},"text":"zażółć 🐢"}}'
    )
    assert stdin_of(deployment, "--payload", "-", stdin=f'{{"count": {large}}}'.encode()) == f'{{"count":{large}}}'


@pytest.mark.parametrize(
    "value", ["$(touch pwned)", "`touch pwned`", "'; touch pwned; '", "a\nb", "a\x1b]0;t\x07", "-n", ""]
)
def test_hostile_values_stay_text(deployment: Deployment, value: str) -> None:
    assert json.loads(stdin_of(deployment, "-p", f"text={value}")) == {"text": value}
    assert not list(deployment.home.rglob("pwned"))


@pytest.mark.parametrize(
    "text", ['1,"x":2', "1}{", '1},"count":{', "", "NaN", "1e999", '{"a":1,"a":2}', '1,"":2', "[" * 1000]
)
def test_what_is_not_exactly_one_json_value_is_refused(deployment: Deployment, text: str) -> None:
    deployment.script("echo", "cat", ANY)
    done = deployment.penstock("exec", "echo", "-p", f"x:={text}")
    assert done.code == 65
    assert done.err.startswith("penstock: error: ")
    assert done.out == ""


def test_a_value_can_come_from_a_file_or_from_stdin(deployment: Deployment) -> None:
    file = deployment.file("secret", "s3cret\n")
    assert json.loads(stdin_of(deployment, "-p", f"text=@{file}")) == {"text": "s3cret"}
    assert json.loads(stdin_of(deployment, "-p", "text=@-", stdin=b"from stdin\n\n")) == {"text": "from stdin\n"}


def test_a_secret_is_not_repeated_when_it_is_refused(deployment: Deployment) -> None:
    deployment.script(
        "echo", "cat", {"type": "object", "properties": {"password": {"type": "integer", "writeOnly": True}}}
    )
    done = deployment.penstock("exec", "echo", "-p", "password=hunter2")
    assert done.code == 65
    assert "hunter2" not in done.out + done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("-p", "novalue"),
        ("-p", "=x"),
        ("-p", "text=a", "-p", "text=b"),
        ("-p", "text=@-", "--payload", "-"),
        ("-p", "text=@-", "-p", "count=@-"),
        ("-p", "in:=1", "-p", "in.deep.n=1"),
        ("--run-id", "-1"),
        ("--task-id", "../x"),
        ("--nonsense",),
    ],
)
def test_wrong_usage_is_64(deployment: Deployment, arguments: tuple[str, ...]) -> None:
    deployment.script("echo", "cat", TYPED)
    done = deployment.penstock("exec", "echo", *arguments)
    assert done.code == 64
    assert done.err.startswith("penstock: error: ")
    assert done.out == ""


def test_a_file_that_is_not_there_is_66(deployment: Deployment) -> None:
    deployment.script("echo", "cat", ANY)
    assert deployment.penstock("exec", "echo", "--payload", "nowhere.json").code == 66
    assert deployment.penstock("exec", "echo", "-p", "a=@nowhere").code == 66


def test_bytes_that_are_not_utf8_are_refused(deployment: Deployment) -> None:
    deployment.script("echo", "cat", TYPED)
    assert deployment.penstock("exec", "echo", "-p", b"text=\xff").code == 65
    assert deployment.penstock("exec", "echo", "--payload", "-", stdin=b'{"text":"\xff"}').code == 65
    deployment.home.joinpath("latin").write_bytes(b"\xff")
    assert deployment.penstock("exec", "echo", "-p", "text=@latin").code == 65


def test_more_than_the_limit_is_refused_without_being_read(deployment: Deployment) -> None:
    deployment.script("echo", "cat", ANY, limits={"payloadBytes": 1000})
    done = deployment.penstock("exec", "echo", "--payload", "/dev/zero")
    assert done.code == 65
    assert "1000" in done.err


def test_an_unknown_script_is_64_and_a_near_one_is_named(deployment: Deployment) -> None:
    deployment.script("sign-file", "true")
    done = deployment.penstock("exec", "sing-file")
    assert done.code == 64
    assert "did you mean sign-file?" in done.err
    assert deployment.penstock("exec", "../../etc/passwd").code == 64


def test_another_script_that_is_broken_is_no_obstacle(deployment: Deployment) -> None:
    deployment.script("good", "true")
    deployment.file("config/scripts/bad.yaml", "command: [")
    assert deployment.penstock("exec", "good").code == 0
    done = deployment.penstock("exec", "bad")
    assert done.code == 65
    assert "bad.yaml:1:" in done.err


def test_servers_need_neither_run_nor_be_named_rightly(deployment: Deployment) -> None:
    deployment.script("good", "true")
    assert deployment.penstock("exec", "good", env={"PENSTOCK_BROKER_URL": "nonsense"}).code == 0


def test_keep_takes_the_artifacts_and_refuses_a_file(deployment: Deployment) -> None:
    deployment.script("make", "mkdir artifacts/public; echo hi > artifacts/public/a.txt")
    assert deployment.penstock("exec", "make", "--keep", "out").code == 0
    assert (deployment.home / "out/public/a.txt").read_text() == "hi\n"
    deployment.file("occupied", "x")
    assert deployment.penstock("exec", "make", "--keep", "occupied").code == 73
    assert (deployment.home / "occupied").read_text() == "x"


def test_log_takes_the_whole_log_into_a_private_file(deployment: Deployment) -> None:
    deployment.script("say", "echo out; printf err >&2", plugins={"disabled": ["logHeader"]})
    done = deployment.penstock("exec", "say", "--json", "--log", "run.log")
    log = deployment.home / "run.log"
    assert sorted(log.read_text().splitlines()) == ["[worker:error] err", "out"]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert done.err == ""
    assert deployment.penstock("exec", "say", "--log", "nowhere/run.log").code == 73


def test_raw_bytes_reach_a_pipe_as_they_are(deployment: Deployment) -> None:
    deployment.script("raw", r"printf '\033]0;title\007\000\377\n'", plugins={"disabled": ["logHeader"]})
    with deployment.start("exec", "raw") as process:
        out, _ = process.communicate(timeout=30)
    assert out == b"\x1b]0;title\x07\x00\xff\n"


def test_dry_run_belongs_to_its_plugin(deployment: Deployment) -> None:
    deployment.script("echo", 'cat; echo; echo "dry=$DRY_RUN"', {"type": "object"})
    done = deployment.penstock("exec", "echo", "-p", "dryRun=true")
    assert done.code == 0, done.err
    assert "{}\ndry=true\n" in done.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_exec_ends_all_that_it_started(deployment: Deployment, number: signal.Signals) -> None:
    # The inner process leaves the session and ignores what asks it to end.
    inner_program = (
        "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.setsid(); "
        "print(os.getpid(), flush=True); time.sleep(60)"
    )
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner_program!r}])"
    command = [sys.executable, "-c", program]
    deployment.script("stay", command, killGrace="100ms", plugins={"disabled": ["logHeader"]})
    process = deployment.start("exec", "stay")
    assert process.stdout is not None
    inner = int(process.stdout.readline())
    process.send_signal(number)
    done = finish(process)
    assert done.code == 130
    assert "cancelled" in done.err
    eventually(lambda: not psutil.pid_exists(inner), "the end of the inner process", 5)


def test_nothing_is_left_of_a_run(deployment: Deployment) -> None:
    deployment.script("mess", "mkdir -p a/b; touch a/b/c; chmod 0 a/b; exit 1")
    deployment.penstock("exec", "mess")
    assert list((deployment.home / ".penstock").iterdir()) == []


def test_a_reader_that_goes_away_does_not_change_how_the_run_ends(deployment: Deployment) -> None:
    deployment.script("flood", "i=0; while [ $i -lt 20000 ]; do echo line; i=$((i+1)); done; exit 1")
    process = deployment.start("exec", "flood")
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr is not None
    process.stderr.close()


def test_a_state_folder_that_cannot_be_written_is_no_obstacle(deployment: Deployment) -> None:
    deployment.script("good", "true")
    deployment.file("config/penstock.yaml", "stateDir: /proc/nowhere")
    assert deployment.penstock("exec", "good").code == 0


def test_the_command_sees_its_ids_and_nothing_of_ours(deployment: Deployment) -> None:
    deployment.script("env", ["/usr/bin/env"], plugins={"disabled": ["logHeader"]})
    done = deployment.penstock("exec", "env", "--task-id", "mine", "--run-id", "3", env={"SECRET": "x"})
    assert sorted(done.out.split()) == ["RUN_ID=3", "TASK_ID=mine"]


def test_the_log_keeps_the_limits_of_the_script(deployment: Deployment) -> None:
    deployment.script("flood", "yes | head -c 100000", limits={"logBytes": 10000})
    done = deployment.penstock("exec", "flood", "--json", "--log", os.devnull)
    assert done.json["logTruncated"] is True
    assert done.json["logBytes"] < 12000


def test_a_relative_home_is_fine(deployment: Deployment, tmp_path: Path) -> None:
    deployment.script("good", "true")
    other = Deployment(Path(os.path.relpath(deployment.home, tmp_path)))
    assert other.penstock("exec", "good", cwd=tmp_path).code == 0
