"""Facts: what a payload may name instead of saying, `${worker.hostname}`, put in where the command runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import PayloadError, Problem
from engine.schema import Schema, dump_payload
from engine.schema.shown import pointer

# A `$` before it keeps it as it is written.
_REFERENCE = re.compile(r"(\$?)\$\{worker\.([^{}]{0,100})\}")
_TOLD = 20


def with_facts(value: dict[str, Any], facts: Mapping[str, str], *, max_bytes: int) -> dict[str, Any]:
    """The part of a payload that is the command's, each fact that a string names put in; keys stay as they are.

    What a fact says is not looked through again. Raises PayloadError for facts that there are not, and for more than
    `max_bytes` of JSON.
    """
    problems = list(_unknown(value, facts, ()))
    if problems:
        raise PayloadError(problems)
    found: dict[str, Any] = _put_in(value, facts)
    if len(dump_payload(found)) > max_bytes:
        raise PayloadError([Problem(f"with the worker's facts it has more than {max_bytes} bytes")])
    return found


def check_again(schema: Schema, value: Mapping[str, Any]) -> None:
    """Raises PayloadError: a fact is no more allowed to be anything than who names it."""
    if violations := schema.check(value):
        raise PayloadError([Problem(f"with the worker's facts: {p.message}", p.pointer) for p in violations])


def names_fact(text: str) -> bool:
    return any(not found[1] for found in _REFERENCE.finditer(text))


def _unknown(value: Any, facts: Mapping[str, str], place: tuple[str | int, ...]) -> Iterator[Problem]:
    if isinstance(value, str):
        if any(not found[1] and found[2] not in facts for found in _REFERENCE.finditer(value)):
            # What is asked for may be part of a secret, and is not repeated.
            there = ", ".join(sorted(facts)[:_TOLD]) or "none"
            yield Problem(f"it names a fact that this worker does not have; there is {there}", pointer(place))
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _unknown(member, facts, (*place, key))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _unknown(member, facts, (*place, index))


def _put_in(value: Any, facts: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: found[0][1:] if found[1] else facts[found[2]], value)
    if isinstance(value, dict):
        return {key: _put_in(member, facts) for key, member in value.items()}
    if isinstance(value, list):
        return [_put_in(member, facts) for member in value]
    return value
