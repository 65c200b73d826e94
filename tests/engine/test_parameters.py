"""Parameters become a closed schema, defaults and variables; what would steer a program is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DeclarationError
from engine.script import Script
from engine.script.load import load_script
from engine.script.parameters import filled
from tests.engine.conftest import Engine


def load(folder: Path, parameters: list[dict[str, Any]], **fields: Any) -> Script:
    path = folder / "s.yaml"
    path.write_text(json.dumps({"command": ["/bin/true"], "parameters": parameters, **fields}))
    return load_script(path, home=folder)


def told(folder: Path, parameters: list[dict[str, Any]], **fields: Any) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        load(folder, parameters, **fields)
    return [f"{problem.pointer}: {problem.message}" for problem in caught.value.problems]


def wrong(script: Script, payload: dict[str, Any]) -> list[str]:
    return sorted({problem.pointer for problem in script.schema.check(filled(script.defaults, payload))})


def test_the_schema_is_closed_and_every_rule_is_kept(tmp_path: Path) -> None:
    script = load(
        tmp_path,
        [
            {"name": "target", "type": "select", "options": ["staging", {"value": "production"}], "required": True},
            {"name": "tag", "type": "text", "required": True, "validation": "v[0-9]+|latest"},
            {"name": "count", "type": "number", "validation": {"min": 1, "max": 5, "integer": True}, "default": 2},
            {"name": "loud", "type": "boolean", "default": False},
            {"name": "key", "type": "password"},
        ],
    )
    assert wrong(script, {"target": "staging", "tag": "v1"}) == []
    for tag in ("", "v1 ", "v1\n", "xv1", "latest;rm", "$(touch x)"):
        assert wrong(script, {"target": "staging", "tag": tag}) == ["/tag"], tag
    assert wrong(script, {"target": "elsewhere", "tag": "v1", "count": 1.5, "loud": "yes", "more": 1}) == [
        *("/count", "/loud", "/more", "/target")
    ]
    assert wrong(script, {}) == [""]
    assert script.schema.redact({"key": "s3cret", "tag": "v1"}) == {"key": "***", "tag": "v1"}


def test_the_labels_of_options_are_there_for_forms_and_change_no_verdict(tmp_path: Path) -> None:
    options = [{"value": "eu-1", "label": "Frankfurt"}, {"value": "us-1"}, {"value": 3, "label": "three"}, "plain"]
    script = load(tmp_path, [{"name": "region", "type": "select", "options": options}])
    shown = script.schema.document["properties"]["region"]
    assert shown == {"enum": ["eu-1", "us-1", 3, "plain"], "x-labels": {"eu-1": "Frankfurt"}}
    assert (wrong(script, {"region": "eu-1"}), wrong(script, {"region": "Frankfurt"})) == ([], ["/region"])


def test_what_a_payload_leaves_out_is_filled_in_before_the_check(engine: Engine, tmp_path: Path) -> None:
    script = load(tmp_path, [{"name": "n", "type": "number", "default": 3}, {"name": "m", "type": "text"}])
    result = engine("cat", b'{"m": "x"}', schema=script.schema.document, defaults=script.defaults)
    assert (result.outcome.status, json.loads(result.log)) == ("completed", {"m": "x", "n": 3})
    assert script.schema.document["required"] == []


def test_a_parameter_is_handed_over_as_a_variable_where_the_operator_says_so(engine: Engine, tmp_path: Path) -> None:
    script = load(tmp_path, [{"name": "TARGET", "type": "text", "as": "env"}, {"name": "OTHER", "type": "text"}])
    payload = json.dumps({"TARGET": "$(touch x); `id`", "OTHER": "o"}).encode()
    result = engine('echo "$TARGET" "${OTHER-unset}"; ls', payload, schema=script.schema.document, env=script.env)
    assert result.log == b"$(touch x); `id` unset\nartifacts\n"


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "IFS", "ENV", "BASH_ENV", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP"),
        *("NODE_OPTIONS", "GIT_SSH_COMMAND", "PERL5OPT", "RUBYOPT", "TASK_ID", "RUN_ID", "DRY_RUN", "PENSTOCK_HOME"),
        *("SHELLOPTS", "PS4", "GCONV_PATH", "JAVA_TOOL_OPTIONS"),
    ],
)
def test_no_parameter_becomes_a_variable_that_steers_programs(name: str, tmp_path: Path) -> None:
    [problem] = told(tmp_path, [{"name": name, "type": "text", "as": "env"}])
    assert problem.startswith(f"/parameters/0/name: {name} ")


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"name": "a", "type": "text", "validation": "a)|(?:b"}, "/validation"),
        ({"name": "a", "type": "text", "validation": "("}, "/validation"),
        ({"name": "a", "type": "text", "validation": "(?x) a #"}, "/validation"),
        ({"name": "a", "type": "number", "validation": "a"}, "/validation"),
        ({"name": "a", "type": "text", "validation": {"min": 1}}, "/validation/min"),
        ({"name": "a", "type": "select"}, "/options"),
        ({"name": "a", "type": "select", "options": ["x", "x"]}, "/options"),
        ({"name": "a", "type": "select", "options": ["x"], "default": "y"}, "/default"),
        ({"name": "a", "type": "password", "default": "s3cret"}, "/default"),
        ({"name": "a", "type": "number", "default": "1"}, "/default"),
        ({"name": "a-b", "type": "text", "as": "env"}, "/name"),
        ({"name": "a\n", "type": "text"}, "/name"),
        ({"name": "$(touch x)", "type": "text"}, "/name"),
        ({"name": "a", "type": "file"}, "/type"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_place(entry: dict[str, Any], place: str, tmp_path: Path) -> None:
    problems = told(tmp_path, [entry])
    assert [problem.partition(":")[0] for problem in problems] == [f"/parameters/0{place}"]
    assert "s3cret" not in str(problems)


def test_either_a_schema_or_parameters(tmp_path: Path) -> None:
    assert told(tmp_path, [], schema={}) == ["/parameters: schema and parameters say the same: give one of them"]
    two = [{"name": "A", "type": "text", "as": "env"}, {"name": "A", "type": "text"}]
    assert told(tmp_path, two) == ['/parameters/1/name: there are two parameters "A"']
    assert "/env/A" in told(tmp_path, two[:1], env={"A": "x"})[0]


def test_a_dry_run_has_the_further_arguments_and_the_variable(engine: Engine) -> None:
    fields: dict[str, Any] = {"dry_run_command": ("--check",), "schema": {}}
    command = ["/bin/sh", "-c", 'echo "$0 $* $DRY_RUN"', "name", "--all"]
    assert engine(command, b'{"dryRun": true}', **fields).lines[-1] == b"name --all --check true"
    assert engine(command, b"{}", **fields).lines == [b"name --all "]
