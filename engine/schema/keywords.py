"""The keywords of JSON Schema 2020-12, by what stands in them. Data only."""

from __future__ import annotations

DIALECT = "https://json-schema.org/draft/2020-12/schema"

# How the value that a subschema judges relates to the value of the schema around it.
PLACE = "place"  # the same value
ITEM = "item"  # an element of it
NAME = "name"  # the member of that name, or of a name that matches
REST = "rest"  # a member of any other name
KEY = "key"  # a member's name
DYNAMIC = "dynamic"  # perhaps the same value: where a $dynamicRef may lead
SHELF = "shelf"  # none: a definition, used through a reference

SINGLE: dict[str, str] = {
    "not": PLACE,
    "if": PLACE,
    "then": PLACE,
    "else": PLACE,
    "contentSchema": PLACE,
    "items": ITEM,
    "contains": ITEM,
    "unevaluatedItems": ITEM,
    "additionalProperties": REST,
    "unevaluatedProperties": REST,
    "propertyNames": KEY,
}
LISTS: dict[str, str] = {"allOf": PLACE, "anyOf": PLACE, "oneOf": PLACE, "prefixItems": ITEM}
MAPS: dict[str, str] = {
    "properties": NAME,
    "patternProperties": NAME,
    "dependentSchemas": PLACE,
    "$defs": SHELF,
    "definitions": SHELF,
}
REFERENCES = ("$ref", "$dynamicRef")

IDENTITY = frozenset({"$schema", "$id", "$anchor", "$dynamicAnchor", "$vocabulary", "$comment", *REFERENCES})
ANNOTATIONS = frozenset(
    {
        "title",
        "description",
        "default",
        "deprecated",
        "readOnly",
        "writeOnly",
        "examples",
        "contentEncoding",
        "contentMediaType",
    }
)
# Those that judge a value by themselves, without a subschema.
LEAVES = (
    "const",
    "enum",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)
KNOWN = frozenset(
    {
        *IDENTITY,
        *ANNOTATIONS,
        *SINGLE,
        *LISTS,
        *MAPS,
        *LEAVES,
        "type",
        "required",
        "dependentRequired",
        "minContains",
        "maxContains",
    }
)
# What earlier drafts called it; a 2020-12 validator ignores these without a word.
RENAMED = {
    "id": "$id",
    "dependencies": "dependentRequired or dependentSchemas",
    "additionalItems": "items (beside prefixItems)",
    "$recursiveRef": "$dynamicRef",
    "$recursiveAnchor": "$dynamicAnchor",
}

# What the validator asserts; `password` marks a secret and asserts nothing.
FORMATS = frozenset(
    {
        "date",
        "date-time",
        "time",
        "duration",
        "email",
        "idn-email",
        "hostname",
        "idn-hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uri-reference",
        "iri",
        "iri-reference",
        "uri-template",
        "uuid",
        "json-pointer",
        "relative-json-pointer",
        "regex",
        "password",
    }
)
TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
