"""The command `penstock` itself: help, usage, checks of a deployment, completion; all that needs no store."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.system.conftest import Deployment, environment
from worker.cli import exit_codes
from worker.cli.main import COMMANDS

HEAVY = ("celery", "kombu", "redis", "structlog", "rich", "jsonschema_rs", "ruamel.yaml", "asyncio")


def imported_by(*arguments: str) -> set[str]:
    """The modules that the command has imported when it ends."""
    program = "import sys; from worker.cli.main import run; run(sys.argv[2:]); print('\\n', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, "penstock", *arguments], capture_output=True, text=True, env=environment()
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_names_every_command_and_every_exit_code(deployment: Deployment) -> None:
    done = deployment.penstock("--help")
    assert done.code == 0
    for command, line in COMMANDS.items():
        assert f"  {command} " in done.out
        assert line in done.out
    for code in exit_codes.TABLE:
        assert f"  {code:>3}  " in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_of_itself_what_the_list_says_and_shows_examples(deployment: Deployment, command: str) -> None:
    done = deployment.penstock(command, "--help")
    assert done.code == 0
    assert COMMANDS[command] in " ".join(done.out.split())
    assert "Examples:\n" in done.out


@pytest.mark.parametrize("command", ["run", "exec"])
def test_the_commands_that_run_a_task_show_the_exit_codes(deployment: Deployment, command: str) -> None:
    assert "  124  " in deployment.penstock(command, "--help").out


def test_help_imports_nothing_heavy() -> None:
    assert not imported_by("--help") & set(HEAVY)


def test_exec_imports_no_queue_and_no_store(deployment: Deployment) -> None:
    deployment.script("good", "true")
    modules = imported_by("-C", str(deployment.home), "exec", "good")
    assert "engine.execute" in modules
    assert not modules & {"celery", "kombu", "redis", "structlog", "rich", "worker.store", "worker.broker"}


def test_the_version_is_that_of_the_distribution(deployment: Deployment) -> None:
    assert deployment.penstock("--version").out.startswith("penstock 0.")


@pytest.mark.parametrize(
    "arguments",
    [(), ("chekc",), ("--nonsense",), ("check", "extra"), ("tasks", "--status", "done"), ("tasks", "--limit", "0")],
)
def test_wrong_usage_is_64_with_one_line_that_says_what(deployment: Deployment, arguments: tuple[str, ...]) -> None:
    done = deployment.penstock(*arguments)
    assert done.code == 64
    assert done.out == ""
    assert "penstock: error:" in done.err or "Usage:" in done.err


def test_a_mistyped_command_gets_a_suggestion(deployment: Deployment) -> None:
    assert "did you mean check?" in deployment.penstock("chekc").err


def test_a_wrong_status_is_answered_with_the_list(deployment: Deployment) -> None:
    assert "'cancelled'" in deployment.penstock("tasks", "--status", "done").err


def test_the_deployment_is_named_by_the_environment_too(deployment: Deployment) -> None:
    deployment.script("one", "true")
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli.main", "check"],
        capture_output=True,
        text=True,
        env=environment({"PENSTOCK_HOME": str(deployment.home)}),
    )
    assert (done.returncode, done.stdout) == (0, "ok: 1 script\n")


def test_a_deployment_that_is_not_there_is_wrong_usage(deployment: Deployment) -> None:
    assert Deployment(deployment.home / "nowhere").penstock("check", cwd=deployment.home).code == 64


def test_check_counts_the_scripts(deployment: Deployment) -> None:
    deployment.script("one", "true")
    deployment.script("two", "true", enabled=False)
    assert deployment.penstock("check").out == "ok: 2 scripts\n"
    found = {"ok": True, "scripts": ["one", "two"], "problems": [], "conflicts": []}
    assert deployment.penstock("check", "--json").json == found


def test_check_says_when_there_is_nothing_to_check(deployment: Deployment) -> None:
    done = deployment.penstock("check")
    assert (done.code, done.out) == (0, "ok: 0 scripts\n")
    assert "there are no scripts in" in done.err


def test_check_tells_every_problem_of_every_file_with_its_place(deployment: Deployment) -> None:
    deployment.file("config/penstock.yaml", "worker:\n  concurrency: none\nnonsense: 1\n")
    deployment.file("config/scripts/a.yaml", "command: [/bin/true]\nschema: {type: array}\nretires: 1\n")
    deployment.file("config/scripts/b.yaml", "command: [/nowhere/at/all]\nschema: {}\n")
    done = deployment.penstock("check")
    assert done.code == 65
    for expected in (
        "penstock.yaml:2:3: /worker/concurrency: ",
        "penstock.yaml:3:1: /nonsense: ",
        "a.yaml:2:10: /schema/type: ",
        "a.yaml:3:1: /retires: ",
        "b.yaml:1:11: /command/0: ",
    ):
        assert expected in done.out
    report = deployment.penstock("check", "--json")
    assert report.code == 65
    assert report.json["ok"] is False
    assert len(report.json["problems"]) == len(done.out.splitlines())
    assert {tuple(problem) for problem in report.json["problems"]} == {("file", "line", "column", "pointer", "message")}


def test_check_shows_a_hostile_file_on_one_line_without_control_characters(deployment: Deployment) -> None:
    deployment.file("config/scripts/a.yaml", 'command: [/bin/true]\nschema: {}\n"x\\e]0;t\\a\\ny": 1\n')
    done = deployment.penstock("check")
    assert done.code == 65
    assert len(done.out.splitlines()) == 1
    assert done.out.strip().isprintable()


@pytest.mark.parametrize("command", ["up", "worker", "submit x", "run x", "scripts"])
def test_a_deployment_with_problems_starts_nothing(deployment: Deployment, command: str) -> None:
    deployment.file("config/scripts/a.yaml", "command: []\n")
    done = deployment.penstock(*command.split())
    assert done.code == 65
    assert "a.yaml:1:" in done.err
    assert not (deployment.home / ".penstock").exists()


def test_scripts_lists_and_shows(deployment: Deployment) -> None:
    schema = {"type": "object", "properties": {"file": {"type": "string"}}}
    deployment.script(
        "sign", "true", schema, title="Sign żółw", category="release", tags=["a"], queue="slow", env={"KEY": "s3cret"}
    )
    deployment.script("off", "true", enabled=False)
    listed = deployment.penstock("scripts")
    assert [line.split() for line in listed.out.splitlines()] == [
        ["NAME", "CATEGORY", "QUEUE", "ENABLED", "TITLE"],
        ["off", "-", "penstock", "no"],
        ["sign", "release", "slow", "yes", "Sign", "żółw"],
    ]
    both = deployment.penstock("scripts", "--json").json["scripts"]
    assert [(s["name"], s["enabled"], s["queue"], s["tags"]) for s in both] == [
        ("off", False, "penstock", []),
        ("sign", True, "slow", ["a"]),
    ]
    shown = deployment.penstock("scripts", "sign", "--json")
    assert shown.json["schema"]["properties"]["file"] == {"type": "string"}
    assert shown.json["env"] == ["KEY"]
    assert "s3cret" not in shown.out + deployment.penstock("scripts", "sign").out


def test_an_unknown_script_is_64_with_a_suggestion(deployment: Deployment) -> None:
    deployment.script("sign-file", "true")
    done = deployment.penstock("scripts", "sing-file")
    assert done.code == 64
    assert "did you mean sign-file?" in done.err


@pytest.mark.parametrize("command", ["tasks", "show x", "logs x", "artifacts x", "submit one", "run one"])
def test_without_a_store_it_is_69_and_says_what_to_start(deployment: Deployment, command: str) -> None:
    deployment.script("one", "true")
    done = deployment.penstock(*command.split())
    assert done.code == 69
    assert "penstock up" in done.err
    assert done.out == ""


def test_a_server_that_does_not_answer_is_69_without_its_password(deployment: Deployment) -> None:
    deployment.script("one", "true")
    done = deployment.penstock("tasks", env={"PENSTOCK_BROKER_URL": "redis://user:hunter2@127.0.0.1:1/0"})
    assert done.code == 69
    assert "127.0.0.1:1" in done.err
    assert "hunter2" not in done.err


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:1/0", "amqp://guest:guest@127.0.0.1:1//"])
def test_a_worker_whose_store_does_not_answer_ends_with_69_and_one_line(deployment: Deployment, broker: str) -> None:
    deployment.script("one", "true")
    env = {"PENSTOCK_BROKER_URL": broker, "PENSTOCK_STORE_URL": "redis://user:hunter2@127.0.0.1:1/0"}
    done = deployment.penstock("worker", env=env)
    assert done.code == 69
    (line,) = done.err.splitlines()
    assert line.startswith("penstock: error: the store at redis://")
    assert "127.0.0.1:1" in line and "hunter2" not in line
    assert not list((deployment.home / ".penstock" / "work").glob("*"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(deployment: Deployment, shell: str) -> None:
    done = deployment.penstock("completion", shell)
    assert done.code == 0
    assert "_PENSTOCK_COMPLETE" in done.out


def test_completion_knows_the_scripts_of_the_deployment(deployment: Deployment) -> None:
    deployment.script("sign-file", "true")
    deployment.script("other", "true")
    line = f"penstock -C {deployment.home} run si"
    answer = deployment.penstock(env={"_PENSTOCK_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": "4"})
    assert answer.out.split() == ["plain,sign-file"]


def test_no_color_and_no_terminal_mean_no_colors(deployment: Deployment) -> None:
    assert "\x1b" not in deployment.penstock("chekc").err


def test_a_reader_that_goes_away_is_no_error_of_ours(deployment: Deployment) -> None:
    for number in range(50):
        deployment.script(f"s{number}", "true", {"description": "x" * 20_000})
    process = deployment.start("scripts", "--json")
    assert process.stdout
    process.stdout.close()
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (exit_codes.BROKEN_PIPE, b"")


def test_every_status_and_reason_has_an_exit_code_of_the_table() -> None:
    reasons = [None, "exit-code", "malformed-payload", "internal-error", "max-run-time", "claim-expired", "no-such"]
    for status in ("completed", "failed", "exception", "timeout", "cancelled"):
        for reason in reasons:
            for code in (None, 0, 1, 4, 255):
                assert exit_codes.of_task(status, reason, code) in exit_codes.TABLE


def test_json_escapes_what_steers_a_terminal(deployment: Deployment) -> None:
    title = "a\u009b31m\u202eb\u2028c"
    deployment.script("one", "true", title=title)
    done = deployment.penstock("scripts", "--json")
    assert done.json["scripts"][0]["title"] == title
    assert not set("\u009b\u202e\u2028") & set(done.out)
    assert json.loads(done.out)
