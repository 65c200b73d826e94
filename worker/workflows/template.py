"""Template: the payload of a step, with references in its texts, and what becomes of it when they are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import PayloadError, Problem
from engine.schema import dump_payload
from engine.schema.shown import pointer
from worker.workflows.reference import Known, Missing, Reference, pieces

Path = tuple[str | int, ...]
# In the place of a text that is not known yet.
UNKNOWN = "${}"


def texts(value: Any) -> Iterator[tuple[Path, str]]:
    """Every text in a value that holds a reference, or what looks like one. Keys hold none."""
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, dict):
            waiting.extend(((*path, key), member) for key, member in reversed(node.items()))
        elif isinstance(node, list):
            waiting.extend(((*path, number), node[number]) for number in reversed(range(len(node))))
        elif isinstance(node, str) and "${" in node:
            yield path, node


def references(value: Any) -> Iterator[tuple[Path, Reference]]:
    """Every reference of a template whose texts can all be parsed."""
    for path, text in texts(value):
        for piece in pieces(text):
            if isinstance(piece, Reference):
                yield path, piece


def templated(text: str) -> bool:
    """Whether the text holds a reference; one with a literal `$${` alone does not."""
    return any(isinstance(piece, Reference) for piece in pieces(text))


def rendered(template: Mapping[str, Any], known: Known, *, max_bytes: int) -> dict[str, Any]:
    """The payload. What a reference finds is put in as it is and never looked at again.

    Raises PayloadError with all references that find nothing, or when it grows larger than `max_bytes`.
    """
    budget = _Budget(max_bytes)
    problems: list[Problem] = []
    found: dict[str, Any] = _rendered(template, known, (), budget, problems)
    if problems:
        raise PayloadError(problems)
    return found


def replaced(value: Any) -> Any:
    """A copy with UNKNOWN for every text that holds a reference, for a check before anything is known."""
    if isinstance(value, dict):
        return {key: replaced(member) for key, member in value.items()}
    if isinstance(value, list):
        return [replaced(member) for member in value]
    if isinstance(value, str) and "${" in value:
        if templated(value):
            return UNKNOWN
        return "".join(str(piece) for piece in pieces(value))
    return value


class _Budget:
    def __init__(self, max_bytes: int) -> None:
        self._max = self._left = max_bytes

    def take(self, value: Any) -> None:
        self._left -= len(value) if isinstance(value, str) else len(dump_payload(value))
        if self._left < 0:
            raise PayloadError([Problem(f"with what its references found it has more than {self._max} bytes")])


def _rendered(value: Any, known: Known, path: Path, budget: _Budget, problems: list[Problem]) -> Any:
    if isinstance(value, dict):
        return {key: _rendered(member, known, (*path, key), budget, problems) for key, member in value.items()}
    if isinstance(value, list):
        return [_rendered(member, known, (*path, number), budget, problems) for number, member in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    parts = pieces(value)
    whole = len(parts) == 1
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        found = known.look_up(part)
        if isinstance(found, Missing):
            problems.append(Problem(f"${{{part.text}}} leads to nothing", pointer(path)))
            continue
        budget.take(found)
        if whole:
            return found
        text += found if isinstance(found, str) else dump_payload(found).decode()
    return text
