from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import DeclarationError
from engine.schema import Schema
from tests.reference import jsonschema


def problems(document: Any, **options: Any) -> dict[str, str]:
    with pytest.raises(DeclarationError) as caught:
        Schema.compile(document, **options)
    return {p.pointer: p.message for p in caught.value.problems}


def found(document: dict[str, Any], value: Any) -> dict[str, str]:
    return {p.pointer: p.message for p in Schema.compile(document).check(value)}


# --- compiling ---


def test_every_problem_of_a_document_is_told_with_its_pointer() -> None:
    told = problems(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "array",
            "requried": ["a"],
            "required": "a",
            "dependencies": {},
            "properties": {
                "a": {"type": "strin", "format": "dat-time", "pattern": "(?=a)"},
                "b": 1,
                "c": {"$ref": "http://example.com/x"},
                "d": {"$ref": "#/$defs/none"},
                "e": {"$ref": "file:///etc/passwd"},
                "f": {"$dynamicRef": "other.json"},
            },
            "patternProperties": {"(": {}},
        }
    )
    assert set(told) == {
        "/$schema",
        "/type",
        "/requried",
        "/required",
        "/dependencies",
        "/properties/a/type",
        "/properties/a/format",
        "/properties/a/pattern",
        "/properties/b",
        "/properties/c/$ref",
        "/properties/d/$ref",
        "/properties/e/$ref",
        "/properties/f/$dynamicRef",
        "/patternProperties/(",
    }
    assert 'did you mean "required"' in told["/requried"]
    assert 'did you mean "date-time"' in told["/properties/a/format"]
    assert "backtracks" in told["/properties/a/pattern"]


@pytest.mark.parametrize("document", [True, None, [], "x", {"a": float("nan")}, {"enum": [b"x"]}, {1: 2}])
def test_what_is_no_json_object_is_no_schema(document: Any) -> None:
    assert problems(document)


@pytest.mark.parametrize(
    "document",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}},
    ],
)
def test_a_reference_that_comes_back_on_the_same_value_is_refused(document: dict[str, Any]) -> None:
    assert any("refers to itself" in message for message in problems(document).values())


def test_references_within_the_document_work_by_pointer_anchor_and_id() -> None:
    document = {
        "properties": {
            "pointer": {"$ref": "#/$defs/a~1b%20c"},
            "anchor": {"$ref": "#here"},
            "id": {"$ref": "https://example.com/other"},
            "tree": {"$ref": "#/$defs/tree"},
            "aside": {"$ref": "#/x-shared/word"},
        },
        "$defs": {
            "a/b c": {"type": "integer"},
            "x": {"$anchor": "here", "type": "integer"},
            "y": {"$id": "https://example.com/other", "$ref": "#/$defs/z", "$defs": {"z": {"type": "integer"}}},
            "tree": {"properties": {"below": {"items": {"$ref": "#/$defs/tree"}}}, "additionalProperties": False},
        },
        "x-shared": {"word": {"type": "integer"}},
    }
    wrong = {"pointer": "", "anchor": "", "id": "", "aside": "", "tree": {"below": [{}, {"below": [{"q": 1}]}]}}
    assert set(found(document, wrong)) == {"/pointer", "/anchor", "/id", "/aside", "/tree/below/1/below/0/q"}
    assert not found(document, {"pointer": 1, "anchor": 1, "id": 1, "tree": {"below": [{"below": []}]}})


def test_x_keywords_and_annotations_are_left_alone() -> None:
    Schema.compile({"x-form": {"requried": 1}, "title": "t", "examples": [{"requried": 1}], "deprecated": True})


@pytest.mark.parametrize(
    ("document", "keyword"),
    [
        ({}, "additionalProperties"),
        ({"type": ["object"]}, "additionalProperties"),
        ({"properties": {"a": {}}}, "additionalProperties"),
        ({"allOf": [{"properties": {"a": {}}}]}, "unevaluatedProperties"),
        ({"oneOf": [{"properties": {"a": {}}}]}, "unevaluatedProperties"),
        ({"anyOf": [{"properties": {"a": {}}}]}, "unevaluatedProperties"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"a": {}}}}}, "unevaluatedProperties"),
        ({"if": {}, "then": {"properties": {"a": {}}}}, "unevaluatedProperties"),
        ({"dependentSchemas": {"a": {"properties": {"a": {}}}}}, "unevaluatedProperties"),
    ],
)
def test_a_silent_root_is_closed(document: dict[str, Any], keyword: str) -> None:
    schema = Schema.compile(document)
    assert schema.document[keyword] is False
    assert schema.document["type"] in ("object", ["object"])
    assert schema.check({"zz": 1})[0].message.startswith(keyword)
    if document.get("type") is None and document:
        assert schema.check({"a": 1}) == ()


@pytest.mark.parametrize("document", [{"additionalProperties": True}, {"unevaluatedProperties": {"type": "integer"}}])
def test_a_root_that_says_something_on_further_properties_is_left_open(document: dict[str, Any]) -> None:
    assert Schema.compile(document).check({"zz": 1}) == ()


def test_equal_documents_make_equal_schemas_and_true_is_not_one() -> None:
    one, other = Schema.compile({"const": {"a": 1}}), Schema.compile({"const": {"a": True}})
    assert one == Schema.compile({"const": {"a": 1}})
    assert hash(one) == hash(Schema.compile({"const": {"a": 1}}))
    assert one != other


def test_changing_what_went_in_or_came_out_changes_nothing() -> None:
    document: dict[str, Any] = {"properties": {"a": {"type": "integer"}}}
    schema = Schema.compile(document)
    document["properties"]["a"]["type"] = "string"
    schema.document["properties"].clear()
    assert schema.check({"a": 1}) == ()


# --- checking ---


def test_every_violation_is_told_with_rule_expectation_and_finding() -> None:
    document = {
        "required": ["z"],
        "properties": {
            "n": {"type": "integer", "minimum": 3, "multipleOf": 2},
            "s": {"minLength": 5, "pattern": "^x"},
            "list": {"items": {"type": "string"}, "maxItems": 2, "uniqueItems": True},
            "tuple": {"prefixItems": [{"type": "string"}], "items": False},
            "url": {"format": "uri"},
            "kind": {"enum": ["a", "b"]},
            "no": {"not": {"type": "string"}},
            "names": {"propertyNames": {"pattern": "^a"}},
            "some": {"contains": {"type": "string"}, "minContains": 2},
            "pair": {"dependentRequired": {"a": ["b"]}},
            "when": {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
        },
    }
    value = {
        "n": 1,
        "s": "abc",
        "list": [1, "x", "x"],
        "tuple": [1, 2, 3],
        "url": "no uri",
        "kind": "c",
        "no": "text",
        "names": {"b": 1},
        "some": ["a"],
        "pair": {"a": 1},
        "when": {"a": 1},
        "urll": 1,
    }
    told = [(p.pointer, p.message.split(":")[0]) for p in Schema.compile(document).check(value)]
    assert sorted(told) == sorted(
        [
            ("", "required"),
            ("/n", "minimum"),
            ("/n", "multipleOf"),
            ("/s", "minLength"),
            ("/s", "pattern"),
            ("/list/0", "type"),
            ("/list", "maxItems"),
            ("/list", "uniqueItems"),
            ("/tuple/0", "type"),
            ("/tuple/1", "items"),
            ("/url", "format"),
            ("/kind", "enum"),
            ("/no", "not"),
            ("/names/b", "propertyNames"),
            ("/some", "minContains"),
            ("/pair", "dependentRequired"),
            ("/when", "required"),
            ("/urll", "additionalProperties"),
        ]
    )
    messages = found(document, value)
    assert messages["/kind"] == 'enum: expected one of "a", "b", found "c"'
    assert messages["/list/0"] == "type: expected string, found 1"
    assert 'did you mean "url"' not in messages["/urll"]  # it is there already


def test_a_misspelt_property_is_answered_with_the_one_that_was_meant() -> None:
    assert 'did you mean "verbose"' in found({"properties": {"verbose": {}}}, {"verbos": True})["/verbos"]


def test_one_of_says_what_each_branch_wanted() -> None:
    branches = [
        {"title": "By name", "required": ["name"]},
        {"properties": {"id": {"type": "integer"}}, "required": ["id"]},
    ]
    document = {"properties": {"who": {"oneOf": branches}, "any": {"anyOf": [{"type": "string"}, {"minimum": 5}]}}}
    told = found(document, {"who": {"id": "x"}, "any": 1})
    assert told["/who"] == (
        'oneOf: no branch of 2 matches; branch 1 ("By name"): required: the property "name" is missing; '
        'branch 2: /id type: expected integer, found "x"'
    )
    assert "branch 2: minimum: expected at least 5, found 1" in told["/any"]
    assert "branches 1 and 2 match" in found(document, {"who": {"name": "x", "id": 1}})["/who"]


def test_unknown_properties_of_a_combined_root_are_told_without_those_that_failed_by_themselves() -> None:
    document = {"allOf": [{"properties": {"a": {"type": "integer"}}}]}
    assert set(found(document, {"a": "x", "b": 1})) == {"/a", "/b"}


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ({"maximum": 2**53}, 2**53, 2**53 + 1),
        ({"maximum": 2**64}, 2**64, 2**64 + 1),
        ({"minimum": 10**400}, 10**400, 10**400 - 1),
        ({"exclusiveMinimum": -(2**70)}, -(2**70) + 1, -(2**70)),
        ({"multipleOf": 2}, 2**70, 2**70 + 1),
        ({"multipleOf": 3}, 3 * 10**399, 10**400),
        ({"const": 2**64}, 2**64, 2**64 + 1),
        ({"const": {"deep": [2**53]}}, {"deep": [2**53]}, {"deep": [2**53 + 1]}),
        ({"enum": [2**70]}, 2**70, 2**70 + 1),
        ({"type": "integer"}, 10**400, True),
        ({"type": "integer"}, 1.0, 1.5),
        ({"const": 1}, 1.0, True),
        ({"uniqueItems": True}, [2**53, 2**53 + 1, 1, True], [1, 1.0]),
        ({"maximum": 1.5}, 1, 10**400),
    ],
)
def test_numbers_are_judged_exactly_at_any_size(rule: dict[str, Any], good: Any, bad: Any) -> None:
    schema = Schema.compile({"properties": {"n": rule}})
    assert schema.check({"n": good}) == ()
    (problem,) = schema.check({"n": bad})
    assert problem.pointer == "/n"
    assert len(problem.message) < 400


FORMATS = {
    "date-time": "2026-13-01T00:00:00Z",
    "date": "2026-02-30",
    "time": "25:00:00Z",
    "duration": "1h",
    "email": "x",
    "hostname": "-x",
    "ipv4": "1.2.3",
    "ipv6": "::g",
    "uri": "not a uri",
    "uri-reference": "\\\\",
    "iri": "x",
    "uuid": "1-2",
    "uri-template": "{",
    "json-pointer": "x",
    "regex": "(",
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_asserted(name: str) -> None:
    assert set(found({"properties": {"f": {"format": name}}}, {"f": FORMATS[name]})) == {"/f"}
    assert not found({"properties": {"f": {"format": name}}}, {"f": 5})


@pytest.mark.timeout(60)  # minutes and more where it is done naively
def test_a_pattern_that_would_backtrack_for_ever_elsewhere_is_judged() -> None:
    schema = Schema.compile({"properties": {"s": {"pattern": "^(a+)+$"}}, "patternProperties": {"^(b+)+$": {}}})
    assert schema.check({"s": "a" * 50_000 + "!", "b" * 5000 + "!": 1})


@pytest.mark.timeout(60)  # minutes and more where it is done naively
def test_unique_items_over_four_thousand_objects_are_judged() -> None:
    schema = Schema.compile({"properties": {"a": {"uniqueItems": True}}})
    rows = [{"id": i, "tags": [str(i), {"x": i}]} for i in range(4000)]
    assert schema.check({"a": rows}) == ()
    assert schema.check({"a": [*rows, dict(rows[0])]})


@pytest.mark.timeout(60)  # minutes and more where it is done naively
def test_a_payload_full_of_mistakes_costs_no_more_than_the_ones_that_are_told() -> None:
    wide = Schema.compile({"properties": {"a": {"items": {"type": "string"}}}})
    missing = Schema.compile({"additionalProperties": True, "required": [f"r{i}" for i in range(3000)]})
    told = wide.check({"a": list(range(200_000))})
    also = missing.check({f"k{i}": "x" * 100 for i in range(10_000)})
    assert len(told) == len(also) == 101
    assert "at least 900 more" in told[-1].message


def test_the_violations_beyond_a_hundred_are_counted() -> None:
    schema = Schema.compile({"properties": {"a": {"items": {"type": "string"}}}})
    assert schema.check({"a": list(range(105))})[-1].message == "and 5 more violations"


def test_hostile_names_and_values_stay_short_and_on_one_line() -> None:
    schema = Schema.compile({"properties": {"a": {"type": "integer"}}})
    for problem in schema.check({"a": "x\n\x1b[31m" * 10**5, "\r\n" + "k" * 10**5 + "/~": 1, "\u2028\u202e": 2}):
        assert str(problem).isprintable()
        assert len(str(problem)) < 500


# --- keys of plugins ---

OWN = {
    "oneOf": [
        {"properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False},
        {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
    ]
}
PLUGINS = {
    "dryRun": ("dryRun", {"type": "boolean"}),
    "limits": ("limiter", {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "required": ["max"]}}}),
}


def test_plugin_keys_are_judged_by_their_owner_and_never_disturb_the_scripts_schema() -> None:
    schema = Schema.compile(OWN).extended(PLUGINS, required={"dryRun"})
    assert schema.check({"a": 1, "dryRun": True, "limits": {"max": 1}}) == ()
    told = {p.pointer: p.message for p in schema.check({"a": 1, "c": 2, "limits": {}})}
    assert told["/limits"] == 'required: the property "max" is missing'
    assert '"dryRun" is missing, which dryRun asks for' in told[""] or "/c" in told
    assert any("dryRun asks for" in p.message for p in schema.check({"a": 1}))


def test_the_merged_document_is_one_schema_with_the_same_verdicts() -> None:
    schema = Schema.compile(OWN).extended(PLUGINS, required={"dryRun"})
    reference = jsonschema().Draft202012Validator
    reference.check_schema(schema.document)
    whole = reference(schema.document)
    for value in (
        {"a": 1, "dryRun": True},
        {"b": 1, "dryRun": True, "limits": {"max": 2}},
        {"b": 1, "dryRun": True, "limits": {}},
        {"a": 1},
        {"a": 1, "b": 1, "dryRun": True},
        {"a": 1, "x": 1, "dryRun": True},
        {"a": "1", "dryRun": 1},
    ):
        assert whole.is_valid(value) == (schema.check(value) == ()), value
    assert json.loads(schema.text())["properties"].keys() == {"dryRun", "limits"}


@pytest.mark.parametrize(
    "document",
    [
        {"properties": {"dryRun": {}}},
        {"patternProperties": {"^dry": {}}},
        {"allOf": [{"properties": {"dryRun": {}}}]},
        {"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"dryRun": {}}}}},
        {"required": ["dryRun"], "additionalProperties": True},
    ],
)
def test_a_key_that_the_script_declares_is_a_clash_that_names_both_owners(document: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError) as caught:
        Schema.compile(document, owner="script sign").extended({"dryRun": ("plugin dryRun", {"type": "boolean"})})
    (problem,) = caught.value.problems
    assert all(word in problem.message for word in ('"dryRun"', "script sign", "plugin dryRun"))
    assert problem.pointer == "/properties/dryRun"


def test_two_plugins_cannot_own_one_key_and_a_broken_plugin_schema_is_told() -> None:
    schema = Schema.compile({}).extended({"a": ("one", {})})
    with pytest.raises(DeclarationError) as caught:
        schema.extended({"a": ("two", {}), "b": ("two", {"type": "x"})}, required={"c"})
    text = str(caught.value)
    assert "one" in text
    assert "two" in text
    assert "/properties/b/type" in text
    assert '"c"' in text


def test_a_payload_is_split_among_its_owners() -> None:
    schema = Schema.compile(OWN).extended(PLUGINS)
    rest, owned = schema.split({"z": 1, "limits": {"max": 1}, "a": 2, "dryRun": True})
    assert list(rest.items()) == [("z", 1), ("a", 2)]
    assert owned == {"limiter": {"limits": {"max": 1}}, "dryRun": {"dryRun": True}}


@pytest.mark.parametrize("value", [None, [], 3, "x", True])
def test_a_value_that_is_no_object_is_one_violation(value: Any) -> None:
    (problem,) = Schema.compile({}).extended({"a": ("one", {})}).check(value)
    assert problem.message.startswith("type: expected object")
