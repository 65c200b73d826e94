"""Condition: what stands behind `when`. A language of its own that always ends; a text is never run.

    condition  = conjunction ("or" conjunction)*
    conjunction = negation ("and" negation)*
    negation   = "not" negation | "(" condition ")" | value [("==" | "!=" | "<" | "<=" | ">" | ">=") value]
    value      = "${" reference "}" | "text" | 'text' | number | true | false | null | word

A word stands for itself, as in `== completed`. What a reference does not find is null. Values of different types are
not equal, and none is less than the other. A value alone holds when it is `true`, and in no other case.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from engine.schema.shown import quoted
from worker.workflows.reference import Known, Missing, Reference, parse_reference

_DEPTH = 32
_TOKEN = re.compile(
    r"""\s*(?:
        \$\{(?P<reference>[^{}]*)\}
      | (?P<string>"(?:[^"\\]|\\.)*"|'[^']*')
      | (?P<compare>==|!=|<=|>=|<|>)
      | (?P<bracket>[()])
      | (?P<word>[A-Za-z0-9_.+-]+)
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?\Z")
_WORDS = {"true": True, "false": False, "null": None}
_LESS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Value(Struct, frozen=True):
    """A literal or a reference."""

    content: Any


class Comparison(Struct, frozen=True):
    left: Value
    how: str
    right: Value


class Junction(Struct, frozen=True):
    """`how` is and, or, or not, which has one part."""

    how: str
    parts: tuple[Node, ...]


Node = Value | Comparison | Junction


class Condition(Struct, frozen=True):
    text: str
    root: Node

    def holds(self, known: Known) -> bool:
        return _holds(self.root, known)

    def references(self) -> Iterator[Reference]:
        yield from _references(self.root)


def parse_condition(text: str) -> Condition:
    """Raises ValueError, fit to be shown."""
    tokens = list(_tokens(text))
    reader = _Reader(tokens)
    root = reader.condition(0)
    if reader.at < len(tokens):
        raise ValueError(f"expected and, or, or the end of the condition, found {_shown(tokens[reader.at])}")
    return Condition(text, root)


_Tok = tuple[str, str]


def _tokens(text: str) -> Iterator[_Tok]:
    at = 0
    end = len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if not found:
            raise ValueError(f"this is no part of a condition: {quoted(text[at:].strip(), 40)}")
        assert found.lastgroup
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


class _Reader:
    def __init__(self, tokens: list[_Tok]) -> None:
        self._tokens = tokens
        self.at = 0

    def condition(self, depth: int) -> Node:
        return self._joined("or", lambda: self._joined("and", lambda: self._negation(depth)))

    def _joined(self, word: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self._next() == ("word", word):
            self.at += 1
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction(word, tuple(parts))

    def _negation(self, depth: int) -> Node:
        if depth > _DEPTH:
            raise ValueError(f"the condition is nested deeper than {_DEPTH}")
        if self._next() == ("word", "not"):
            self.at += 1
            return Junction("not", (self._negation(depth + 1),))
        if self._next() == ("bracket", "("):
            self.at += 1
            inner = self.condition(depth + 1)
            if self._next() != ("bracket", ")"):
                raise ValueError(f"expected ), found {_shown(self._next())}")
            self.at += 1
            return inner
        left = self._value()
        kind, how = self._next() or ("", "")
        if kind != "compare":
            return left
        self.at += 1
        return Comparison(left, how, self._value())

    def _value(self) -> Value:
        token = self._next()
        if token is None or token[0] in ("compare", "bracket") or token[1] in ("and", "or", "not"):
            raise ValueError(f"expected a value, found {_shown(token)}")
        self.at += 1
        kind, text = token
        if kind == "reference":
            return Value(parse_reference(text))
        if kind == "string":
            return Value(_string(text))
        if text in _WORDS:
            return Value(_WORDS[text])
        return Value(json.loads(text) if _NUMBER.match(text) else text)

    def _next(self) -> _Tok | None:
        return self._tokens[self.at] if self.at < len(self._tokens) else None


def _string(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1]
    try:
        found: str = json.loads(text)
    except ValueError:
        raise ValueError(f"not a text as JSON writes it: {quoted(text, 40)}") from None
    return found


def _shown(token: _Tok | None) -> str:
    if token is None:
        return "the end"
    return quoted("${" + token[1] + "}" if token[0] == "reference" else token[1], 40)


def _references(node: Node) -> Iterator[Reference]:
    match node:
        case Value(Reference() as reference):
            yield reference
        case Comparison(left, _, right):
            yield from _references(left)
            yield from _references(right)
        case Junction(_, parts):
            for part in parts:
                yield from _references(part)


def _holds(node: Node, known: Known) -> bool:
    match node:
        case Junction("not", (part,)):
            return not _holds(part, known)
        case Junction("and", parts):
            return all(_holds(part, known) for part in parts)
        case Junction(_, parts):
            return any(_holds(part, known) for part in parts)
        case Comparison(left, how, right):
            return _compared(_content(left, known), how, _content(right, known))
    return _content(node, known) is True


def _content(value: Value, known: Known) -> Any:
    if not isinstance(value.content, Reference):
        return value.content
    found = known.look_up(value.content)
    return None if isinstance(found, Missing) else found


def _compared(left: Any, how: str, right: Any) -> bool:
    alike = _kind(left) is _kind(right)
    if how == "==":
        return alike and bool(left == right)
    if how == "!=":
        return not alike or bool(left != right)
    return alike and _kind(left) in (float, str) and _LESS[how](left, right)


def _kind(value: Any) -> type:
    """Numbers are of one kind, and true is none of them."""
    return float if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value)
