"""Schema: what a payload must be. The script's own document, and a document for each key that a plugin
owns.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from engine.errors import DeclarationError, Problem
from engine.schema.explain import Violation
from engine.schema.merge import merged
from engine.schema.part import Part
from engine.schema.screen import Screen
from engine.schema.shown import MESSAGE_CHARS, expected, pointer, quoted, shortened

# More violations than MAX_TOLD are only counted, more than MAX_COUNTED not even that.
MAX_TOLD = 100
MAX_COUNTED = 1000


class Schema:
    """A compiled JSON Schema 2020-12 for payloads. Immutable; equal when the documents and the owners are.

    The script's document judges the payload without the keys of plugins, and each of those is judged by its
    own document. So whatever the script combines (`oneOf`, `unevaluatedProperties`) is not disturbed by a
    plugin.
    """

    __slots__ = ("_merged", "_own", "_owner", "_parts", "_required", "has_secrets")

    def __init__(self, own: Part, owner: str, parts: Mapping[str, tuple[str, Part]], required: frozenset[str]) -> None:
        self._own = own
        self._owner = owner
        self._parts = dict(parts)
        self._required = required
        self._merged: str | None = None
        self.has_secrets = own.secrets.any or any(part.secrets.any for _, part in parts.values())

    @classmethod
    def compile(cls, document: Mapping[str, Any], *, owner: str = "script") -> Schema:
        """Raises `DeclarationError` with every problem of the document, pointers relative to it.

        The root is of type object and, when it is silent on further properties, closed. References stay
        inside the document; formats are asserted; regular expressions run in linear time.
        """
        return cls(Part(document, payload=True), owner, {}, frozenset())

    def extended(self, keys: Mapping[str, tuple[str, Mapping[str, Any]]], *, required: Collection[str] = ()) -> Schema:
        """This schema with top-level keys that others own: `{key: (owner, schema of its value)}`.

        `required` names those of the keys that a payload must have. Raises `DeclarationError` for a key
        that has an owner already, and for a schema that is none; pointers are those of `document`.
        """
        parts = dict(self._parts)
        problems: list[Problem] = []
        for key, (owner, document) in keys.items():
            place = pointer(("properties", key))
            if key in parts:
                problems.append(_clash(key, owner, parts[key][0], "", place))
            elif claim := self._own.claims(key):
                problems.append(_clash(key, owner, self._owner, f" ({claim})", place))
            else:
                try:
                    parts[key] = (owner, Part(document, payload=False))
                except DeclarationError as error:
                    what = f"the schema of {quoted(key)}, which {owner} owns"
                    problems.extend(
                        Problem(f"{what}: {problem.message}", place + problem.pointer) for problem in error.problems
                    )
        problems.extend(
            Problem(f"the key {quoted(key)} is required and nobody owns it") for key in required if key not in keys
        )
        if problems:
            raise DeclarationError(problems)
        return Schema(self._own, self._owner, parts, self._required | frozenset(required))

    @property
    def document(self) -> dict[str, Any]:
        """The whole as one JSON Schema, for showing and exporting; a new copy each time."""
        if self._merged is None:
            parts = {key: part.document for key, (_, part) in self._parts.items()}
            required = [key for key in parts if key in self._required]
            whole = merged(self._own.document, parts, required) if parts else self._own.document
            self._merged = json.dumps(whole, ensure_ascii=False)
        copy: dict[str, Any] = json.loads(self._merged)
        return copy

    def text(self) -> str:
        """The whole as indented JSON for a log; values that it spells out for secrets are masked."""
        parts = {key: part.shown() for key, (_, part) in self._parts.items()}
        required = [key for key in parts if key in self._required]
        own = self._own.shown()
        return json.dumps(merged(own, parts, required) if parts else own, indent=2, ensure_ascii=False)

    def declares(self, key: str) -> bool:
        """Whether the script's own document has a top-level property of that name (a pattern counts)."""
        return self._own.declares(key)

    @property
    def owners(self) -> dict[str, str]:
        """The owner of each key that is not the script's."""
        return {key: owner for key, (owner, _) in self._parts.items()}

    def split(self, value: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """What the script owns, and what other owners of keys that are there own.

        As `(rest, {owner: {key: value}})`.
        """
        rest: dict[str, Any] = {}
        owned: dict[str, dict[str, Any]] = {}
        for key, member in value.items():
            if key in self._parts:
                owned.setdefault(self._parts[key][0], {})[key] = member
            else:
                rest[key] = member
        return rest, owned

    def check(self, value: Any) -> tuple[Problem, ...]:
        """Every violation, pointers into the payload; `()` when it is valid. No secret is repeated.

        The value must have passed `parse_payload` or `check_value`: its depth is not looked at here.
        """
        rest = self._own_part(value)
        if self._own.is_valid(rest) and self._others_valid(value):
            return ()
        problems: dict[Problem, None] = {}
        lines = self._lines(value, rest)
        for violation, screen, inside in lines:
            # The place is that of the value the rule speaks of; a member of a plugin is one level further
            # down.
            place = pointer(inside) + screen.pointer(violation.path)
            problems[Problem(shortened(screen.line(violation), MESSAGE_CHARS), place)] = None
            if len(problems) == MAX_TOLD:
                break
        more = sum(1 for _ in islice(lines, MAX_COUNTED - MAX_TOLD))
        if more:
            least = "at least " if more == MAX_COUNTED - MAX_TOLD else ""
            problems[Problem(f"and {least}{more} more violations")] = None
        return tuple(problems)

    def redact(self, value: Any) -> Any:
        """A copy with `***` for every secret, whether the payload is valid or not; the value itself when the
        schema marks none. Errs on the side of masking."""
        if not self.has_secrets:
            return value
        if not isinstance(value, dict):
            return self._own.secrets.redact(value)
        rest = self._own.secrets.redact(self._own_part(value))
        if not isinstance(rest, dict):  # the root itself is marked: a payload stays an object, with its keys
            rest = dict.fromkeys(value, rest)
        return {
            key: self._parts[key][1].secrets.redact(member) if key in self._parts else rest[key]
            for key, member in value.items()
        }

    def _own_part(self, value: Any) -> Any:
        if not self._parts or not isinstance(value, dict):
            return value
        return {key: member for key, member in value.items() if key not in self._parts}

    def _others_valid(self, value: dict[str, Any]) -> bool:
        for key, (_, part) in self._parts.items():
            if key in value:
                if not part.is_valid(value[key]):
                    return False
            elif key in self._required:
                return False
        return True

    def _lines(self, value: Any, rest: Any) -> Iterator[tuple[Violation, Screen, tuple[str, ...]]]:
        screen = self._own.screen(rest)
        for violation in self._own.violations(rest):
            yield violation, screen, ()
        if not isinstance(value, dict):
            return
        for key, (owner, part) in self._parts.items():
            if key in value:
                screen = part.screen(value[key])
                for violation in part.violations(value[key]):
                    yield violation, screen, (key,)
            elif key in self._required:
                told = f"the property {expected(key)} is missing, which {owner} asks for"
                yield Violation((), "required", told), screen, ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        # Documents may name constants that are nobody's business in a traceback.
        return f"Schema(owner={self._owner!r}, keys={sorted(self._parts)!r})"

    def _identity(self) -> tuple[Any, ...]:
        parts = tuple(sorted((key, owner, part.source) for key, (owner, part) in self._parts.items()))
        return self._owner, self._own.source, parts, self._required


def _clash(key: str, owner: str, other: str, claim: str, place: str) -> Problem:
    message = f"the key {quoted(key)} belongs to {other}{claim} and to {owner}; one must give it up"
    return Problem(message, place)
