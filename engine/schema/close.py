"""Closing a root that is silent on further properties: a payload then holds what the schema names,
nothing else.
"""

from __future__ import annotations

from typing import Any

# Where these stand at the root, properties may be declared out of sight of `additionalProperties`.
COMBINING = frozenset({"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"})


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with `type: object` and, unless the root says something on it, no further properties."""
    closing: dict[str, Any] = {}
    if "additionalProperties" not in document and "unevaluatedProperties" not in document:
        keyword = "unevaluatedProperties" if COMBINING & document.keys() else "additionalProperties"
        closing = {keyword: False}
    return {**document, "type": "object", **closing}
