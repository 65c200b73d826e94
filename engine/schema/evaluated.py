"""Which members and elements of a value a subschema has looked at: what `unevaluated...` leaves over.

Only for explaining. Where a part fails, what it names counts as looked at: its failure is reported by
itself, and calling its properties unknown on top would mislead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from engine.schema.tree import Node
from engine.schema.validator import Places, name_matcher

Passes = Callable[[Node, Any], bool]


def matchers(schema: dict[str, Any]) -> list[tuple[str, Callable[[str], bool]]]:
    patterns = schema.get("patternProperties")
    return [(pattern, name_matcher(pattern)) for pattern in patterns] if isinstance(patterns, dict) else []


def left_over(schema: dict[str, Any], value: dict[str, Any]) -> list[str]:
    """The members that neither `properties` nor `patternProperties` of this very schema name."""
    named = schema.get("properties", {})
    patterns = matchers(schema)
    return [key for key in value if key not in named and not any(test(key) for _, test in patterns)]


def beside(node: Node, value: Any, places: Places) -> Iterator[Node]:
    """The subschemas that judge the same value and whose findings count for this one."""
    schema = node.schema
    for keyword in ("$ref", "$dynamicRef"):
        if keyword in node.references:
            yield node.references[keyword]
    for i in range(len(schema.get("allOf", ()))):
        yield node.child("allOf", i)
    for keyword in ("anyOf", "oneOf"):
        branches = [node.child(keyword, i) for i in range(len(schema.get(keyword, ())))]
        yield from [b for b in branches if places.at(b.path).is_valid(value)] or branches
    if "if" in schema:
        condition = node.child("if")
        holds = places.at(condition.path).is_valid(value)
        if holds:
            yield condition
        branch = "then" if holds else "else"
        if branch in schema:
            yield node.child(branch)
    if isinstance(value, dict):
        for key in schema.get("dependentSchemas", ()):
            if key in value:
                yield node.child("dependentSchemas", key)


def evaluated_members(node: Node, value: dict[str, Any], places: Places, *, top: bool = True) -> set[str]:
    schema = node.schema
    if not isinstance(schema, dict):
        return set()
    rest = set(left_over(schema, value))
    found = set(value) - rest
    if "additionalProperties" in schema or ("unevaluatedProperties" in schema and not top):
        return set(value)
    for each in beside(node, value, places):
        found |= evaluated_members(each, value, places, top=False)
    return found


def evaluated_elements(node: Node, value: list[Any], places: Places, *, top: bool = True) -> set[int]:
    schema = node.schema
    if not isinstance(schema, dict):
        return set()
    if "items" in schema or ("unevaluatedItems" in schema and not top):
        return set(range(len(value)))
    found = set(range(min(len(schema.get("prefixItems", ())), len(value))))
    if "contains" in schema:
        wanted = places.at(node.child("contains").path)
        found |= {i for i, item in enumerate(value) if wanted.is_valid(item)}
    for each in beside(node, value, places):
        found |= evaluated_elements(each, value, places, top=False)
    return found
