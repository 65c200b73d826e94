"""Workflows are checked as a whole when they are read, with every problem at once."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DeclarationError
from engine.plugin import Plugins, Prepared
from engine.script.load import load_script
from worker.workflows.load import load_workflows
from worker.workflows.read import read_workflow
from worker.workflows.workflow import Workflow

SCHEMAS: dict[str, dict[str, Any]] = {
    "open": {"additionalProperties": True},
    "strict": {
        "required": ["n"],
        "properties": {"n": {"type": "integer", "maximum": 5}, "s": {"type": "string"}, "o": {"type": "object"}},
    },
    "secret": {"properties": {"token": {"type": "string", "writeOnly": True}, "note": {"type": "string"}}},
    "either": {
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Prepared]:
    folder = tmp_path_factory.mktemp("scripts")
    found = {}
    for name, schema in SCHEMAS.items():
        file = folder / f"{name}.yaml"
        file.write_text(json.dumps({"command": ["/bin/cat"], "schema": schema}))
        found[name] = Plugins().prepare(load_script(file, home=folder))
    return found


def read(scripts: Mapping[str, Prepared], *steps: dict[str, Any], **more: Any) -> Workflow:
    return read_workflow("w", {"steps": list(steps), **more}, scripts=scripts.get, names=scripts)


def refused(scripts: Mapping[str, Prepared], *steps: Any, **more: Any) -> dict[str, str]:
    with pytest.raises(DeclarationError) as found:
        read_workflow("w", {"steps": list(steps), **more}, scripts=scripts.get, names=scripts)
    assert all(str(problem).isprintable() for problem in found.value.problems)
    return {problem.pointer: problem.message for problem in found.value.problems}


def step(name: str, script: str = "open", **more: Any) -> dict[str, Any]:
    return {"name": name, "script": script, **more}


def test_without_needs_the_steps_run_in_order(scripts: Mapping[str, Prepared]) -> None:
    found = read(scripts, step("a"), step("b"), step("c"))
    assert [(one.name, one.needs) for one in found.steps] == [("a", ()), ("b", ("a",)), ("c", ("b",))]


def test_with_needs_they_are_a_graph_in_whatever_order_they_are_written(scripts: Mapping[str, Prepared]) -> None:
    found = read(scripts, step("c", needs=["a", "b"], payload={"x": "${steps.b.result}"}), step("a"), step("b"))
    assert [one.name for one in found.steps] == ["a", "b", "c"]
    assert found.after("a") == {"c"}


def test_every_problem_is_told_at_once_with_its_place(scripts: Mapping[str, Prepared]) -> None:
    problems = refused(
        scripts,
        step("a", "strct"),
        step("a", needs=["nobody"]),
        step("../x"),
        step("d", payload={"x": ["${steps.e.result}", "${nothing}", "${steps.a.colour}", "${input.x"]}),
        step("e", when="1 = 1", timeout="soon", retries=99, inputs=["e"], onFailure="explode", unknown=1),
        {"script": "open"},
        schema={"type": "array"},
    )
    assert problems["/steps/0/script"] == 'there is no script "strct", did you mean "strict"?'
    assert problems["/steps/1/name"] == 'there is a step "a" already'
    assert problems["/steps/1/needs/0"] == 'there is no step "nobody"'
    assert set(problems) >= {
        "/schema/type",
        "/steps/2/name",
        *(f"/steps/3/payload/x/{n}" for n in range(4)),
        *(f"/steps/4/{key}" for key in ("when", "timeout", "retries", "inputs/0", "onFailure", "unknown")),
    }
    assert "does not come before this one" in problems["/steps/3/payload/x/0"]
    assert any(pointer.startswith("/steps/5") for pointer in problems)


def test_a_cycle_is_told_step_by_step(scripts: Mapping[str, Prepared]) -> None:
    problems = refused(
        scripts, step("a", needs=["c"]), step("b", needs=["a"]), step("c", needs=["b"]), step("d", needs=["a"])
    )
    [(place, message)] = problems.items()
    assert (place, message) == ("/steps/1/needs", 'the steps wait for each other: "b" -> "c" -> "a" -> "b"')
    assert "wait for each other" in refused(scripts, step("a", needs=["a"]))["/steps/0/needs"]


def test_ten_thousand_steps_are_refused_at_once(scripts: Mapping[str, Prepared]) -> None:
    steps = [step(f"s{n}", "unknown", needs=[f"s{m}" for m in range(max(0, n - 3), n)]) for n in range(10_000)]
    begun = time.monotonic()
    problems = refused(scripts, *steps)
    assert problems == {"/steps": "a workflow has at most 200 steps, and this one has 10000"}
    assert time.monotonic() - begun < 0.5


def test_two_hundred_steps_that_all_refer_to_each_other_are_read_in_time(scripts: Mapping[str, Prepared]) -> None:
    names = [f"s{n}" for n in range(200)]
    steps = [
        step(name, needs=names[:at], payload={"all": [f"${{steps.{other}.result.x}}" for other in names[:at]]})
        for at, name in enumerate(names)
    ]
    begun = time.monotonic()
    assert len(read(scripts, *steps).steps) == 200
    assert time.monotonic() - begun < 5


def test_a_payload_nested_too_deep_is_refused(scripts: Mapping[str, Prepared]) -> None:
    deep: Any = "${input.x}"
    for _ in range(5000):
        deep = [deep]
    assert any("deep" in message for message in refused(scripts, step("a", payload={"x": deep})).values())


@pytest.mark.parametrize("value", [[], "x", 3, None, {"steps": {}}, {"steps": []}, {"steps": [1]}, {"steps": "x"}, {}])
def test_what_is_no_workflow_at_all_is_refused(scripts: Mapping[str, Prepared], value: Any) -> None:
    with pytest.raises(DeclarationError):
        read_workflow("w", value, scripts=scripts.get)


@pytest.mark.parametrize("name", ["", "A", "../x", "a/b", "-a", "a" * 64, "a\n", "ä", "$(touch x)"])
def test_a_name_that_cannot_be_one_is_refused(scripts: Mapping[str, Prepared], name: str) -> None:
    with pytest.raises(DeclarationError):
        read_workflow(name, {"steps": [step("a")]}, scripts=scripts.get)
    with pytest.raises(DeclarationError):
        read_workflow("w", {"steps": [step(name)]}, scripts=scripts.get)


def test_payloads_are_checked_as_far_as_their_literal_parts_go(scripts: Mapping[str, Prepared]) -> None:
    schema = {"additionalProperties": True}
    read(
        scripts, step("a", "strict", payload={"n": "${input.n}", "s": "x ${input.s}", "o": "${input.o}"}), schema=schema
    )
    read(scripts, step("a", "either", payload={"a": "${input.a}"}), schema=schema)
    assert set(refused(scripts, step("a", "strict", payload={"n": 9, "s": "${run.id}", "m": 1}))) == {
        "/steps/0/payload/n",
        "/steps/0/payload/m",
    }
    missing = refused(scripts, step("a", "strict", payload={"s": "${run.id}"}))
    assert any('"n" is missing' in message for message in missing.values())
    assert set(refused(scripts, step("a", "strict", payload={"n": 1, "s": "$${literal}", "o": 1}))) == {
        "/steps/0/payload/o"
    }


def test_a_secret_is_neither_written_down_nor_shown(scripts: Mapping[str, Prepared]) -> None:
    marked = {"properties": {"token": {"type": "string", "writeOnly": True}}}
    plain = {"properties": {"token": {"type": "string"}}}
    read(scripts, step("a", "secret", payload={"token": "${input.token}"}), schema=marked)
    written = refused(scripts, step("a", "secret", payload={"token": "hunter2"}))
    assert "cannot be written into a workflow" in written["/steps/0/payload/token"]
    assert "hunter2" not in str(written)
    unmarked = refused(scripts, step("a", "secret", payload={"token": "${input.token}"}), schema=plain)
    assert "writeOnly" in unmarked["/steps/0/payload/token"]
    for payload in ({"note": "${input.token}"}, {"note": "see ${input.token}"}):
        shown = refused(scripts, step("a", "secret", payload=payload), schema=marked)
        assert "would show it" in shown["/steps/0/payload/note"]


def test_an_input_that_the_schema_does_not_have_is_told(scripts: Mapping[str, Prepared]) -> None:
    problems = refused(scripts, step("a", payload={"x": "${input.fiel}"}), schema={"properties": {"file": {}}})
    assert problems == {"/steps/0/payload/x": 'the workflow\'s schema has no property "fiel"'}


def test_the_problems_of_all_files_have_their_lines(scripts: Mapping[str, Prepared], tmp_path: Path) -> None:
    folder = tmp_path / "config" / "workflows"
    folder.mkdir(parents=True)
    (folder / "good.yaml").write_text("steps:\n  - {name: a, script: open}\n")
    assert list(load_workflows(tmp_path, scripts)) == ["good"]
    (folder / "one.yaml").write_text("steps:\n  - name: a\n    script: opne\n    when: '=='\n")
    (folder / "Two.yaml").write_text("stesp: []\n")
    (folder / "good.yml").write_text("steps: []\n")
    (folder / "three.yaml").write_text("steps: [\n")
    with pytest.raises(DeclarationError) as found:
        load_workflows(tmp_path, scripts)
    told = [str(problem).removeprefix(f"{folder}/") for problem in found.value.problems]
    assert any(line.startswith("one.yaml:3:5: /steps/0/script: ") for line in told)
    assert any(line.startswith("one.yaml:4:5: /steps/0/when: ") for line in told)
    for file in ("Two.yaml", "good.yml", "three.yaml"):
        assert any(line.startswith(file) for line in told), told
    assert any("declares the workflow" in line for line in told)


def test_no_folder_is_no_workflow(scripts: Mapping[str, Prepared], tmp_path: Path) -> None:
    assert load_workflows(tmp_path, scripts) == {}
