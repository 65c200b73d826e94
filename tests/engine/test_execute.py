"""A command's interface, played by real programs: what it gets, and what its end means."""

from __future__ import annotations

import json
import resource
import signal
import sys
from pathlib import Path

import pytest

from engine.exits import COMPLETED, FAILED, INTERNAL, PLAIN, SCRIPTWORKER, ExitMap
from engine.process.abort import Abort
from engine.script import EnvFromPayload, Limits, PluginSettings
from tests.engine.conftest import CHILDREN, Engine

MIB = 1024 * 1024


def child(name: str) -> list[str]:
    return [sys.executable, "-I", str(CHILDREN / name)]


@pytest.mark.parametrize(
    ("code", "status", "reason", "drains"),
    [
        (0, "completed", None, False),
        (1, "failed", "exit-code", False),
        (2, "exception", "malformed-payload", False),
        (3, "exception", "internal-error", False),
        (4, "exception", "internal-error", True),
        (5, "exception", "internal-error", False),
        (126, "exception", "internal-error", False),
        (127, "exception", "internal-error", False),
        (255, "exception", "internal-error", False),
    ],
)
def test_an_exit_code_becomes_its_status(
    engine: Engine, code: int, status: str, reason: str | None, drains: bool
) -> None:
    result = engine(f"echo out; exit {code}")
    assert (result.outcome.status, result.outcome.reason) == (status, reason)
    assert result.outcome.exit is not None and result.outcome.exit.code == code
    assert [fatal for _, fatal in result.host.drains] == ([True] if drains else [])
    assert result.lines[0] == b"out"
    if code:
        assert f"exit code {code}".encode() in result.lines[-1]
        assert result.lines[-1].startswith(b"[worker:error] ")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_the_worker_did_not_send_is_an_internal_error(engine: Engine, number: signal.Signals) -> None:
    result = engine(f"kill -{number.value} $$")
    assert (result.outcome.status, result.outcome.reason) == ("exception", "internal-error")
    assert result.outcome.exit is not None and result.outcome.exit.signal == number
    assert f"signal {number.value} ({number.name})".encode() in result.log


@pytest.mark.parametrize(
    ("exit_codes", "code", "status", "reason"),
    [
        (PLAIN, 3, "failed", "exit-code"),
        (PLAIN, 0, "completed", None),
        (SCRIPTWORKER, 2, "exception", "worker-shutdown"),
        (SCRIPTWORKER, 3, "exception", "malformed-payload"),
        (SCRIPTWORKER, 4, "exception", "resource-unavailable"),
        (ExitMap("own", {0: COMPLETED, 7: FAILED}, INTERNAL), 7, "failed", "exit-code"),
        (ExitMap("own", {0: COMPLETED, 7: FAILED}, INTERNAL), 1, "exception", "internal-error"),
    ],
)
def test_the_operator_chooses_what_exit_codes_mean(
    engine: Engine, exit_codes: ExitMap, code: int, status: str, reason: str | None
) -> None:
    result = engine(f"exit {code}", exit_codes=exit_codes)
    assert (result.outcome.status, result.outcome.reason) == (status, reason)
    assert not result.host.drains


def test_stdin_is_the_payload_as_utf8_json_with_large_integers_and_text_unharmed(engine: Engine) -> None:
    payload = '{"big": 123456789012345678901234567890, "text": "h\\u00e9llo \U0001f600", "f": 1.5}'.encode()
    result = engine("cat", payload)
    assert result.log == '{"big":123456789012345678901234567890,"text":"héllo \U0001f600","f":1.5}\n'.encode()


def test_a_large_whole_number_with_a_decimal_point_keeps_its_digits(engine: Engine) -> None:
    result = engine("cat", b'{"a": 9007199254740993.0, "b": 1.50, "c": -9007199254740993.00, "d": 1e300}')
    assert result.log == b'{"a":9007199254740993,"b":1.5,"c":-9007199254740993,"d":1e+300}\n'


def test_the_environment_holds_what_was_declared_and_nothing_else(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_SECRET", "hunter2")
    result = engine(["/usr/bin/env", "-0"], env={"GREETING": "hé llo\nthere"})
    variables = dict(item.split(b"=", 1) for item in result.log.rstrip(b"\n").split(b"\0") if item)
    assert variables == {
        b"TASK_ID": b"task-1",
        b"RUN_ID": b"0",
        b"GREETING": "hé llo\nthere".encode(),
        b"MARK": engine.mark.encode(),
        b"PATH": b"/usr/bin:/bin",
    }


def test_a_payload_value_becomes_a_variable_only_where_the_operator_mapped_it(engine: Engine) -> None:
    payload = b'{"a": {"b": "$(touch pwned); x"}, "n": 3, "yes": true, "LD_PRELOAD": "/tmp/evil.so"}'
    env = {
        "B": EnvFromPayload("/a/b"),
        "N": EnvFromPayload("/n"),
        "YES": EnvFromPayload("/yes"),
        "ABSENT": EnvFromPayload("/x"),
    }
    result = engine('printf "%s|%s|%s|%s|%s\\n" "$B" "$N" "$YES" "${ABSENT-unset}" "$LD_PRELOAD"', payload, env=env)
    assert result.log == b"$(touch pwned); x|3|true|unset|\n"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b'"a\\u0000b"', b"NUL"),
        (b"[1]", b"neither a string nor a number"),
        (b"null", b"neither a string nor a number"),
        (b'"' + b"x" * 140_000 + b'"', b"longer than"),
    ],
)
def test_a_mapped_value_that_cannot_be_a_variable_is_a_malformed_payload(
    engine: Engine, value: bytes, message: bytes
) -> None:
    result = engine("echo ran", b'{"v": ' + value + b"}", env={"V": EnvFromPayload("/v")})
    assert result.outcome.reason == "malformed-payload"
    assert message in result.log and b"/v" in result.log and b"ran\n" not in result.log


def test_a_command_starts_clean_in_a_private_folder(engine: Engine) -> None:
    result = engine(child("state.py"))
    state = json.loads(result.log)
    assert state["fds"] == [0, 1, 2]
    assert state["umask"] == 0o077
    assert state["ignored"] == [] and state["blocked"] == []
    assert state["session"] and state["tty"] is False
    assert state["mode"] == 0o700 and state["entries"] == {"artifacts": 0o700}
    assert state["cwd"].startswith(str(engine.work))


def test_a_payload_that_breaks_the_schema_never_reaches_the_command(engine: Engine) -> None:
    schema = {
        "type": "object",
        "required": ["count", "token"],
        "properties": {"count": {"type": "integer"}, "token": {"type": "string", "writeOnly": True, "minLength": 99}},
    }
    result = engine("echo ran", b'{"count": "many", "token": "hunter2", "extra": 1}', schema=schema)
    assert (result.outcome.status, result.outcome.reason) == ("exception", "malformed-payload")
    assert result.outcome.exit is None
    assert b"/count" in result.log and b"/token" in result.log and b"extra" in result.log
    assert b'"minLength": 99' in result.log, "the schema is in the log"
    assert b"hunter2" not in result.log and "hunter2" not in result.outcome.message
    assert b"\nran" not in result.log


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff", b"[" * 100_000, b'{"a":1e999}']
)
def test_text_that_is_no_strict_json_object_is_a_malformed_payload_with_a_log(engine: Engine, payload: bytes) -> None:
    result = engine("echo ran", payload)
    assert result.outcome.reason == "malformed-payload"
    assert result.lines and result.outcome.log_bytes == len(result.log)


def test_a_command_that_cannot_be_started_is_an_internal_error(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o700)
    for command in ("/no/such/program", str(tmp_path / "text"), str(tmp_path)):
        result = engine([command])
        assert (result.outcome.status, result.outcome.reason) == ("exception", "internal-error")
        assert b"the command could not be started" in result.log


def test_stderr_without_a_newline_is_prefixed_and_kept(engine: Engine) -> None:
    result = engine("printf 'last words' >&2; exit 1")
    assert result.lines[0] == b"[worker:error] last words"


def test_streams_that_cut_into_each_other_stay_whole_lines(engine: Engine) -> None:
    result = engine(child("interleave.py"))
    assert sorted(result.lines) == sorted([b"[worker:error] error line"] * 20 + [b"one whole line"] * 20)


def test_a_line_of_a_megabyte_survives(engine: Engine) -> None:
    result = engine("head -c 1048576 /dev/zero | tr '\\0' x; echo")
    assert result.log == b"x" * MIB + b"\n"


def test_a_flood_is_cut_at_the_cap_and_memory_stays_flat(engine: Engine) -> None:
    engine("head -c 20000000 /dev/zero | tr '\\0' '\\n'", limits=Limits(log_bytes=10 * MIB))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = engine(
        "yes 'a line of the flood that is long enough' | head -c 200000000; echo the reason >&2; exit 1",
        limits=Limits(log_bytes=10 * MIB),
    )
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert result.outcome.status == "failed"
    assert result.outcome.log_truncated
    assert result.outcome.log_bytes == len(result.log) <= 10 * MIB + 1024
    assert b"log cut after" in result.log and b"[worker:error] the reason" in result.lines
    assert grown_kib < 16 * 1024, f"memory grew by {grown_kib} KiB"


def test_three_megabytes_of_stdin_that_nobody_reads_do_no_harm(engine: Engine) -> None:
    payload = json.dumps({"text": "x" * 3 * MIB}).encode()
    result = engine("sleep 0.05 & wait; exit 0", payload, limits=Limits(payload_bytes=4 * MIB))
    assert result.outcome.status == "completed"


def test_a_child_that_inherits_stdin_unread_does_no_harm(engine: Engine) -> None:
    result = engine("sleep 60 >/dev/null 2>&1 & exit 0", b'{"a": 1}')
    assert result.outcome.status == "completed" and result.outcome.duration_s < 30


@pytest.mark.parametrize("redirection", ["", ">/dev/null", "2>/dev/null", ">/dev/null 2>&1"])
def test_a_background_child_that_holds_a_pipe_is_ended_and_named(engine: Engine, redirection: str) -> None:
    result = engine(f"sleep 60 {redirection} & echo started; exit 0")
    assert result.outcome.status == "completed" and result.outcome.duration_s < 30
    assert result.lines[0] == b"started"
    assert b"ended what the command left running: sleep (" in result.log


@pytest.mark.parametrize(
    "start",
    [
        "setsid sleep 60 &",
        "nohup sleep 60 >/dev/null 2>&1 &",
        "(setsid sh -c 'sleep 60 & sleep 61' >/dev/null 2>&1 &)",
        "setsid bash -c 'exec <&- >&- 2>&-; (setsid sleep 60 &)' &",
    ],
)
def test_survivors_are_ended_also_those_that_left_the_session(engine: Engine, start: str) -> None:
    result = engine(f"{start}\nsleep 0.1; echo done; exit 0")
    assert result.outcome.status == "completed" and result.outcome.duration_s < 30
    assert b"ended what the command left running" in result.log


@pytest.mark.parametrize("kind", ["double-fork", "sessions", "fork-for-ever"])
def test_a_program_that_tries_to_escape_is_ended(engine: Engine, kind: str) -> None:
    result = engine([*child("escape.py"), kind])
    assert result.outcome.status == "completed" and result.outcome.duration_s < 30


def test_the_output_of_a_tee_that_outlives_the_command_is_kept(engine: Engine) -> None:
    result = engine("exec > >(sleep 0.2; cat); echo through the pipe; exit 0")
    assert result.lines[0] == b"through the pipe"
    assert b"ended what" not in result.log


def test_the_time_limit_ends_a_command_that_closed_its_descriptors(engine: Engine) -> None:
    result = engine("exec <&- >&- 2>&-; sleep 60; sleep 60", max_run_time_s=0.2, kill_grace_s=5.0)
    assert (result.outcome.status, result.outcome.reason) == ("timeout", "max-run-time")
    assert result.outcome.exit is not None and result.outcome.exit.signal == signal.SIGTERM
    assert result.outcome.duration_s < 30


def test_a_command_that_ignores_sigterm_is_killed_after_the_grace(engine: Engine) -> None:
    result = engine("trap '' TERM; echo deaf; sleep 60; sleep 60", max_run_time_s=1.0, kill_grace_s=0.3)
    assert result.outcome.status == "timeout"
    assert result.outcome.exit is not None and result.outcome.exit.signal == signal.SIGKILL


def test_a_grace_of_zero_kills_at_once(engine: Engine) -> None:
    result = engine("trap 'echo caught; exit 0' TERM; sleep 60", max_run_time_s=0.2, kill_grace_s=0.0)
    assert result.outcome.status == "timeout" and b"caught" not in result.log
    assert result.outcome.exit is not None and result.outcome.exit.signal == signal.SIGKILL


def test_a_command_may_tidy_up_within_the_grace_and_is_still_a_timeout(engine: Engine) -> None:
    result = engine(
        "trap 'echo tidied; echo partial > artifacts/part; exit 0' TERM; sleep 60 & wait",
        max_run_time_s=1.0,
        kill_grace_s=10.0,
    )
    assert (result.outcome.status, result.outcome.reason) == ("timeout", "max-run-time")
    assert result.outcome.exit is not None and result.outcome.exit.code == 0
    assert b"tidied" in result.lines
    assert [artifact.name for artifact in result.outcome.artifacts] == ["part"]


def test_an_abort_before_the_start_starts_nothing(engine: Engine) -> None:
    def cancel(abort: Abort) -> None:
        abort.request("cancelled", "cancelled", "cancelled by the test")

    result = engine("echo ran", when=cancel)
    assert (result.outcome.status, result.outcome.reason) == ("cancelled", "cancelled")
    assert result.outcome.exit is None and b"ran" not in result.log


def test_an_abort_after_the_end_of_the_command_does_not_change_its_result(engine: Engine) -> None:
    # The command has ended when what it left holds the pipes; the limit passes within that moment.
    result = engine("sleep 60 & exit 0", max_run_time_s=0.5)
    assert result.outcome.status == "completed"


def test_a_slot_is_used_again_and_again(engine: Engine) -> None:
    result = engine("echo again; sleep 60 & exit 0", times=3)
    assert result.lines[0] == b"again"


def test_a_command_that_kills_its_supervisor_leaves_nothing_behind(engine: Engine) -> None:
    result = engine("setsid sleep 60 & kill -9 $PPID; sleep 60", times=2)
    assert (result.outcome.status, result.outcome.reason) == ("exception", "internal-error")
    assert b"supervisor" in result.log


def test_artifacts_are_collected_after_every_exit(engine: Engine) -> None:
    result = engine("mkdir artifacts/public; printf hello > artifacts/public/a.txt; printf x > artifacts/b; exit 1")
    found = {artifact.name: artifact for artifact in result.outcome.artifacts}
    assert set(found) == {"public/a.txt", "b"}
    assert found["public/a.txt"].public and not found["b"].public
    assert found["public/a.txt"].sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert (result.artifacts / "public" / "a.txt").read_bytes() == b"hello"
    assert result.outcome.reason == "exit-code"


def test_one_bad_artifact_fails_the_run_and_does_not_stop_the_others(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    result = engine(
        f"cd artifacts; ln -s {tmp_path}/secret link; ln -s nowhere dangling; mkfifo pipe; echo fine > good;"
        f" truncate -s 10G sparse; touch $'new\\nline'; ln {tmp_path}/secret hard; mkdir ..dots; echo y > ..dots/ok",
        limits=Limits(artifact_bytes=MIB),
    )
    assert (result.outcome.status, result.outcome.reason) == ("failed", "artifact-error")
    assert [artifact.name for artifact in result.outcome.artifacts] == ["..dots/ok", "good"]
    for name in (b"link", b"dangling", b"pipe", b"sparse", b"new\\nline"):
        assert any(line.startswith(b"[worker:error] artifact ") and name in line for line in result.lines), name
    assert b"hunter2" not in b"".join(p.read_bytes() for p in result.artifacts.rglob("*") if p.is_file())


class RefusingStore:
    def put(self, name: str, chunks: object) -> None:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("besides", ["", "; ln -s nowhere artifacts/a"])
def test_a_store_that_refuses_an_artifact_is_no_failure_of_the_command(engine: Engine, besides: str) -> None:
    result = engine(f"echo x > artifacts/x{besides}", store=RefusingStore())
    assert (result.outcome.status, result.outcome.reason) == ("exception", "artifact-error")
    assert result.outcome.message.startswith("artifact x: cannot be stored: No space left on device")
    assert b"No space left on device" in result.log


def test_a_worse_status_than_that_of_a_lost_artifact_stays(engine: Engine) -> None:
    result = engine("echo x > artifacts/x; exit 1", store=RefusingStore())
    assert (result.outcome.status, result.outcome.reason) == ("failed", "exit-code")


def test_the_work_folder_is_wiped_whatever_is_in_it(engine: Engine) -> None:
    result = engine("mkdir -p a/b; touch a/b/c; chmod 000 a/b a; mkfifo p; ln -s / root; exit 0")
    assert result.outcome.status == "completed"


def test_an_argument_of_the_command_is_never_expanded(engine: Engine) -> None:
    result = engine(["/bin/echo", "$(id)", "~", "*", "a b"])
    assert result.log == b"$(id) ~ * a b\n"


def test_the_log_begins_with_a_header_by_default(engine: Engine) -> None:
    result = engine("echo x", plugins=PluginSettings())
    assert result.lines[0].startswith(b"[worker:info] script test, task task-1, run 0, worker test-host")
