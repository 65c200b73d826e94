"""One document for a script's schema and the keys that plugins own, for people and forms.

Payloads are never judged by it: each part judges its own. It says the same as the parts together, except that
`minProperties` and `maxProperties` of the script's root count the plugins' keys here, and that a closed
schema which the root reaches only through a `$ref` refuses them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from engine.schema.keywords import PLACE
from engine.schema.tree import Tree, look_up


def merged(own: dict[str, Any], parts: Mapping[str, Any], required: Iterable[str]) -> dict[str, Any]:
    """`parts` is the schema of each key. Returns a new document."""
    document: dict[str, Any] = json.loads(json.dumps(own))
    for place in _judges_of_the_root(own):
        node = look_up(document, place)
        if place and ("additionalProperties" in node or "unevaluatedProperties" in node):
            node["properties"] = {**node.get("properties", {}), **dict.fromkeys(parts, True)}
        if "propertyNames" in node:
            node["propertyNames"] = {"anyOf": [{"enum": list(parts)}, node["propertyNames"]]}
    keys = {key: _self_contained(key, schema) for key, schema in parts.items()}
    document["properties"] = {**document.get("properties", {}), **keys}
    if wanted := list(required):
        document["required"] = [*document.get("required", ()), *wanted]
    return document


def _judges_of_the_root(document: dict[str, Any]) -> list[tuple[str | int, ...]]:
    """The subschemas written within the root that judge the payload itself, the root first."""
    tree = Tree(document)
    found, stack = [], [tree.root]
    while stack:
        node = stack.pop()
        if not isinstance(node.schema, dict):
            continue
        found.append(node.path)
        stack.extend(
            below
            for relation, _, below in node.edges
            if relation == PLACE and below.path[: len(node.path)] == node.path and below.path != node.path
        )
    return list(dict.fromkeys(found))


def _self_contained(key: str, schema: Any) -> Any:
    """With an identity of its own where it refers to itself: `#` would mean the merged document otherwise."""
    copy = json.loads(json.dumps(schema))
    if isinstance(copy, dict) and "$id" not in copy and any(n.references for n in Tree(copy).nodes.values()):
        copy["$id"] = f"urn:penstock:plugin:{key}"
    return copy
