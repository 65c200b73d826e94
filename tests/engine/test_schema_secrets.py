from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DeclarationError
from engine.schema import Schema

S = "hunter2-secret"
SECRET = {"writeOnly": True, "type": "string"}


def spoken(schema: Schema, value: Any) -> str:
    return "\n".join(map(str, schema.check(value))) + json.dumps(schema.redact(value))


PLACES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a property": ({"properties": {"k": SECRET}}, {"k": S}),
    "a password": ({"properties": {"k": {"format": "password", "minLength": 99}}}, {"k": S}),
    "the wrong type": ({"properties": {"k": {"writeOnly": True, "type": "integer"}}}, {"k": S}),
    "a constant": ({"properties": {"k": {"writeOnly": True, "const": S}}}, {"k": "other"}),
    "an enumeration": ({"properties": {"k": {"writeOnly": True, "enum": [S]}}}, {"k": "other"}),
    "a pattern": ({"properties": {"k": {"writeOnly": True, "pattern": f"^{S}$"}}}, {"k": "other"}),
    "a reference": (
        {"properties": {"k": {"$ref": "#/$defs/s"}}, "$defs": {"s": {"format": "password", "type": "null"}}},
        {"k": S},
    ),
    "an array": ({"properties": {"k": {"items": {**SECRET, "maxLength": 1}}}}, {"k": [S, [S]]}),
    "a tuple": ({"properties": {"k": {"prefixItems": [{}, {**SECRET, "maxLength": 1}]}}}, {"k": [1, S]}),
    "a branch": (
        {"properties": {"k": {"oneOf": [{"type": "integer"}, {"writeOnly": True, "maxLength": 1}]}}},
        {"k": S},
    ),
    "a branch of the root": ({"anyOf": [{"properties": {"k": {**SECRET, "maxLength": 1}}}]}, {"k": S}),
    "a condition": (
        {"if": {"required": ["a"]}, "then": {"properties": {"a": {}, "k": {"writeOnly": True, "type": "null"}}}},
        {"a": 1, "k": S},
    ),
    "a dependent schema": (
        {"properties": {"a": {}, "k": {"type": "null"}}, "dependentSchemas": {"a": {"properties": {"k": SECRET}}}},
        {"a": 1, "k": S},
    ),
    "a negation": ({"not": {"properties": {"k": SECRET}, "required": ["k"]}, "additionalProperties": True}, {"k": S}),
    "a pattern of names": ({"patternProperties": {"^k": {**SECRET, "maxLength": 1}}}, {"k1": S}),
    "any other name": ({"additionalProperties": {**SECRET, "maxLength": 1}}, {"k": S}),
    "any name of an object": (
        {"properties": {"o": {"additionalProperties": {**SECRET, "maxLength": 1}}}},
        {"o": {"k": S}},
    ),
    "a map of maps": (
        {"properties": {"o": {"additionalProperties": {"additionalProperties": {**SECRET, "maxLength": 1}}}}},
        {"o": {"k": {"l": S}}},
    ),
    "a map of objects": (
        {"properties": {"o": {"additionalProperties": {"properties": {"k": {**SECRET, "maxLength": 1}}}}}},
        {"o": {"x": {"k": S}}},
    ),
    "the root": ({"writeOnly": True, "properties": {"k": {"type": "integer"}}}, {"k": S}),
    "an object": (
        {"properties": {"k": {"writeOnly": True, "type": "object", "additionalProperties": False}}},
        {"k": {S: S, "list": [S, 5]}},
    ),
    "a level too high": ({"properties": {"k": {"type": "object", "properties": {"pass": SECRET}}}}, {"k": S}),
    "a misspelt name": ({"properties": {"pass": SECRET}}, {"pas": S}),
    "a misspelt name below": (
        {"properties": {"k": {"properties": {"pass": SECRET}, "additionalProperties": False}}},
        {"k": {"pas": S}},
    ),
    "the same name elsewhere": (
        {"properties": {"a": {"properties": {"k": SECRET}}, "b": {}}},
        {"b": [{"c": {"k": S}}]},
    ),
    "a dynamic reference": (
        {
            "properties": {"k": {"$dynamicRef": "#s"}},
            "$defs": {"s": {"$dynamicAnchor": "s", "writeOnly": True, "type": "null"}},
        },
        {"k": S},
    ),
    "a recursive schema": (
        {
            "$ref": "#/$defs/n",
            "$defs": {"n": {"properties": {"k": {**SECRET, "maxLength": 1}, "n": {"$ref": "#/$defs/n"}}}},
        },
        {"n": {"n": {"k": S}}},
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_never_repeated_from(place: str) -> None:
    document, value = PLACES[place]
    schema = Schema.compile(document)
    assert schema.has_secrets
    assert S not in spoken(schema, value)
    assert S not in spoken(schema, {"unknown": value, **value})
    assert S not in spoken(schema.extended({"plugin": ("p", {"type": "integer"})}), {**value, "plugin": 1})
    assert S not in repr(schema)


def test_a_secret_that_is_repeated_in_another_field_is_held_back_there_too() -> None:
    schema = Schema.compile({"properties": {"k": SECRET, "url": {"format": "uri"}, "n": {"type": "string"}}})
    told = "\n".join(map(str, schema.check({"k": S, "url": f"x {S} y", "n": {S: 1}, f"a{S}": 1})))
    assert S not in told
    assert "/url" in told


def test_a_secret_of_a_plugin_is_kept_as_well() -> None:
    schema = Schema.compile({"properties": {"a": {"type": "integer"}}}).extended(
        {"auth": ("login", {"properties": {"token": {"format": "password", "maxLength": 1}}})}
    )
    value = {"a": 1, "auth": {"token": S}}
    assert S not in spoken(schema, value)
    assert schema.redact(value) == {"a": 1, "auth": {"token": "***"}}
    assert [p.pointer for p in schema.check(value)] == ["/auth/token"]


def test_what_is_no_secret_is_still_shown() -> None:
    schema = Schema.compile(
        {
            "properties": {
                "k": SECRET,
                "n": {"type": "integer"},
                "hosts": {"items": {"properties": {"user": {"type": "string"}, "k": SECRET}}},
                "labels": {"additionalProperties": {"type": "string"}},
            }
        }
    )
    value = {"n": "seven", "k": S, "hosts": [{"user": "me", "k": S}], "labels": {"x": "y"}}
    assert 'found "seven"' in schema.check(value)[0].message
    assert schema.redact(value) == {
        "n": "seven",
        "k": "***",
        "hosts": [{"user": "me", "k": "***"}],
        "labels": {"x": "y"},
    }
    assert list(schema.redact(value)) == list(value)


def test_the_names_in_a_map_of_secrets_are_kept() -> None:
    schema = Schema.compile({"properties": {"env": {"additionalProperties": SECRET}}})
    assert schema.redact({"env": {"A": S, "B": [S]}}) == {"env": {"A": "***", "B": "***"}}


def test_a_schema_without_secrets_hands_the_value_back_itself() -> None:
    schema = Schema.compile({"properties": {"a": {"writeOnly": False}}})
    value = {"a": 1}
    assert not schema.has_secrets
    assert schema.redact(value) is value


def test_names_cannot_be_secret() -> None:
    with pytest.raises(DeclarationError, match="a name cannot be a secret"):
        Schema.compile({"propertyNames": {"$ref": "#/$defs/s"}, "$defs": {"s": {"format": "password"}}})


def test_the_schema_in_a_log_does_not_spell_a_secret_out() -> None:
    document = {
        "properties": {"k": {"writeOnly": True, "const": S, "default": S, "examples": [S]}, "a": {"const": "seen"}}
    }
    text = Schema.compile(document).extended({"p": ("x", {"format": "password", "enum": [S]})}).text()
    assert S not in text
    assert "seen" in text


def test_very_deep_values_are_redacted_without_recursion() -> None:
    value: Any = {"k": S}
    for _ in range(5000):
        value = {"n": [value]}
    redacted = Schema.compile({"properties": {"k": SECRET, "n": {}}}).redact(value)
    while "n" in redacted:
        (redacted,) = redacted["n"]
    assert redacted == {"k": "***"}


names = st.sampled_from(["k", "user", "token1", "x", "nest"])
payloads = st.recursive(
    st.just(S) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(names, payloads, max_size=5))
def test_no_value_under_a_secret_name_survives_at_any_depth(value: dict[str, Any]) -> None:
    schema = Schema.compile(
        {
            "properties": {"k": SECRET, "user": {"type": "integer"}, "nest": {"$ref": "#/$defs/n"}},
            "patternProperties": {"^token": SECRET},
            "$defs": {"n": {"properties": {"nest": {"$ref": "#/$defs/n"}, "k": {"type": "string"}}}},
        }
    )
    schema.check(value)
    stack: list[Any] = [schema.redact(value)]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            assert all(node[name] == "***" for name in ("k", "token1") if name in node)
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
