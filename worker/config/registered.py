"""Registered: a registration as a script. Says what it would run; whether a worker runs it is decided elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.errors import DeclarationError, Problem
from engine.schema import Schema
from engine.schema.shown import pointer
from engine.script import Script
from engine.script.compose import Node
from engine.script.declaration import SCRIPT_SCHEMA
from engine.script.document import Document
from engine.script.load import read_script
from engine.script.program import BROWSER, Program
from engine.script.variables import refused_variable
from worker.config.available import FOLDER, inspect
from worker.model.registration import BODY_KINDS, Registration

# What people see as the file of a registered script.
_NOWHERE = "(registered)"
# Set by who registers it, from the file.
_FROM_FILE = ("kind", "sha256")
# What is longer is a file. However it is escaped, it fits into a request.
_BODY_CHARACTERS = 64 * 1024
_WORDS = SCRIPT_SCHEMA["properties"]["dryRunCommand"]
_OWN: dict[str, Any] = {
    "path": {
        "description": "The file below scripts/, relative to the deployment. This, or `body` with `type`.",
        "type": "string",
        "minLength": 1,
        "maxLength": 500,
        "examples": ["scripts/rotate-logs.sh"],
    },
    "body": {
        "description": "The program itself. Workers run one only where `worker.allowInlineBodies` is set.",
        "type": "string",
        "minLength": 1,
        "maxLength": _BODY_CHARACTERS,
    },
    "type": {
        "description": "What the body is; `browser` runs in a page only.",
        "enum": sorted(BODY_KINDS),
    },
    "args": {**_WORDS, "description": "Arguments of the program."},
    "runner": {
        "description": "`isolated`: by bubblewrap, without network and home, and with a root that is read-only.",
        "enum": ["host", "isolated"],
        "default": "host",
    },
}
# Neither a command nor plugins: those are the deployment's.
_DECLARED = {key: value for key, value in SCRIPT_SCHEMA["properties"].items() if key not in ("command", "plugins")}
REGISTRATION_SCHEMA: dict[str, Any] = {
    "$schema": SCRIPT_SCHEMA["$schema"],
    "title": "Penstock registration",
    "description": "What POST and PUT /scripts take: a script whose program is a file of the deployment, or a body.",
    "type": "object",
    "additionalProperties": False,
    "properties": {**_OWN, **_DECLARED},
}


def check_registration(name: str, asked: Mapping[str, Any], home: Path) -> dict[str, Any]:
    """The declaration to keep, with kind and SHA-256 of its file. Raises DeclarationError with every problem."""
    problems = [
        Problem("it is taken from the file, and not said", pointer((key,))) for key in _FROM_FILE if key in asked
    ]
    kept = dict(asked)
    if ("path" in asked) == ("body" in asked):
        problems.append(Problem("give either path or body", "/path"))
    elif ("body" in asked) != ("type" in asked):
        problems.append(Problem("a body needs a type, and nothing else has one", "/type"))
    variables = asked.get("env")
    for variable in variables if isinstance(variables, dict) else ():
        problems += [Problem(wrong, pointer(("env", variable)))] if (wrong := refused_variable(variable)) else []
    path = asked.get("path")
    if isinstance(path, str):
        try:
            kept["kind"], kept["sha256"] = inspect(home, path)
        except DeclarationError as error:
            problems += error.problems
    try:
        script_of(Registration(name, 0, kept), home)
    except DeclarationError as error:
        told = {(problem.pointer, problem.message) for problem in problems}
        problems += [p for p in error.problems if (p.pointer, p.message) not in told]
    if problems:
        raise DeclarationError(problems)
    return kept


def script_of(registration: Registration, home: Path) -> Script:
    """As it is declared; its file is not looked at. Raises DeclarationError."""
    declared = {key: value for key, value in registration.declaration.items() if key not in _FROM_FILE}
    document = Document(declared, _NOWHERE, Node(1, 1, {}))
    program = program_of(registration, home)
    shown = program.path or f"({registration.declaration.get('type')} body)"
    return read_script(
        registration.name,
        document,
        home=home,
        declaration=_declaration(),
        command=(shown, *program.arguments),
        program=program,
        enabled=registration.enabled,
    )


def program_of(registration: Registration, home: Path) -> Program:
    """What it runs; no digest is asked for yet."""
    said = registration.declaration
    words = said.get("args", ())
    arguments = tuple(words) if isinstance(words, list | tuple) and all(isinstance(w, str) for w in words) else ()
    isolated = said.get("runner") == "isolated"
    body, path = said.get("body"), said.get("path")
    if isinstance(body, str):
        kind = BODY_KINDS.get(str(said.get("type")), BROWSER)
        return Program(kind, body=body.encode("utf-8", "replace"), arguments=arguments, isolated=isolated)
    absolute = os.path.join(home, path) if isinstance(path, str) else ""
    folder = str(home / FOLDER)
    return Program(str(said.get("kind", "")), absolute, folder, arguments=arguments, isolated=isolated)


@lru_cache(maxsize=1)
def _declaration() -> Schema:
    return Schema.compile(REGISTRATION_SCHEMA, owner="registration")
