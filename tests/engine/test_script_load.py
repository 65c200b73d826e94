from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.errors import DeclarationError, Problem
from engine.exits import DECLARATIVE, FAILED, INTERNAL, MALFORMED, SCRIPTWORKER, Exit
from engine.schema import Schema
from engine.script import EnvFromPayload, Retention, load_script, load_scripts
from engine.script.declaration import SCRIPT_SCHEMA
from engine.script.seed import OLDER_PLUGINS

SMALL = "command: [/bin/sh, -c, 'true']\nschema: {properties: {file: {type: string}}}\n"


def write(home: Path, text: str, name: str = "job.yaml") -> Path:
    path = home / "config" / "scripts" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(home: Path, text: str) -> Any:
    return load_script(write(home, text), home=home)


def problems(home: Path, text: str, name: str = "job.yaml") -> list[Problem]:
    with pytest.raises(DeclarationError) as caught:
        load_script(write(home, text, name), home=home)
    found = list(caught.value.problems)
    assert all(p.file and p.line and p.column for p in found)
    return found


def pointers(home: Path, text: str) -> dict[str, str]:
    return {p.pointer: p.message for p in problems(home, text)}


def test_a_script_of_two_fields_has_the_documented_defaults(tmp_path: Path) -> None:
    script = load(tmp_path, SMALL)
    assert (script.name, script.command) == ("job", ("/bin/sh", "-c", "true"))
    assert (script.max_run_time_s, script.kill_grace_s, script.enabled) == (3600.0, 5.0, True)
    assert (script.exit_codes, script.queue, script.retries) == (DECLARATIVE, None, 2)
    assert (script.idempotent, script.retry_on, script.retry_delay_s) == (True, (), 1.0)
    assert (script.concurrency, script.rate_limit, script.retention) == (None, None, None)
    properties = SCRIPT_SCHEMA["properties"]
    text = "".join(
        f"{key}: {properties[key]['default']}\n"
        for key in ("maxRunTime", "killGrace", "exitCodes", "enabled", "idempotent", "retryOn", "retryDelay")
    ).replace("True", "true")
    limits = "".join(f"  {k}: {v['default']}\n" for k, v in properties["limits"]["properties"].items())
    spelled = load(tmp_path, f"{SMALL}{text}limits:\n{limits}")
    assert replace(spelled, positions=None) == replace(script, positions=None)


def test_every_field_of_a_script_is_read(tmp_path: Path) -> None:
    script = load(
        tmp_path,
        SMALL
        + """
title: A title
description: |
  Words
category: release
tags: [a, b]
env:
  LITERAL: "1"
  FILE: {fromPayload: /file}
exitCodes: {0: completed, 75: failed, other: malformed-payload}
maxRunTime: 1h30m
killGrace: 0
limits: {payloadBytes: 64Ki, logBytes: 10 MB, artifactCount: 3, artifactBytes: 5, artifactTotalBytes: 6}
queue: big
idempotent: false
retries: 3
retryOn: [exit-code, max-run-time]
retryDelay: 250ms
concurrency: 4
rateLimit: 10/m
retention: {age: 12h, count: 50}
enabled: false
plugins: {disabled: [watchdog], maxRunTime: {policy: require}}
""",
    )
    assert (script.title, script.description, script.category, script.tags) == (
        "A title",
        "Words\n",
        "release",
        ("a", "b"),
    )
    assert dict(script.env) == {"LITERAL": "1", "FILE": EnvFromPayload("/file")}
    assert script.exit_codes.verdict(Exit(code=75)) == FAILED
    assert script.exit_codes.verdict(Exit(code=9)) == MALFORMED
    assert (script.max_run_time_s, script.kill_grace_s) == (5400.0, 0.0)
    limits = script.limits
    assert (limits.payload_bytes, limits.log_bytes, limits.artifact_count) == (65536, 10_000_000, 3)
    assert (limits.artifact_bytes, limits.artifact_total_bytes) == (5, 6)
    assert (script.queue, script.retries, script.enabled) == ("big", 3, False)
    assert (script.idempotent, script.retry_on, script.retry_delay_s) == (False, ("exit-code", "max-run-time"), 0.25)
    assert (script.concurrency, script.rate_limit, script.retention) == (4, (10, 60.0), Retention(43200.0, 50))
    assert script.plugins.disabled == {"watchdog"}
    assert script.plugins.settings == {"maxRunTime": {"policy": "require"}}


@pytest.mark.parametrize("limit", ["null", "unlimited", "~"])
def test_a_script_may_run_without_a_limit(tmp_path: Path, limit: str) -> None:
    assert load(tmp_path, f"{SMALL}maxRunTime: {limit}\n").max_run_time_s is None


@pytest.mark.parametrize(
    ("fields", "retries"),
    [
        ("", 2),
        ("idempotent: true", 2),
        ("idempotent: false", 0),
        ("idempotent: false\nretries: 1", 1),
        ("retries: 0", 0),
    ],
)
def test_what_may_do_harm_twice_is_repeated_only_when_the_file_says_so(
    tmp_path: Path, fields: str, retries: int
) -> None:
    assert load(tmp_path, f"{SMALL}{fields}\n").retries == retries


@pytest.mark.parametrize("none", ["retries: 0", "idempotent: false"])
def test_reasons_to_retry_without_a_retry_are_a_mistake(tmp_path: Path, none: str) -> None:
    assert pointers(tmp_path, f"{SMALL}{none}\nretryOn: [exit-code]\n").keys() == {"/retryOn"}


def test_retention_may_bound_one_of_age_and_number(tmp_path: Path) -> None:
    assert load(tmp_path, f"{SMALL}retention: {{age: 1d}}\n").retention == Retention(86400.0, None)
    assert load(tmp_path, f"{SMALL}retention: {{count: 0}}\n").retention == Retention(None, 0)


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("idempotent: never", "/idempotent"),
        ("retryOn: exit-code", "/retryOn"),
        ("retryOn: [claim-expired]", "/retryOn/0"),
        ("retryOn: [exit-code, exit-code]", "/retryOn"),
        ("retryDelay: soon", "/retryDelay"),
        ("retryDelay: 6m", "/retryDelay"),
        ("retryDelay: -1", "/retryDelay"),
        ("concurrency: 0", "/concurrency"),
        ("concurrency: 1.5", "/concurrency"),
        ("rateLimit: 10", "/rateLimit"),
        ("rateLimit: 10 per minute", "/rateLimit"),
        ("rateLimit: 0/s", "/rateLimit"),
        ("retention: {}", "/retention"),
        ("retention: {age: old}", "/retention/age"),
        ("retention: {count: -1}", "/retention/count"),
        ("retention: {size: 1}", "/retention/size"),
    ],
)
def test_a_wrong_bound_is_told_at_its_place(tmp_path: Path, field: str, place: str) -> None:
    assert place in pointers(tmp_path, f"{SMALL}{field}\n")


def test_every_problem_of_a_file_is_told_with_line_and_pointer(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
command: [./none.sh]
schema:
  properties:
    a: {typ: string}
    b: {type: strin}
titel: x
maxRunTime: 10 minutes
killGrace: -1
limits:
  logBytes: lots
  artifactCount: -1
retries: 101
exitCodes: {256: failed, 1: fine}
env: {PORT: 80, "A-B": x, MODE: {fromPayload: /nope}}
enabled: yes
plugins: {disabled: watchdog}
tags: [a, a]
""",
        "Bad_name.yaml",
    )
    assert [(p.line, p.pointer) for p in found] == [
        (1, ""),
        (1, "/command/0"),
        (4, "/schema/properties/a/typ"),
        (5, "/schema/properties/b/type"),
        (6, "/titel"),
        (7, "/maxRunTime"),
        (8, "/killGrace"),
        (10, "/limits/logBytes"),
        (11, "/limits/artifactCount"),
        (12, "/retries"),
        (13, "/exitCodes/256"),
        (13, "/exitCodes/1"),
        (14, "/env/PORT"),
        (14, "/env/A-B"),
        (15, "/enabled"),
        (16, "/plugins/disabled"),
        (17, "/tags"),
    ]
    assert 'did you mean "title"' in str(found[4])


def test_a_missing_or_wrong_root_is_told(tmp_path: Path) -> None:
    assert [p.message for p in problems(tmp_path, "")] == [
        'required: the property "command" is missing',
        'the property "schema" is missing, or "parameters" instead of it',
    ]
    assert "expected object" in problems(tmp_path, "[1]")[0].message


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a.b", "a" * 64, "é", "a\n"])
def test_a_name_that_could_not_be_part_of_a_queue_or_path_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, SMALL)
    with pytest.raises(DeclarationError, match="lower-case letters"):
        load_script(path, home=tmp_path, name=name)


# --- variables ---


@pytest.mark.parametrize("value", ["80", "1.5", "true", "~"])
def test_a_variable_that_yaml_reads_as_something_else_is_to_be_quoted(tmp_path: Path, value: str) -> None:
    assert "quote it" in pointers(tmp_path, f"{SMALL}env: {{A: {value}}}\n")["/env/A"]


@pytest.mark.parametrize("name", ["TASK_ID", "RUN_ID", "DRY_RUN"])
def test_the_variables_of_penstock_itself_are_reserved(tmp_path: Path, name: str) -> None:
    assert "Penstock itself" in pointers(tmp_path, f"{SMALL}env: {{{name}: x}}\n")[f"/env/{name}"]


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "IFS",
        "ENV",
        "BASH_ENV",
        "SHELLOPTS",
        "BASHOPTS",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "DYLD_INSERT_LIBRARIES",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "NODE_OPTIONS",
        "PERL5OPT",
        "RUBYOPT",
        "GIT_SSH_COMMAND",
        "BASH_FUNC_ls",
    ],
)
def test_a_payload_never_sets_a_variable_that_steers_programs_and_an_operator_may(tmp_path: Path, name: str) -> None:
    mapped = pointers(tmp_path, f"{SMALL}env: {{{name}: {{fromPayload: /file}}}}\n")
    assert "steers" in mapped[f"/env/{name}"]
    assert load(tmp_path, f"{SMALL}env: {{{name}: x}}\n").env == {name: "x"}


@pytest.mark.parametrize("place", ["file", "''", "/", "/no~pe", "5", "/nope", "/nope/file"])
def test_a_mapped_variable_starts_at_a_declared_property(tmp_path: Path, place: str) -> None:
    assert set(pointers(tmp_path, f"{SMALL}env: {{A: {{fromPayload: {place}}}}}\n")) == {"/env/A"}


def test_a_value_of_a_variable_is_in_no_message_and_in_no_repr(tmp_path: Path) -> None:
    secret = "hunter2-secret"
    text = f'{SMALL}env: {{TASK_ID: {secret}, A: {{fromPayloads: {secret}}}, B: [{secret}], C: "{secret}\\0"}}\n'
    found = problems(tmp_path, text)
    assert {p.pointer for p in found} == {"/env/TASK_ID", "/env/A", "/env/B", "/env/C"}
    assert secret not in "\n".join(map(str, found))
    assert secret not in repr(load(tmp_path, f"{SMALL}env: {{A: {secret}}}\nplugins: {{x: {{token: {secret}}}}}\n"))


# --- exit codes ---


def test_exit_codes_are_a_preset_or_a_map(tmp_path: Path) -> None:
    assert load(tmp_path, f"{SMALL}exitCodes: scriptworker\n").exit_codes is SCRIPTWORKER
    codes = load(tmp_path, f"{SMALL}exitCodes: {{7: drain}}\n").exit_codes
    assert codes.verdict(Exit(code=0)).status == "completed"
    assert codes.verdict(Exit(code=7)).drain
    assert codes.verdict(Exit(code=1)) == INTERNAL
    assert 'expected one of "declarative"' in pointers(tmp_path, f"{SMALL}exitCodes: declaritive\n")["/exitCodes"]


# --- the older form ---

SEED = """\
engine: script
engines:
  script:
    command: [/bin/sh, {file}]
    schema:
      type: object
      properties: {{binaryToSign: {{type: string, format: uri}}, verbose: {{type: boolean}}}}
      required: [binaryToSign]
plugins:
  disabled: [artifacts, env, tcproxy, interactive]
title: Older
"""


def test_the_older_form_is_accepted_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "worker-script.sh"
    file.write_text("exit 0\n")
    script = load(tmp_path, SEED.format(file=file))
    assert script.command == ("/bin/sh", str(file))
    assert script.schema.check({"binaryToSign": "https://example.org/a", "verbose": True}) == ()
    assert script.schema.check({"binaryToSign": "nope", "more": 1}) != ()
    assert (script.title, script.plugins.disabled) == ("Older", frozenset())
    assert script.problem("/schema/properties/verbose", "m").pointer == "/engines/script/schema/properties/verbose"
    assert script.problem("/schema/properties/verbose", "m").line == 7


def test_plugins_of_the_older_worker_are_known_by_their_names_of_today(tmp_path: Path) -> None:
    names = ", ".join([*OLDER_PLUGINS, "dryRun"])
    head = "engine: script\nengines: {script: {command: [/bin/true], schema: {}}}\n"
    text = f"{head}plugins: {{disabled: [{names}]}}\n"
    assert load(tmp_path, text).plugins.disabled == {
        "logHeader",
        "maxRunTime",
        "stopOnInternalErrors",
        "watchdog",
        "dryRun",
    }
    assert load(tmp_path, f"{SMALL}plugins: {{disabled: [logprefix]}}\n").plugins.disabled == {"logprefix"}


def test_problems_of_the_older_form_point_into_it(tmp_path: Path) -> None:
    text = """\
engine: native
engines:
  native: {}
  script:
    command: [/none]
    schema: {type: array}
    shema: 1
command: [/bin/true]
"""
    assert [(p.line, p.pointer) for p in problems(tmp_path, text)] == [
        (1, "/engine"),
        (3, "/engines/native"),
        (5, "/engines/script/command/0"),
        (6, "/engines/script/schema/type"),
        (7, "/engines/script/shema"),
        (8, "/command"),
    ]
    assert {"", "/engines"} >= {p.pointer for p in problems(tmp_path, "engine: script\nengines: {}\n")}


# --- commands ---


def executable(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(mode)
    return path


def command(home: Path, *argv: str) -> tuple[str, ...]:
    return tuple(load(home, f"command: {list(argv)!r}\nschema: {{}}\n").command)


def refused(home: Path, *argv: str) -> dict[str, str]:
    return pointers(home, f"command: {list(argv)!r}\nschema: {{}}\n")


def test_a_relative_path_is_relative_to_the_deployment(tmp_path: Path) -> None:
    file = executable(tmp_path / "scripts" / "run.sh")
    assert command(tmp_path, "scripts/run.sh") == (str(file),)
    assert command(tmp_path, "./scripts/../scripts/run.sh") == (str(file),)
    assert command(tmp_path, str(file), "scripts/run.sh", "no/such", "-x/y", "plain") == (
        str(file),
        str(file),
        "no/such",
        "-x/y",
        "plain",
    )


def test_a_bare_name_is_found_beside_the_interpreter_first_and_its_link_is_kept(tmp_path: Path) -> None:
    here = os.path.dirname(sys.executable)
    name = os.path.basename(sys.executable)
    assert command(tmp_path, name) == (os.path.join(here, name),)


def test_a_bare_name_is_found_on_path_and_relative_entries_of_path_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = executable(tmp_path / "bin" / "penstock-test-tool")
    monkeypatch.chdir(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"::.:{tmp_path / 'none'}")
    assert "not found" in refused(tmp_path, "penstock-test-tool")["/command/0"]
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert command(tmp_path, "penstock-test-tool") == (str(file),)
    assert command(tmp_path, "sh")[0].endswith("/sh")
    file.chmod(0o644)
    assert "not executable" in refused(tmp_path, "penstock-test-tool")["/command/0"]


def test_what_cannot_be_run_is_told_for_what_it_is(tmp_path: Path) -> None:
    executable(tmp_path / "plain.txt", 0o644)
    (tmp_path / "folder").mkdir()
    os.symlink("nowhere", tmp_path / "dangling")
    for name, words in {
        "./none": "does not exist",
        "./dangling": "does not exist",
        "./folder": "not a regular file",
        "./plain.txt": "not executable",
        "/none/at/all": "does not exist",
        "../outside": "leads out",
        "a/../../outside": "leads out",
        "~/run": "does not exist",
        "$HOME/run": "does not exist",
        "./plain.txt/x": "cannot be used",
    }.items():
        assert words in refused(tmp_path, name)["/command/0"], name


@pytest.mark.parametrize("interpreter", ["sh", "python3", os.path.join(os.path.dirname(sys.executable), "python3")])
def test_the_file_of_an_interpreter_must_be_there(tmp_path: Path, interpreter: str) -> None:
    file = executable(tmp_path / "run.me", 0o644)
    assert command(tmp_path, interpreter, "run.me")[1] == str(file)
    assert command(tmp_path, interpreter, str(file))[1] == str(file)
    assert command(tmp_path, interpreter, "-c", "run.me")[2] == "run.me"
    assert "does not exist" in refused(tmp_path, interpreter, "none.me")["/command/1"]
    assert "leads out" in refused(tmp_path, interpreter, "../run.me")["/command/1"]
    assert "not a regular file" in refused(tmp_path, interpreter, ".")["/command/1"]


@pytest.mark.parametrize(
    "argv", ["[]", "[1]", "['']", '["/bin/sh", "a\\0b"]', "/bin/sh -c true", f"[{', '.join(['/bin/sh'] * 257)}]"]
)
def test_a_command_is_a_list_of_texts(tmp_path: Path, argv: str) -> None:
    found = pointers(tmp_path, f"command: {argv}\nschema: {{}}\n")
    assert all(pointer.startswith("/command") for pointer in found)


# --- folders ---


def test_the_scripts_of_a_folder_are_loaded_by_name(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "notes.txt", ".hidden.yaml"):
        write(tmp_path, SMALL if name != "notes.txt" else "{", name)
    scripts = load_scripts(tmp_path / "config" / "scripts", home=tmp_path)
    assert [s.name for s in scripts] == ["a", "b"]
    assert load_scripts(tmp_path / "none", home=tmp_path) == ()


def test_the_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    for name, text in {"a.yaml": "{", "b.yaml": SMALL + "x: 1\n", "c.yaml": SMALL, "c.yml": SMALL, "d.yml": ""}.items():
        write(tmp_path, text, name)
    with pytest.raises(DeclarationError) as caught:
        load_scripts(tmp_path / "config" / "scripts", home=tmp_path)
    found = [os.path.basename(p.file or "") for p in caught.value.problems]
    assert found == ["a.yaml", "b.yaml", "c.yml", "d.yml", "d.yml"]
    assert "c.yaml declares the script" in str(caught.value)


def test_a_hundred_scripts_of_fifty_lines_load(tmp_path: Path) -> None:
    fields = "".join(f"    field{i}:\n      type: string\n      minLength: {i}\n      format: uri\n" for i in range(11))
    for i in range(100):
        write(tmp_path, f"command: [/bin/true]\nmaxRunTime: 10m\nschema:\n  properties:\n{fields}", f"s{i}.yaml")
    assert len(load_scripts(tmp_path / "config" / "scripts", home=tmp_path)) == 100


def test_the_schema_of_a_script_file_is_a_schema_that_knows_its_own_examples() -> None:
    schema = Schema.compile(SCRIPT_SCHEMA)
    for name, field in SCRIPT_SCHEMA["properties"].items():
        for example in field.get("examples", ()):
            value = {"command": ["x"], "schema": {}, name: example}
            assert schema.check(value) == (), name
