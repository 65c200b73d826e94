"""The `env` of a script file: literal texts, and places of the payload that the operator maps to a
variable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.schema import Schema
from engine.schema.shown import kind, parts, pointer, quoted
from engine.script.declaration import VARIABLE
from engine.script.script import EnvFromPayload

RESERVED = frozenset({"TASK_ID", "RUN_ID", "DRY_RUN"})
# Variables that make a shell, the loader or an interpreter run something: a producer must never choose them.
_STEERING = re.compile(
    r"PATH|HOME|IFS|ENV|BASH_ENV|SHELLOPTS|BASHOPTS|CDPATH|GLOBIGNORE|PS4|PROMPT_COMMAND|SHELL|TMPDIR"
    r"|EDITOR|VISUAL|PAGER|BROWSER|GCONV_PATH|LOCPATH|NLSPATH|HOSTALIASES|CLASSPATH|_JAVA_OPTIONS|JDK_JAVA_OPTIONS"
    r"|(LD_|DYLD_|GLIBC_|MALLOC_|PYTHON|NODE_|NPM_|PERL|RUBY|GEM_|GIT_|SSH_|BASH_FUNC_|JAVA_|LUA_|PHP|OPENSSL_"
    r"|PENSTOCK_).*"
)
_NAME = re.compile(VARIABLE)
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")


def read_variables(env: Mapping[str, Any]) -> tuple[dict[str, str | EnvFromPayload], list[tuple[str, str]]]:
    """The variables, and the problems as (pointer into the file, message). Messages never repeat a
    literal value.
    """
    found: dict[str, str | EnvFromPayload] = {}
    problems: list[tuple[str, str]] = []
    for name, value in env.items():
        wrong = [(pointer(("env", name)), message) for message in _problems(name, value)]
        problems.extend(wrong)
        if not wrong:
            found[name] = value if isinstance(value, str) else EnvFromPayload(value["fromPayload"])
    return found, problems


def undeclared(env: Mapping[str, str | EnvFromPayload], schema: Schema) -> Iterator[tuple[str, str]]:
    """The problems of mapped variables whose place the schema does not declare."""
    for name, value in env.items():
        if isinstance(value, EnvFromPayload):
            first = parts(value.pointer)[0]
            if not schema.declares(first):
                message = f"the schema declares no property {quoted(first)} that could be handed over"
                yield pointer(("env", name)), message


def refused_variable(name: str) -> str | None:
    """Why a variable of that name may not be chosen by who does not own the deployment; None: it may."""
    if not _NAME.fullmatch(name) or len(name) > 255:
        return f"{quoted(name)} is no name of a variable: letters, digits and _, no digit in front"
    if name in RESERVED:
        return f"{name} is set by Penstock itself"
    if _STEERING.fullmatch(name):
        return f"{name} steers how programs are run; a payload must not set it"
    return None


def _problems(name: str, value: Any) -> Iterator[str]:
    if not _NAME.fullmatch(name) or len(name) > 255:
        yield f"{quoted(name)} is no name of a variable: letters, digits and _, no digit in front"
    if name in RESERVED:
        yield f"{name} is set by Penstock itself"
    if isinstance(value, str):
        if "\0" in value:
            yield "the value holds a NUL character, which no variable can"
    elif isinstance(value, dict):
        yield from _mapping(name, value)
    elif isinstance(value, (bool, int, float)) or value is None:
        yield f'expected a text, found {kind(value)}; quote it ("...") to have it as it is written'
    else:
        yield f"expected a text or {{fromPayload: /pointer}}, found {kind(value)}"


def _mapping(name: str, value: Mapping[str, Any]) -> Iterator[str]:
    for key in value:
        if key != "fromPayload":
            yield f"expected {{fromPayload: /pointer}} and nothing else, found {quoted(key)}"
    place = value.get("fromPayload")
    if not isinstance(place, str) or len(place) < 2 or not _POINTER.fullmatch(place):
        yield "fromPayload must be a JSON Pointer into the payload, such as /file"
    if _STEERING.fullmatch(name):
        yield f"{name} steers how programs are run; a payload must not set it"
