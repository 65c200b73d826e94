"""What is wrong with a schema document: all of it, each with its place. Judges the document, not payloads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema_rs import ValidationError

from engine.errors import Problem
from engine.schema.keywords import DIALECT, FORMATS, KNOWN, RENAMED, TYPES
from engine.schema.payload import json_problems
from engine.schema.secrets import secret_keys
from engine.schema.shown import kind, pointer, printable, quoted, shortened, shown, suggestion
from engine.schema.tree import Node, Tree, problems_of
from engine.schema.validator import meta_validator, pattern_problem

# Two levels for each level of a payload (`properties`, then the name), and some for what is combined.
MAX_SCHEMA_DEPTH = 200


def unreadable(document: Any) -> list[Problem]:
    """What keeps the document from being looked at at all."""
    if not isinstance(document, Mapping):
        return [Problem(f"a schema must be an object, found {kind(document)}")]
    return json_problems(dict(document), max_depth=MAX_SCHEMA_DEPTH)


def lint(document: dict[str, Any], tree: Tree, *, payload: bool) -> list[Problem]:
    """`payload`: the document describes a whole payload, so its root must be of type object."""
    problems = list(_against_the_meta_schema(document))
    problems.extend(_root_type(document) if payload else ())
    for node in tree.nodes.values():
        if isinstance(node.schema, dict):
            problems.extend(_keywords(node, node.schema))
    problems.extend(problems_of(tree))
    problems.extend(
        Problem("a name cannot be a secret: it stands in every pointer and message", pointer(path))
        for path in secret_keys(tree)
    )
    return list(dict.fromkeys(problems))


def _root_type(document: dict[str, Any]) -> Iterator[Problem]:
    found = document.get("type", "object")
    if found not in ("object", ["object"]):
        yield Problem(f'the root must be of type "object", found {shown(found)}', "/type")


def _against_the_meta_schema(document: dict[str, Any]) -> Iterator[Problem]:
    for error in meta_validator().iter_errors(document):
        path = error.instance_path
        yield Problem(_meta_message(error), pointer(path))


def _meta_message(error: ValidationError) -> str:
    # The value is shown as `***` by the library; what it is can be told from the place.
    where = error.instance_path
    if where and where[-1] == "type" and error.kind.name == "anyOf":
        return f"type: expected one of {', '.join(TYPES)}, or a list of them without repetition"
    return printable(shortened(error.message.replace("***", "this value"), 300))


def _keywords(node: Node, schema: dict[str, Any]) -> Iterator[Problem]:
    for keyword, value in schema.items():
        place = pointer((*node.path, keyword))
        if keyword in RENAMED:
            yield Problem(f"{keyword} is no keyword of 2020-12, write {RENAMED[keyword]}", place)
        elif keyword not in KNOWN and not keyword.startswith("x-"):
            near = suggestion(keyword, KNOWN)
            hint = near or "; own annotations start with x-"
            yield Problem(f"unknown keyword {quoted(keyword)}{hint}", place)
        elif keyword == "$schema" and value not in (DIALECT, DIALECT + "#"):
            yield Problem(f"only {DIALECT} is supported, found {shown(value)}", place)
        elif keyword == "format" and isinstance(value, str) and value not in FORMATS:
            yield Problem(f"unknown format {quoted(value)}{suggestion(value, FORMATS)}", place)
        elif keyword == "pattern" and isinstance(value, str) and (why := pattern_problem(value)):
            yield Problem(f"the pattern {quoted(value)} {why}", place)
        elif keyword == "patternProperties" and isinstance(value, dict):
            for name in value:
                if why := pattern_problem(name):
                    yield Problem(f"the pattern {quoted(name)} {why}", pointer((*node.path, keyword, name)))
