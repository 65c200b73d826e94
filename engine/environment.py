"""Environment: the variables of a command; nothing of the worker's own is in it."""

from __future__ import annotations

import json
from typing import Any

from engine.errors import PayloadError, Problem
from engine.facts import names_fact
from engine.script import EnvFromPayload, Script

# Linux takes no longer single string for a new program (MAX_ARG_STRLEN, 32 pages), name included.
_VARIABLE_BYTES = 128 * 1024 - 256


def environment(script: Script, payload: Any, task_id: str, run_id: int) -> dict[str, str]:
    """TASK_ID, RUN_ID, and what the operator declared; mapped values come from the valid `payload`.

    Raises PayloadError for a mapped value that cannot be a variable.
    """
    env = {"TASK_ID": task_id, "RUN_ID": str(run_id)}
    problems = []
    for name, value in script.env.items():
        if isinstance(value, str):
            env[name] = value
            continue
        try:
            text = _value(payload, value)
            if script.facts and text is not None and names_fact(text):
                raise ValueError("it names a fact of the worker, which goes to the standard input only")
        except ValueError as error:
            problems.append(Problem(f"cannot be handed over as the variable {name}: {error}", value.pointer))
            continue
        if text is not None:
            env[name] = text
    if problems:
        raise PayloadError(problems)
    return env


def _value(payload: Any, source: EnvFromPayload) -> str | None:
    value = payload
    for token in source.pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if not isinstance(value, str):
        raise ValueError("it is neither a string nor a number nor a boolean")
    if "\0" in value:
        raise ValueError("it contains a NUL character")
    if len(value.encode()) > _VARIABLE_BYTES:
        raise ValueError(f"it is longer than {_VARIABLE_BYTES} bytes")
    return value
