"""How values, names and places are shown in messages: short, on one line, without control characters."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any

VALUE_CHARS = 80
SEGMENT_CHARS = 100
MESSAGE_CHARS = 1000
MASK = "***"


def printable(text: str) -> str:
    """The text with everything escaped that could end a line, move a cursor or cannot be encoded."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def quoted(text: str, limit: int = VALUE_CHARS) -> str:
    """A string as JSON shows it, on one line. Only the part that is shown is worked on."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return printable(json.dumps(text, ensure_ascii=False))


def kind(value: Any) -> str:
    """The JSON type of a value, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, dict):
        return "an object"
    return f"a Python {type(value).__name__}"


def shown(value: Any) -> str:
    """A scalar shortened; of a container only what it is and how many it holds, never what is in it."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return f"an array of {len(value)} item{'s'[: len(value) != 1]}"
    if isinstance(value, dict):
        return f"an object with {len(value)} propert{'y' if len(value) == 1 else 'ies'}"
    if value is None or isinstance(value, (bool, int, float)):
        return shortened(json.dumps(value), VALUE_CHARS)
    return kind(value)


def expected(value: Any) -> str:
    """A value that a schema asks for, as JSON, shortened."""
    return printable(shortened(json.dumps(value, ensure_ascii=False), VALUE_CHARS))


def choices(values: Iterable[Any], most: int = 12) -> str:
    """`a, b, c` with the rest counted."""
    listed = list(values)
    text = ", ".join(expected(value) for value in listed[:most])
    return text if len(listed) <= most else f"{text} and {len(listed) - most} more"


def pointer(path: Iterable[str | int]) -> str:
    """A JSON Pointer (RFC 6901). A hostile segment is shortened and its control characters are escaped."""
    return "".join(
        "/" + printable(shortened(str(part), SEGMENT_CHARS)).replace("~", "~0").replace("/", "~1") for part in path
    )


def parts(text: str) -> tuple[str, ...]:
    """The segments of a JSON Pointer, unescaped."""
    return tuple(p.replace("~1", "/").replace("~0", "~") for p in text.split("/")[1:])


def suggestion(word: str, words: Iterable[str]) -> str:
    """`, did you mean "x"?` or nothing."""
    near = difflib.get_close_matches(word[:SEGMENT_CHARS], list(words), n=1, cutoff=0.7)
    return f", did you mean {quoted(near[0])}?" if near else ""
