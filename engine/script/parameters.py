"""The `parameters` of a script: a list that people write and forms show, compiled into one closed JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from engine.errors import DeclarationError
from engine.schema import Schema
from engine.schema.shown import pointer, quoted
from engine.script.script import EnvFromPayload
from engine.script.variables import refused_variable

_TEXTS = ("text", "password")
_BASE: Mapping[str, dict[str, Any]] = {
    "text": {"type": "string"},
    # Masked in records, lists, events and our own words in a log.
    "password": {"type": "string", "writeOnly": True},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "select": {},
}
# A member of `validation`, the keyword that it becomes, and the types that it says something about.
_BOUNDS = (
    ("minLength", "minLength", _TEXTS),
    ("maxLength", "maxLength", _TEXTS),
    ("min", "minimum", ("number",)),
    ("max", "maximum", ("number",)),
)


class Parameters(Struct, frozen=True):
    """`schema` is the document of the payload; `defaults` are filled in before it is checked; `env` are the variables.

    `problems` are pairs of a pointer into the list's file and a message.
    """

    schema: Mapping[str, Any]
    defaults: Mapping[str, Any]
    env: Mapping[str, EnvFromPayload]
    problems: tuple[tuple[str, str], ...] = ()


class _Found(Struct):
    properties: dict[str, Any] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)
    env: dict[str, EnvFromPayload] = field(default_factory=dict)


def read_parameters(entries: Sequence[Mapping[str, Any]]) -> Parameters:
    """Of a list whose shape was checked."""
    found, problems = _Found(), []
    for index, entry in enumerate(entries):
        for place, message in _read(entry, found):
            problems.append((f"/parameters/{index}{place}", message))
    document = {
        "type": "object",
        "properties": found.properties,
        "required": found.required,
        "additionalProperties": False,
    }
    return Parameters(document, MappingProxyType(found.defaults), MappingProxyType(found.env), tuple(problems))


def filled(defaults: Mapping[str, Any], payload: Any) -> Any:
    """The payload with the defaults of what it leaves out; itself when it leaves nothing out, or is no object."""
    if not isinstance(payload, dict) or all(name in payload for name in defaults):
        return payload
    return {**payload, **{name: value for name, value in defaults.items() if name not in payload}}


def _read(entry: Mapping[str, Any], found: _Found) -> Iterator[tuple[str, str]]:
    name = entry["name"]
    if name in found.properties:
        yield "/name", f"there are two parameters {quoted(name)}"
        return
    form = dict(_BASE[entry["type"]])
    yield from _constrain(entry, form)
    if entry.get("required") and entry["type"] in _TEXTS:
        # What has to be given is not given by an empty field of a form.
        form["minLength"] = max(1, form.get("minLength", 0))
    for key, keyword in (("label", "title"), ("description", "description")):
        if key in entry:
            form[keyword] = entry[key]
    if "default" in entry:
        yield from _default(entry, form, found)
    found.properties[name] = form
    if entry.get("required"):
        found.required.append(name)
    if entry.get("as") == "env":
        wrong = refused_variable(name)
        if wrong:
            yield "/name", wrong
        else:
            found.env[name] = EnvFromPayload(pointer((name,)))


def _constrain(entry: Mapping[str, Any], form: dict[str, Any]) -> Iterator[tuple[str, str]]:
    kind = entry["type"]
    options = entry.get("options")
    if kind == "select" and not options:
        yield "/options", "a select needs options"
    if options is not None:
        if kind in ("boolean", "password"):
            yield "/options", f"a {kind} has no options"
        values = [option["value"] if isinstance(option, dict) else option for option in options]
        form["enum"] = [value for index, value in enumerate(values) if value not in values[:index]]
        if len(form["enum"]) < len(values):
            yield "/options", "an option stands there twice"
        named = [o for o in options if isinstance(o, dict) and "label" in o and isinstance(o["value"], str)]
        labels = {option["value"]: option["label"] for option in named}
        if labels:
            form["x-labels"] = labels  # what a form shows in the place of the values
    rules = entry.get("validation", {})
    if isinstance(rules, str):
        rules = {"pattern": rules}
    for key, keyword, kinds in _BOUNDS:
        if key in rules and kind in kinds:
            form[keyword] = rules[key]
        elif key in rules:
            yield f"/validation/{key}", f"{key} says nothing about a {kind}"
    if rules.get("integer"):
        if kind == "number":
            form["type"] = "integer"
        else:
            yield "/validation/integer", f"integer says nothing about a {kind}"
    if "pattern" in rules:
        yield from _pattern(rules["pattern"], kind, form)


def _pattern(text: str, kind: str, form: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Anchored: it is to fit the whole text. By itself it has to be whole, or `a)|(b` would undo that."""
    if kind not in _TEXTS:
        yield "/validation", f"a pattern says nothing about a {kind}"
        return
    anchored = f"^(?:{text})$"
    for each in (text, anchored):
        try:
            Schema.compile({"properties": {"x": {"pattern": each}}})
        except DeclarationError as error:
            yield "/validation", f"the pattern is not one: {error.problems[0].message}"
            return
    form["pattern"] = anchored


def _default(entry: Mapping[str, Any], form: dict[str, Any], found: _Found) -> Iterator[tuple[str, str]]:
    value = entry["default"]
    if entry["type"] == "password":
        yield "/default", "a password has no default: whoever reads the script would know it"
        return
    try:
        wrong = Schema.compile({"properties": {"value": form}}).check({"value": value})
    except DeclarationError:
        return  # told for the form itself
    if wrong:
        yield "/default", f"the default is not valid: {wrong[0].message}"
        return
    form["default"] = value
    found.defaults[entry["name"]] = value
