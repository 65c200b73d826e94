"""Payload: the JSON that `-p` and `--payload` make. What the schema thinks of it is judged elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, BinaryIO

import click
from msgspec import Struct

from engine.errors import PayloadError, Problem
from engine.schema import dump_payload, parse_payload
from worker.cli import exit_codes
from worker.cli.door import Form
from worker.cli.failure import Failure
from worker.cli.property_types import Properties

# JSON in an argument; the kernel bounds one argument to 128 KiB already (MAX_ARG_STRLEN), a file is bounded by us.
_NO_LIMIT = 1 << 30


class Parameter(Struct, frozen=True):
    """One `-p`: `as_json` for `KEY:=JSON`, `source` for `KEY=@FILE`."""

    key: str
    text: str
    as_json: bool = False
    source: str | None = None

    @classmethod
    def parse(cls, argument: str) -> Parameter:
        key, equals, text = argument.partition("=")
        as_json = key.endswith(":")
        key = key.removesuffix(":")
        if not equals or not key:
            raise click.UsageError(f"-p takes KEY=VALUE or KEY:=JSON, not {argument[:60]!r}")
        if not as_json and text.startswith("@"):
            return cls(key, "", source=text[1:])
        return cls(key, text, as_json)


def payload_from(arguments: Sequence[str], source: str | None, *, form: Form) -> bytes:
    """The payload as UTF-8 JSON: `source` (a file, "-" for stdin; None for {}) with the `-p` arguments laid over it.

    A file alone is passed on as it is. Raises PayloadError for what is no JSON, click.UsageError for arguments that
    contradict each other, Failure for a file that cannot be read.
    """
    max_bytes = form.max_bytes
    parameters = [Parameter.parse(argument) for argument in arguments]
    _check_once(parameters, source)
    data = b"{}" if source is None else _read(source, max_bytes)
    if not parameters:
        return data
    value = parse_payload(data, max_bytes=max_bytes)
    properties = Properties(form.schema)
    for parameter in parameters:
        path = properties.path(parameter.key)
        _put(value, path, _value(parameter, path, properties, max_bytes), parameter.key)
    try:
        return dump_payload(value)
    except UnicodeEncodeError:
        # Arguments that are not UTF-8 reach us as lone surrogates.
        raise PayloadError([Problem("a value of -p is not UTF-8")]) from None


def _check_once(parameters: Sequence[Parameter], source: str | None) -> None:
    seen: set[str] = set()
    for parameter in parameters:
        if parameter.key in seen:
            raise click.UsageError(f"-p gives {parameter.key[:60]!r} twice")
        seen.add(parameter.key)
    if [source, *(parameter.source for parameter in parameters)].count("-") > 1:
        raise click.UsageError("stdin can be read once only")


def _value(parameter: Parameter, path: tuple[str, ...], properties: Properties, max_bytes: int) -> Any:
    text = parameter.text
    if parameter.source is not None:
        text = _text(parameter.source, max_bytes)
    if parameter.as_json:
        return _json(text, parameter.key)
    types = properties.types(path)
    if types is None or "string" in types:
        return text
    try:
        return _json(text, parameter.key)
    except PayloadError:
        # It stays the text that it is, and is refused together with whatever else is wrong.
        return text


def _json(text: str, key: str) -> Any:
    """Exactly one JSON value, by the rules of payloads. The wrapping cannot be broken out of: what closes it early
    leaves something behind, and what adds a key to it is seen.
    """
    try:
        wrapped = parse_payload(b'{"":' + text.encode() + b"}", max_bytes=_NO_LIMIT)
    except UnicodeEncodeError:
        raise PayloadError([Problem(f"-p {key[:60]!r}: the value is not UTF-8")]) from None
    except PayloadError as error:
        raise PayloadError(
            Problem(f"-p {key[:60]!r} is no JSON that a payload may hold: {problem.message}")
            for problem in error.problems
        ) from None
    if list(wrapped) != [""]:
        raise PayloadError([Problem(f"-p {key[:60]!r} is not one JSON value")])
    return wrapped[""]


def _put(value: dict[str, Any], path: tuple[str, ...], member: Any, key: str) -> None:
    for name in path[:-1]:
        inner = value.setdefault(name, {})
        if not isinstance(inner, dict):
            raise click.UsageError(f"-p {key[:60]!r}: {name[:60]!r} is given as something else than an object")
        value = inner
    value[path[-1]] = member


def _text(source: str, max_bytes: int) -> str:
    data = _read(source, max_bytes)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise PayloadError([Problem(f"{source[:200]} is not UTF-8")]) from None
    return text.removesuffix("\n")


def _read(source: str, max_bytes: int) -> bytes:
    """The whole of a file that is not larger than a payload may be."""
    try:
        if source == "-":
            return _bounded(sys.stdin.buffer, max_bytes, "stdin")
        with open(source, "rb") as file:
            return _bounded(file, max_bytes, source)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Failure(exit_codes.NO_INPUT, f"{source[:200]} cannot be read: {why}") from None


def _bounded(file: BinaryIO, max_bytes: int, name: str) -> bytes:
    data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise PayloadError([Problem(f"{name[:200]} has more than the {max_bytes} bytes that a payload may have")])
    return data
