"""Check the payload of a step before anything is known: as far as that can be told from its literal parts.

Also what would give a secret away: one that is written down, or one that goes where it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from engine.errors import Problem
from engine.plugin import Prepared
from engine.schema import Schema
from engine.schema.shown import MASK, parts, pointer
from worker.workflows.reference import Reference
from worker.workflows.template import Path, references, replaced

# Where one of these fails above a text that is not known yet, the unknown text may be why.
_DEPENDING = frozenset(
    {"oneOf", "anyOf", "allOf", "not", "if", "const", "enum", "contains", "uniqueItems", "dependentSchemas", "$ref"}
)
_MARK = "penstock-not-secret"


def payload_problems(template: dict[str, Any], prepared: Prepared, schema: Schema | None) -> list[Problem]:
    """What is wrong with it, pointers into the payload. `schema` is the workflow's own; None when it is wrong."""
    value = replaced(template)
    found = list(references(template))
    open_places = {pointer(path) for path, _ in found}
    problems = list(_violations(value, prepared, open_places))
    shown = prepared.schema.redact(value)
    secret = {pointer(path) for path in _masked(value, shown)}
    written = "a secret cannot be written into a workflow: take it from ${input...}"
    problems += [Problem(written, place) for place in sorted(secret - open_places)]
    if schema is not None:
        problems += _leaks(found, secret, schema)
    return problems


def _violations(value: Any, prepared: Prepared, open_places: set[str]) -> Iterator[Problem]:
    depends: bool | None = None
    for problem in prepared.schema.check(value):
        path = parts(problem.pointer)
        if any(_begins(path, parts(place)) for place in open_places):
            continue
        if any(_begins(parts(place), path) for place in open_places):
            depends = _has_keyword(prepared.schema.document) if depends is None else depends
            if depends:
                continue
        yield problem


def _leaks(found: Iterable[tuple[Path, Reference]], secret: set[str], schema: Schema) -> Iterator[Problem]:
    for path, reference in found:
        if reference.root != "input":
            continue
        place = pointer(path)
        hidden = _hides(schema, reference.path)
        if place in secret and not hidden:
            yield Problem(f"it is a secret: mark {_named(reference)} as writeOnly in the workflow's schema", place)
        elif place not in secret and hidden:
            yield Problem(f"{_named(reference)} is a secret, and the script's schema would show it here", place)


def _hides(schema: Schema, path: tuple[str, ...]) -> bool:
    """Whether the workflow masks what stands there, or something of it."""
    value: Any = _MARK
    for part in reversed(path):
        value = {part: value}
    if not path:
        return schema.has_secrets
    return bool(schema.redact(value) != value)


def _named(reference: Reference) -> str:
    return f"${{{reference.text}}}"


def _masked(value: Any, shown: Any) -> Iterator[Path]:
    """Where the texts, numbers and so on stand that are masked."""
    waiting: list[tuple[Path, Any, Any]] = [((), value, shown)]
    while waiting:
        path, before, after = waiting.pop()
        if isinstance(before, dict) and before:
            inner = after if isinstance(after, dict) else dict.fromkeys(before, MASK)
            waiting.extend(((*path, key), member, inner.get(key, MASK)) for key, member in before.items())
        elif isinstance(before, list) and before:
            items = after if isinstance(after, list) and len(after) == len(before) else [MASK] * len(before)
            waiting.extend(((*path, number), *pair) for number, pair in enumerate(zip(before, items, strict=True)))
        elif after == MASK and before not in (MASK, {}, []):
            yield path


def _begins(path: tuple[str, ...], start: tuple[str, ...]) -> bool:
    return path[: len(start)] == start


def _has_keyword(document: Any) -> bool:
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if not _DEPENDING.isdisjoint(node):
                return True
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return False
