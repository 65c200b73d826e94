"""Payloads as bytes and as values: strict JSON in, exact JSON out. Knows no schema."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import Any

from engine.errors import PayloadError, Problem
from engine.hiding import Hiding
from engine.schema.shown import kind, pointer, quoted

MAX_DEPTH = 64
# CPython converts no longer integer to or from text (CVE-2020-10735), and a command in Python could not
# read it.
MAX_INT_DIGITS = 4300
_TOO_LARGE = 10**MAX_INT_DIGITS
# More of the same mistake tells nobody more.
MAX_PROBLEMS = 100

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NO_BRACKETS = bytes(b for b in range(256) if b not in b"[]{}")
# Made once: `json.dumps` would make one for each call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class Payload(Hiding, frozen=True):
    """A payload that was parsed: its value, and the same as `dump_payload` writes it. Nobody changes the value."""

    HIDDEN = frozenset({"value", "data"})

    value: dict[str, Any]
    data: bytes

    @classmethod
    def of(cls, value: dict[str, Any]) -> Payload:
        """Of what `parse_payload` has let through."""
        return cls(value, dump_payload(value))


class _Suspicious(Exception):
    """Raised in the fast parse by what only the slow one can tell the place of."""


class _Bad:
    """Stands in the slow parse for a token that is refused."""

    def __init__(self, message: str) -> None:
        self.message = message


class _Doubled(dict[str, Any]):
    """An object whose keys are not unique."""

    doubled: tuple[str, ...] = ()


def parse_payload(data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The object that `data` (UTF-8 JSON) holds, integers exact.

    Refuses, with `PayloadError`: more than `max_bytes`; what is no UTF-8 or starts with a byte order mark;
    nesting deeper than `max_depth` (seen before anything is parsed); duplicate keys; NaN, Infinity and
    numbers that overflow to them; integers beyond 4300 digits; lone surrogates; a root that is no object.
    """
    if len(data) > max_bytes:
        raise PayloadError([too_large(len(data), max_bytes)])
    if data.startswith(b"\xef\xbb\xbf"):
        raise PayloadError([Problem("the payload starts with a byte order mark; JSON is UTF-8 without one")])
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"the payload is not UTF-8: {error.reason} at byte {error.start}"
        raise PayloadError([Problem(message)]) from None
    if depth_of(data, max_depth) > max_depth:
        raise PayloadError([_too_deep(max_depth)])
    decoder = _FAST if 0 < sys.get_int_max_str_digits() <= MAX_INT_DIGITS else _COUNTING
    try:
        value = decoder.decode(text)
    except (_Suspicious, ValueError, RecursionError):
        raise PayloadError(_slowly(text)) from None
    if b"\\u" in data and (problems := list(islice(_surrogates(value), MAX_PROBLEMS))):
        raise PayloadError(problems)
    if not isinstance(value, dict):
        raise PayloadError([_not_an_object(value)])
    return value


def depth_of(data: bytes, enough: int) -> int:
    """How deep brackets outside strings nest, or any number up to `enough` if it is not more than that.

    Looks at bytes only, so that no parser's recursion is ever reached. What is no JSON may be judged too
    deep.
    """
    if data.count(b"[") + data.count(b"{") <= enough:
        return enough
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


def check_value(value: Any, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> None:
    """Hold a value that other code decoded to the rules of `parse_payload`. Raises `PayloadError`.

    Only what JSON has is let through: dict with string keys, list, str, int, float, bool, None; no
    subclass, so that no value's own code runs. The size is that of `dump_payload(value)`.
    """
    problems: list[Problem] = []
    if type(value) is not dict:
        problems.append(_not_an_object(value))
    # A node needs a byte at least, so a value with more nodes than bytes allowed is too large, even when it
    # is small in memory because its parts are shared.
    for count, problem in enumerate(_rules(value, max_depth)):
        if count > max_bytes:
            problems.append(Problem(f"the payload has more than the {max_bytes} bytes that are allowed"))
            break
        if problem is not None:
            problems.append(problem)
            if len(problems) >= MAX_PROBLEMS:
                break
    if problems:
        raise PayloadError(problems)
    size = len(dump_payload(value))
    if size > max_bytes:
        raise PayloadError([too_large(size, max_bytes)])


def dump_payload(value: Any) -> bytes:
    """Compact UTF-8 JSON, text unescaped, integers exact: what a command reads on its standard input."""
    return _ENCODER.encode(value).encode("utf-8")


def json_problems(value: Any, *, max_depth: int) -> list[Problem]:
    """What keeps a value from being JSON as `check_value` asks for it, its size and the type of its root
    aside.
    """
    return list(islice((problem for problem in _rules(value, max_depth) if problem is not None), MAX_PROBLEMS))


def too_large(size: int, max_bytes: int) -> Problem:
    return Problem(f"the payload has {size} bytes, at most {max_bytes} are allowed")


def _too_deep(max_depth: int, place: str = "") -> Problem:
    return Problem(f"nested deeper than the {max_depth} levels that are allowed", place)


def _not_an_object(value: Any) -> Problem:
    return Problem(f"the payload must be a JSON object, found {kind(value)}")


# --- the fast parse: three hooks that raise, C otherwise ---


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Suspicious
    return members


_EXACT = 2.0**53  # from here on a float has no room for every whole number


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _Suspicious
    return number if abs(number) < _EXACT else _whole(text, number)


def _whole(text: str, number: float) -> float:
    """A large whole number that was written with a decimal point keeps its digits as an integer."""
    digits, point, fraction = text.partition(".")
    return int(digits) if point and not fraction.strip("0") else number


def _no_constant(text: str) -> Any:
    raise _Suspicious


def _bounded(text: str) -> int:
    if len(text) - text.startswith("-") > MAX_INT_DIGITS:
        raise _Suspicious
    return int(text)


_FAST = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)
# For an interpreter that was told to convert longer integers: then no one else counts the digits.
_COUNTING = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_int=_bounded, parse_constant=_no_constant
)


# --- the slow parse: only for what is refused, to say where and all of it ---


def _slowly(text: str) -> list[Problem]:
    try:
        value = _SLOW.decode(text)
    except json.JSONDecodeError as error:
        return [Problem(f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})")]
    except RecursionError:
        return [Problem("nested too deep to be read")]
    return list(islice(_marked(value), MAX_PROBLEMS)) or [Problem("not JSON that can be read")]


def _marking_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    marked = _Doubled(members)
    marked.doubled = tuple(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return marked


def _marking_float(text: str) -> Any:
    number = float(text)
    return _Bad(f"the number {_short(text)} is too large for a float") if math.isinf(number) else number


def _marking_int(text: str) -> Any:
    digits = len(text.lstrip("-"))
    if digits > MAX_INT_DIGITS:
        return _Bad(f"the integer has {digits} digits, at most {MAX_INT_DIGITS} are allowed")
    try:
        return int(text)
    except ValueError:  # an interpreter that was told to convert even less
        return _Bad(f"the integer has {digits} digits, more than this interpreter was told to convert")


def _marking_constant(text: str) -> Any:
    return _Bad(f"{text} is not JSON")


_SLOW = json.JSONDecoder(
    object_pairs_hook=_marking_pairs,
    parse_float=_marking_float,
    parse_int=_marking_int,
    parse_constant=_marking_constant,
)


def _short(text: str) -> str:
    return text if len(text) <= 30 else text[:29] + "…"


def _marked(value: Any) -> Iterator[Problem]:
    for path, node in _nodes(value):
        if isinstance(node, _Doubled):
            for key in node.doubled:
                message = f"the key {quoted(key)} stands there more than once"
                yield Problem(message, pointer((*_path(path), key)))
        elif isinstance(node, _Bad):
            yield Problem(node.message, pointer(_path(path)))


# --- walking without recursion; a path is a chain of (parent path, segment) so that a step costs no copy ---

_Chain = tuple[Any, str | int] | None


def _path(chain: _Chain) -> tuple[str | int, ...]:
    segments: list[str | int] = []
    while chain is not None:
        chain, segment = chain
        segments.append(segment)
    return tuple(reversed(segments))


def _nodes(value: Any) -> Iterator[tuple[_Chain, Any]]:
    stack: list[tuple[_Chain, Any]] = [(None, value)]
    while stack:
        path, node = stack.pop()
        yield path, node
        if isinstance(node, dict):
            stack.extend(((path, key), child) for key, child in reversed(node.items()))
        elif isinstance(node, list):
            stack.extend(((path, i), node[i]) for i in reversed(range(len(node))))


def _lone_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _surrogates(value: Any) -> Iterator[Problem]:
    for path, node in _nodes(value):
        if isinstance(node, str):
            if _lone_surrogate(node):
                yield Problem("the string holds a lone surrogate, which is no text", pointer(_path(path)))
        elif isinstance(node, dict):
            for key in node:
                if _lone_surrogate(key):
                    yield Problem(
                        f"the key {quoted(key)} holds a lone surrogate, which is no text",
                        pointer(_path(path)),
                    )


def _rules(value: Any, max_depth: int) -> Iterator[Problem | None]:
    """For each node its problem or None."""
    stack: list[tuple[_Chain, int, Any]] = [(None, 1, value)]
    while stack:
        path, depth, node = stack.pop()
        found = type(node)
        if found is dict or found is list:
            if depth > max_depth:
                yield _too_deep(max_depth, pointer(_path(path)))
                continue
            yield None
            if found is list:
                stack.extend(((path, i), depth + 1, node[i]) for i in reversed(range(len(node))))
                continue
            for key in node:
                if type(key) is not str:
                    yield Problem(f"a key is {kind(key)}, keys are strings", pointer(_path(path)))
                elif _lone_surrogate(key):
                    yield Problem(
                        f"the key {quoted(key)} holds a lone surrogate, which is no text",
                        pointer(_path(path)),
                    )
            stack.extend(
                ((path, key if type(key) is str else kind(key)), depth + 1, child)
                for key, child in reversed(node.items())
            )
        else:
            message = _scalar(node)
            yield Problem(message, pointer(_path(path))) if message else None


def _scalar(node: Any) -> str | None:
    found = type(node)
    if node is None or found is bool:
        return None
    if found is str:
        return "the string holds a lone surrogate, which is no text" if _lone_surrogate(node) else None
    if found is int:
        # bit_length first: comparing with a large power for every small number would be waste
        if node.bit_length() > 14_000 and abs(node) >= _TOO_LARGE:
            return f"the integer has more than the {MAX_INT_DIGITS} digits that are allowed"
        return None
    if found is float:
        return None if math.isfinite(node) else f"{node} is not JSON"
    return f"found {kind(node)}, which JSON does not have"
