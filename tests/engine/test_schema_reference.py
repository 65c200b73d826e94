"""The same verdicts as the reference implementation, which the product does not use (it backtracks, and is slow)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.schema import Schema
from tests.reference import hypothesis_jsonschema, jsonschema

NAMES = ["a", "b", "ab", "c1"]
names = st.sampled_from(NAMES)
scalars = st.sampled_from([None, True, False, 0, 1, 1.0, -1, 2.5, 2**53, 2**53 + 1, 2**70, "", "a", "ab", "abc1", "é"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)
counts = st.integers(0, 3)
numbers = st.sampled_from([-1, 0, 1, 2, 2.5, 2**53, 2**70])
types = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])

LEAF = {
    "type": types | st.lists(types, min_size=1, max_size=3, unique=True),
    "const": values,
    "enum": st.lists(values, min_size=1, max_size=3),
    "minimum": numbers,
    "maximum": numbers,
    "exclusiveMinimum": numbers,
    "exclusiveMaximum": numbers,
    "multipleOf": st.sampled_from([1, 2, 0.5, 3, 2**53]),
    "minLength": counts,
    "maxLength": counts,
    "pattern": st.sampled_from(["^a", "b$", "[0-9]", "^(a|b)+$"]),
    "minItems": counts,
    "maxItems": counts,
    "uniqueItems": st.booleans(),
    "minProperties": counts,
    "maxProperties": counts,
    "required": st.lists(names, max_size=2, unique=True),
    "dependentRequired": st.dictionaries(names, st.lists(names, max_size=2, unique=True), max_size=2),
    "minContains": counts,
    "maxContains": counts,
}


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    by_name = st.dictionaries(names, inner, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            **LEAF,
            "allOf": some,
            "anyOf": some,
            "oneOf": some,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "items": inner,
            "prefixItems": some,
            "contains": inner,
            "unevaluatedItems": inner,
            "properties": by_name,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "[0-9]$"]), inner, max_size=2),
            "additionalProperties": inner,
            "unevaluatedProperties": inner,
            "propertyNames": inner,
            "dependentSchemas": by_name,
        },
    )


schemas = st.recursive(
    st.booleans() | st.fixed_dictionaries({}, optional=LEAF) | st.just({"$ref": "#/$defs/shared"}),
    containers,
    max_leaves=6,
)
SHARED = {"type": ["object", "array", "integer"], "maxProperties": 1, "items": {"type": "integer"}}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(names, schemas, max_size=2), schemas, st.dictionaries(names, values, max_size=4))
def test_a_payload_is_judged_as_the_reference_judges_it(
    properties: dict[str, Any], also: Any, payload: dict[str, Any]
) -> None:
    schema = Schema.compile({"properties": properties, "allOf": [also], "$defs": {"shared": SHARED}})
    reference = jsonschema().Draft202012Validator(schema.document)
    problems = schema.check(payload)
    assert (problems == ()) == reference.is_valid(payload)
    # Every violation is explained by its rule: the one without a rule is a last resort.
    assert not any(problem.message.startswith("schema:") for problem in problems)
    if len(problems) <= 100:
        told = {(problem.pointer, problem.message.partition(":")[0]) for problem in problems}
        assert leaves(reference, payload) <= told


COMPARED = {*LEAF} - {"minContains", "maxContains"} | {"anyOf", "not"}


def leaves(reference: Any, payload: Any) -> set[tuple[str, str]]:
    return {
        ("".join(f"/{part}" for part in error.absolute_path), error.validator)
        for error in reference.iter_errors(payload)
        # Under propertyNames the reference gives the object's place, not the name's.
        if error.validator in COMPARED and "propertyNames" not in error.absolute_schema_path
    }


REALISTIC = [
    {
        "required": ["file"],
        "properties": {
            "file": {"type": "string", "minLength": 1, "maxLength": 40, "pattern": "^[a-z/]+$"},
            "digests": {"type": "array", "items": {"enum": ["sha256", "sha512"]}, "uniqueItems": True},
            "level": {"type": "integer", "minimum": 0, "maximum": 2**60, "multipleOf": 3},
        },
    },
    {
        "oneOf": [
            {"properties": {"url": {"type": "string"}}, "required": ["url"]},
            {"properties": {"rows": {"items": {"$ref": "#/$defs/row"}}}, "required": ["rows"]},
        ],
        "$defs": {"row": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}},
    },
]


@pytest.mark.parametrize("document", REALISTIC, ids=["flat", "branches"])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data())
def test_what_a_schema_describes_is_accepted(document: dict[str, Any], data: Any) -> None:
    schema = Schema.compile(document)
    payload = data.draw(
        hypothesis_jsonschema().from_schema({**document, "type": "object", "additionalProperties": True})
    )
    verdict = schema.check(payload) == ()
    assert verdict == jsonschema().Draft202012Validator(schema.document).is_valid(payload)
    json.dumps(schema.redact(payload))
