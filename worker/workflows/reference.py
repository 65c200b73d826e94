"""Reference: `${...}` in a workflow, as a place in what is known when a step begins. Parsed, never evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from engine.hiding import Hiding
from engine.schema.shown import quoted

_SEGMENT = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")
_SEGMENTS = 32
STEP_FIELDS = ("status", "reason", "exitCode", "task", "result")
_RUN_FIELDS = ("id", "workflow")


class Missing:
    """What a reference leads to when there is nothing."""


MISSING: Final = Missing()


class Reference(Struct, frozen=True):
    """`root` is `input`, `run` or `steps`; `step` and `field` belong to `steps`; `path` is what follows."""

    text: str
    root: str
    step: str | None = None
    field: str | None = None
    path: tuple[str, ...] = ()


class StepValues(Hiding, frozen=True):
    """What later steps may know of one. `result` is None without one."""

    HIDDEN = frozenset({"result"})

    status: str
    reason: str | None = None
    exit_code: int | None = None
    task: str | None = None
    result: Any | Missing = MISSING


class Known(Hiding, frozen=True):
    """What references lead into."""

    HIDDEN = frozenset({"input"})

    run: str
    workflow: str
    input: Any
    steps: Mapping[str, StepValues]

    def look_up(self, reference: Reference) -> Any | Missing:
        match reference.root:
            case "run":
                return self.run if reference.field == "id" else self.workflow
            case "input":
                return _within(self.input, reference.path)
        step = self.steps[reference.step or ""]
        match reference.field:
            case "status":
                return step.status
            case "reason":
                return step.reason
            case "exitCode":
                return step.exit_code
            case "task":
                return MISSING if step.task is None else step.task
        return _within(step.result, reference.path)


def parse_reference(text: str) -> Reference:
    """Of what stands between the braces. Raises ValueError, fit to be shown."""
    root, *rest = text.split(".")
    if len(rest) > _SEGMENTS:
        raise ValueError(f"a reference has at most {_SEGMENTS} parts")
    if root == "input":
        return Reference(text, root, path=_path(text, rest))
    if root == "run":
        if len(rest) != 1 or rest[0] not in _RUN_FIELDS:
            raise ValueError(f"{_shown(text)}: of the run there is ${{run.id}} and ${{run.workflow}}")
        return Reference(text, root, field=rest[0])
    if root == "steps":
        if len(rest) < 2 or rest[1] not in STEP_FIELDS:
            raise ValueError(
                f"{_shown(text)}: of a step there is {', '.join(STEP_FIELDS)}, as in ${{steps.NAME.status}}"
            )
        if len(rest) > 2 and rest[1] != "result":
            raise ValueError(f"{_shown(text)}: {rest[1]} has no parts")
        return Reference(text, root, rest[0], rest[1], _path(text, rest[2:]))
    raise ValueError(f"{_shown(text)}: a reference begins with input, steps or run")


def pieces(text: str) -> list[str | Reference]:
    """The literal parts of a text and its references, in order. Raises ValueError, fit to be shown."""
    found: list[str | Reference] = []
    literal, at = "", 0
    while (start := text.find("${", at)) >= 0:
        if start > at and text[start - 1] == "$":
            literal += text[at : start - 1] + "${"
            at = start + 2
            continue
        literal += text[at:start]
        end = text.find("}", start)
        if end < 0:
            raise ValueError("a reference is not closed: expected } after ${ (a literal ${ is written $${)")
        if literal:
            found.append(literal)
            literal = ""
        found.append(parse_reference(text[start + 2 : end]))
        at = end + 1
    literal += text[at:]
    return [*found, literal] if literal else found


def _path(text: str, parts: list[str]) -> tuple[str, ...]:
    for part in parts:
        if not _SEGMENT.match(part):
            raise ValueError(f"{_shown(text)}: the parts of a reference are letters, digits, _ and -")
    return tuple(parts)


def _within(value: Any, path: tuple[str, ...]) -> Any | Missing:
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and len(part) < 10 and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def _shown(text: str) -> str:
    return quoted("${" + text + "}")
