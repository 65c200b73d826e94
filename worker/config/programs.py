"""Programs: what `exec` may start on a worker, and the JSON Schema of what its settings admit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from engine.errors import DeclarationError
from engine.schema import Schema
from engine.schema.shown import pointer, quoted
from worker.model.command import ARGUMENT_CHARS, ARGUMENTS

_ABOUT_LISTS = frozenset({"prefixItems", "items", "minItems", "maxItems", "uniqueItems"})
# No program can be given more, or a NUL.
_ARGUMENT: Mapping[str, Any] = MappingProxyType(
    {"type": "string", "maxLength": ARGUMENT_CHARS, "pattern": r"^[^\x00]*$"}
)
_FREE = "a pattern fits anywhere in an argument, unless it is anchored as a whole: write ^(...)$"
# What is escaped, and what stands in brackets, says nothing of how a pattern is made up.
_LITERAL = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_NO_OPTION = {"pattern": "^($|[^-])"}


class Program(Struct, frozen=True):
    """`args` is the schema of its argument list; `folders` are where it may work besides the folder of its run."""

    path: str
    args: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({"type": "array", "maxItems": 0}))
    folders: tuple[str, ...] = ()


def read_programs(
    programs: Mapping[str, Any], folders: Sequence[str]
) -> tuple[dict[str, Program], list[tuple[str, str]]]:
    """The programs of checked settings, and what is wrong with them as pairs of a pointer below `worker` and a message.

    `folders` are those of all programs that name none. Whether path and folders are there is seen by who starts it:
    these settings are read on other hosts, too.
    """
    found: dict[str, Program] = {}
    problems: list[tuple[str, str]] = []
    for name, value in programs.items():
        args, wrong = _list_schema(value.get("args", []))
        problems += [(pointer(("programs", name)) + place, why) for place, why in wrong]
        found[name] = Program(value["path"], MappingProxyType(args), tuple(value.get("cwd", folders)))
    return found, problems


def exec_schema(programs: Mapping[str, Program]) -> dict[str, Any]:
    """Of a payload of `exec`, for a worker with these programs, of which there is at least one."""
    rules = [
        {
            "if": {"properties": {"program": {"const": name}}, "required": ["program"]},
            "then": {"properties": {"args": {**program.args}, **_cwd(program.folders)}},
        }
        for name, program in programs.items()
    ]
    folders = sorted({folder for program in programs.values() for folder in program.folders})
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["program", "args"],
        "properties": {
            "program": {"enum": sorted(programs)},
            "args": {"type": "array", "maxItems": ARGUMENTS, "items": dict(_ARGUMENT)},
            **_cwd(folders),
        },
        "allOf": rules,
    }


def shell_schema(folders: Sequence[str]) -> dict[str, Any]:
    """Of a payload of `shell`, for a worker with these folders."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["text"],
        "properties": {"text": {**_ARGUMENT, "minLength": 1}, **_cwd(folders)},
    }


def _cwd(folders: Sequence[str]) -> dict[str, Any]:
    # An `enum` without values is no schema, and one that admits nothing says that better than an unknown member.
    return {"cwd": {"enum": list(folders)} if folders else {"not": {}, "description": "no folder is allowed"}}


def _list_schema(declared: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The schema of the whole list, in which every argument has one; and what is wrong, below the program."""
    listed = isinstance(declared, list)
    if listed:
        declared = {"prefixItems": declared, "minItems": len(declared)} if declared else {"maxItems": 0}
    problems = [
        (pointer(("args", key)), f"{quoted(key)} says nothing about a list of arguments; there is {_known()}")
        for key in sorted(declared.keys() - _ABOUT_LISTS)
    ]
    if problems:
        return {}, problems
    first = declared.get("prefixItems", [])
    places: list[tuple[tuple[str | int, ...], Any]] = [
        *(((number,) if listed else ("prefixItems", number), each) for number, each in enumerate(first)),
        *([(("items",), declared["items"])] if "items" in declared else []),
    ]
    problems = [(pointer(("args", *place, "pattern")), _FREE) for place, each in places if _fits_within(each)]
    if problems:
        return {}, problems
    schema = {**declared, "type": "array", "maxItems": min(declared.get("maxItems", ARGUMENTS), ARGUMENTS)}
    if first:
        schema["prefixItems"] = [_argument(each) for each in first]
    if "items" in declared:
        schema["items"] = _argument(declared["items"])
    else:
        # What has no schema is not admitted.
        schema["maxItems"] = min(schema["maxItems"], len(first))
    try:
        Schema.compile({"properties": {"args": schema}})
    except DeclarationError as error:
        problems = [("/args", f"{problem.message} (at {problem.pointer})") for problem in error.problems]
    return schema, problems


def _argument(schema: Any) -> Any:
    """A schema of one argument, which is a text, and an option only when the schema names options itself."""
    if not isinstance(schema, dict):
        return {"allOf": [schema, dict(_ARGUMENT), _NO_OPTION]}
    says_so = "enum" in schema or "const" in schema or str(schema.get("pattern", "")).startswith("^-")
    return {"allOf": [schema, dict(_ARGUMENT), *([] if says_so else [_NO_OPTION])]}


def _fits_within(schema: Any) -> bool:
    """Whether its pattern is of more than the whole argument: `x` fits `../x`, too, `^x|y$` fits by either half, and
    with the flag `m` the anchors are those of a line.
    """
    pattern = schema.get("pattern") if isinstance(schema, dict) else None
    if not isinstance(pattern, str):
        return False
    bare = _LITERAL.sub("", pattern)
    if re.search(r"\(\?[a-z]*m", bare):
        return True
    inside = ""
    while inside != bare:  # groups, from the innermost
        inside, bare = bare, re.sub(r"\([^()]*\)", "", bare)
    return len(bare) < 2 or bare[0] != "^" or bare[-1] != "$" or "|" in bare


def _known() -> str:
    return ", ".join(sorted(_ABOUT_LISTS))
