"""References, templates and conditions: they always end, and nothing that they find is ever run or looked at again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PayloadError
from worker.workflows.condition import parse_condition
from worker.workflows.reference import Known, StepValues, parse_reference, pieces
from worker.workflows.template import rendered

KNOWN = Known(
    "run-1",
    "release",
    {"n": 3, "s": "text", "yes": True, "nothing": None, "list": [1, {"deep": "x"}], "big": 2**60 + 1, "a-b_c": 1},
    {
        "build": StepValues("completed", None, 0, "w-1", {"version": "1.10", "count": 0}),
        "sign": StepValues("failed", "exit-code", 1, "w-2"),
        "skip": StepValues("skipped", "when"),
    },
)


@pytest.mark.parametrize(
    "text",
    [
        "${steps.build.status} == completed",
        '${steps.build.status} == "completed"',
        "${steps.build.result.version} == '1.10'",
        "${steps.build.result.version} != 1.10",
        "${input.n} > 2 and ${input.n} <= 3",
        "${input.yes}",
        "not ${input.n}",
        "not ${steps.sign.result}",
        "${steps.sign.result} == null",
        "${steps.sign.exitCode} == 1 and ${steps.sign.reason} == exit-code",
        "${steps.skip.exitCode} == null",
        "(${input.n} == 9 or ${input.yes}) and not (${input.s} < 'a')",
        "${input.list.1.deep} == x",
        "${input.big} == 1152921504606846977",
        "${input.missing.at.all} == null",
        "${input.a-b_c} == 1",
        "1 != true",
        "not (1 < 'a') and not ('a' > 1) and not (null < null)",
        "${run.workflow} == release",
        "not not true",
        "false == false or ${input.nothing} == 1",
    ],
)
def test_a_condition_holds(text: str) -> None:
    assert parse_condition(text).holds(KNOWN)


@pytest.mark.parametrize("text", ["${input.n}", "${input.s}", "${input.missing}", "word", "1", "null", "${input.list}"])
def test_a_value_alone_holds_only_when_it_is_true(text: str) -> None:
    assert not parse_condition(text).holds(KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "==",
        "${input.n} ==",
        "${input.n} = 3",
        "${input.n} == 3 3",
        "(true",
        "true)",
        "and",
        "true and",
        "${nothing.x}",
        "${}",
        "${input.n",
        "__import__('os').system('touch x')",
        "$(touch x)",
        "'open",
        "1 < 2 < 3",
        "${steps.build}",
        "${steps.build.status.deep}",
        "${input.a b}",
        "${input..a}",
        "not " * 40 + "true",
        "(" * 40 + "true" + ")" * 40,
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_condition(text)
    assert str(refused.value).isprintable()


@given(st.text(max_size=60) | st.text("${}input.steps() andornot=<>!'\"x1", max_size=40))
def test_any_text_is_a_condition_that_ends_or_is_refused(text: str) -> None:
    try:
        condition = parse_condition(text)
    except ValueError as error:
        assert str(error).isprintable()
        return
    known = Known("r", "w", {}, {reference.step or "": StepValues("completed") for reference in condition.references()})
    assert condition.holds(known) in (True, False)


@given(st.text(max_size=60) | st.text("${}input.steps", max_size=40))
def test_any_text_is_a_template_or_is_refused(text: str) -> None:
    try:
        parts = pieces(text)
    except ValueError as error:
        assert str(error).isprintable()
        return
    if all(isinstance(part, str) for part in parts):
        assert "".join(parts).count("${") == text.count("$${")  # type: ignore[arg-type]


def test_a_whole_reference_keeps_its_type_and_text_around_it_makes_it_text() -> None:
    template: dict[str, Any] = {
        "n": "${input.n}",
        "list": ["${input.list}", "n=${input.n} ${input.list} ${input.yes} ${input.nothing}"],
        "escaped": "$${input.n} costs $5 {x} $",
        "${input.n}": "a key stays",
    }
    assert rendered(template, KNOWN, max_bytes=10_000) == {
        "n": 3,
        "list": [[1, {"deep": "x"}], 'n=3 [1,{"deep":"x"}] true null'],
        "escaped": "${input.n} costs $5 {x} $",
        "${input.n}": "a key stays",
    }


@given(st.text(max_size=30))
def test_what_a_reference_finds_is_put_in_as_it_is(text: str) -> None:
    known = Known("r", "w", {"x": text}, {})
    template = {"whole": "${input.x}", "part": "<${input.x}>"}
    found = rendered(template, known, max_bytes=1000)
    assert found == {"whole": text, "part": f"<{text}>"}


def test_all_references_that_lead_nowhere_are_told() -> None:
    with pytest.raises(PayloadError) as refused:
        rendered({"a": "${input.x}", "b": ["${steps.sign.result.v}", "${input.list.7}"]}, KNOWN, max_bytes=100)
    assert {problem.pointer for problem in refused.value.problems} == {"/a", "/b/0", "/b/1"}


def test_references_cannot_blow_up_a_payload() -> None:
    known = Known("r", "w", {"x": "x" * 100_000}, {})
    with pytest.raises(PayloadError, match="more than 1000000 bytes"):
        rendered({"all": ["${input.x}"] * 100_000}, known, max_bytes=1_000_000)


@pytest.mark.parametrize(
    "text", ["input" + ".a" * 33, "steps", "steps.a", "steps.a.b", "run", "run.x", "INPUT.a", "input.\n"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_reference(text)
