"""What a payload may name of its worker, and what comes of texts that only look like it."""

from __future__ import annotations

import pytest

from engine.environment import environment
from engine.errors import PayloadError
from engine.facts import check_again, with_facts
from engine.schema import Schema
from engine.script import EnvFromPayload, Script
from worker.model.fact import facts_of

FACTS = facts_of("w1", "h1", ["group=web.dev", "zone=a", "zone=b"], {"site": "${worker.name}"})


def resolved(text: str) -> object:
    return with_facts({"x": [{"y": text}], "${worker.name}": 1}, FACTS, max_bytes=1000)["x"][0]["y"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("${worker.hostname}", "h1"),
        ("a ${worker.name}.${worker.label.group}$", "a w1.web.dev$"),
        ("${worker.fact.site}", "${worker.name}"),
        ("$${worker.hostname} $$${worker.name}", "${worker.hostname} $${worker.name}"),
        (
            "${hostname} $worker.name ${worker.name ${ worker.name}",
            "${hostname} $worker.name ${worker.name ${ worker.name}",
        ),
    ],
)
def test_facts_are_put_in_once_and_nothing_else_is(text: str, found: str) -> None:
    assert resolved(text) == found


@pytest.mark.parametrize("name", ["fact.other", "label.zone", "HOSTNAME", "", "fact.site\n", "__class__", "hostname "])
def test_what_a_worker_does_not_know_is_told_by_its_place(name: str) -> None:
    with pytest.raises(PayloadError) as caught:
        resolved(f"secret ${{worker.{name}}}")
    assert [problem.pointer for problem in caught.value.problems] == ["/x/0/y"]
    assert "secret" not in str(caught.value) and "hostname" in str(caught.value)


def test_what_comes_of_it_is_bounded_and_checked_again() -> None:
    with pytest.raises(PayloadError):
        with_facts({"x": "${worker.hostname}" * 30}, {"hostname": "h" * 200}, max_bytes=1000)
    schema = Schema.compile({"properties": {"x": {"type": "string", "maxLength": 20}}})
    with pytest.raises(PayloadError) as caught:
        check_again(schema, {"x": "h" * 21})
    assert [problem.pointer for problem in caught.value.problems] == ["/x"]


def test_no_fact_becomes_a_variable() -> None:
    schema = Schema.compile({"properties": {"x": {"type": "string"}}})
    script = Script("a", ("/bin/true",), schema, env={"X": EnvFromPayload("/x")}, facts=True)
    with pytest.raises(PayloadError) as caught:
        environment(script, {"x": "${worker.hostname}"}, "t", 0)
    assert [problem.pointer for problem in caught.value.problems] == ["/x"]
    assert environment(script, {"x": "$${worker.hostname}"}, "t", 0)["X"] == "$${worker.hostname}"
