"""Answer fields: single members of what a server has answered, each held against what it may be.

Raises ValueError for anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

_T = TypeVar("_T")
Object = Mapping[str, Any]

_WORD = re.compile(r"[a-z][a-z0-9-]{0,99}\Z")
_SHORT = 300
_TEXT = 100_000
_MOST = 1 << 62


def object_of(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def items(found: Object, name: str, each: Callable[[Any], _T]) -> tuple[_T, ...]:
    values = found.get(name)
    if not isinstance(values, list):
        raise ValueError(f"{name} is not a list")
    return tuple(each(value) for value in values)


def text(found: Object, name: str, *, default: str | None = None) -> str:
    value = found.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or len(value) > _TEXT:
        raise ValueError(f"{name} is not a text")
    return value


def short(found: Object, name: str) -> str | None:
    return None if found.get(name) is None else printable_text(found[name])


def printable_text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _SHORT or not value.isprintable():
        raise ValueError("not a short printable text")
    return value


def word(found: Object, name: str) -> str | None:
    return None if found.get(name) is None else matching(found, name, _WORD)


def matching(found: Object, name: str, pattern: re.Pattern[str]) -> str:
    value = text(found, name)
    if not pattern.match(value):
        raise ValueError(f"{name} has another form")
    return value


def number(found: Object, name: str) -> int:
    value = found.get(name)
    if type(value) is not int or not -1 <= value < _MOST:
        raise ValueError(f"{name} is not a number")
    return value


def maybe_number(found: Object, name: str) -> int | None:
    return None if found.get(name) is None else number(found, name)


def flag(found: Object, name: str) -> bool:
    value = found.get(name)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is not true or false")
    return value


def moment(found: Object, name: str) -> int | None:
    return None if found.get(name) is None else moment_ms(text(found, name))


def moment_ms(text: str) -> int:
    """ISO 8601 with an offset, in milliseconds since the epoch."""
    at = datetime.fromisoformat(text[:40])
    if at.tzinfo is None:
        raise ValueError("a time without offset")
    return round(at.timestamp() * 1000)


def quantity(found: Object, name: str) -> float:
    """A number that is not negative."""
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _MOST:
        raise ValueError(f"{name} is not a number")
    return float(value)
