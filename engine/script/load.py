"""Reading script files. Every problem of every file is told at once; nothing is started."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from engine.errors import DeclarationError, Problem
from engine.exits import COMPLETED, DECLARATIVE, INTERNAL, MEANINGS, PRESETS, ExitMap
from engine.schema import Schema
from engine.schema.shown import pointer, quoted
from engine.script.command import resolve_command
from engine.script.declaration import SCRIPT_SCHEMA
from engine.script.document import Document, read_document
from engine.script.parameters import Parameters, read_parameters
from engine.script.positions import Positions
from engine.script.quantities import parse_duration, parse_rate, parse_size
from engine.script.script import EnvFromPayload, Limits, PluginSettings, Retention, Script
from engine.script.seed import MOVED, is_seed, unfold
from engine.script.variables import read_variables, undeclared

Quantity = TypeVar("Quantity")

# The pause before another run is doubled each time up to this.
_MOST_DELAY_S = 300.0

# It becomes part of a Celery task's name, a file name and a URL.
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class ScriptError(DeclarationError):
    """A script file is wrong. `rest` is what is right of it, for whoever looks for further problems."""

    def __init__(self, problems: Iterable[Problem], rest: Script) -> None:
        super().__init__(problems)
        self.rest = rest


def load_script(path: str | os.PathLike[str], *, home: Path, name: str | None = None) -> Script:
    """The script that a file declares. Its name is `name` or the file's, without the suffix.

    Raises `DeclarationError` with every problem, each with file, line, column and pointer. `home` is the
    folder that relative paths of the command start from.
    """
    document = read_document(path)
    value = document.value
    reader = _Reader(Positions(document), home.absolute())
    if is_seed(value):
        value, problems = unfold(value)
        for place, message in problems:
            reader.problem(place, message)
        reader.positions = Positions(document, MOVED)
    return reader.script(name if name is not None else Path(path).stem, value)


def read_script(name: str, document: Document, *, home: Path, declaration: Schema, **fields: Any) -> Script:
    """A script that is declared elsewhere than in a file, by another schema. `fields` are those that it does not say.

    Raises `DeclarationError` with every problem.
    """
    return _Reader(Positions(document), home.absolute(), declaration).script(name, document.value, **fields)


def load_scripts(folder: str | os.PathLike[str], *, home: Path) -> tuple[Script, ...]:
    """The scripts of every `*.yaml` and `*.yml` in a folder, by name; none when there is no such folder.

    Raises `DeclarationError` with the problems of all files.
    """
    paths, problems = script_files(folder)
    scripts: list[Script] = []
    for path in paths:
        try:
            scripts.append(load_script(path, home=home))
        except DeclarationError as error:
            problems.extend(error.problems)
    if problems:
        raise DeclarationError(sorted(problems, key=lambda problem: problem.file or ""))
    return tuple(scripts)


def script_files(folder: str | os.PathLike[str]) -> tuple[list[str], list[Problem]]:
    """The files of a folder that declare scripts, by the script's name, and what is wrong with the folder itself."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [Problem(f"cannot be read: {error.strerror}", file=os.fspath(folder))]
    files: dict[str, str] = {}
    problems: list[Problem] = []
    for file in names:
        stem, suffix = os.path.splitext(file)
        if suffix not in (".yaml", ".yml") or file.startswith("."):
            continue
        path = os.path.join(folder, file)
        if stem in files:
            problems.append(Problem(f"{files[stem]} declares the script {quoted(stem)} already", file=path))
        else:
            files[stem] = path
    return [files[stem] for stem in sorted(files)], problems


@lru_cache(maxsize=1)
def _declaration() -> Schema:
    return Schema.compile(SCRIPT_SCHEMA, owner="script file")


class _Reader:
    """Builds one script and collects what is wrong on the way; each field is read only where its shape
    is right.
    """

    def __init__(self, positions: Positions, home: Path, declaration: Schema | None = None) -> None:
        self.positions = positions
        self._declared = declaration or _declaration()
        self._home = home
        self._problems: list[Problem] = []
        self._wrong: set[str] = set()

    def problem(self, place: str, message: str) -> None:
        self._problems.append(self.positions.problem(place, message))

    def script(self, name: str, value: Any, **more: Any) -> Script:
        if not NAME.fullmatch(name):
            rule = "lower-case letters, digits and -, at most 63 of them, a letter or digit in front"
            self.problem("", f"the name {quoted(name)} is not allowed: {rule}")
        for problem in self._declared.check(value):
            # What is wrong with a variable is told more plainly, and without its value, by its own reader.
            if not problem.pointer.startswith("/env/"):
                self.problem(problem.pointer, problem.message)
                self._wrong.add(problem.pointer)
        fields = self._fields(value if isinstance(value, dict) else {})
        whole = {"name": name, "file": self.positions.document.file, "positions": self.positions, **fields, **more}
        if self._problems:
            rest = Script(**{"command": (), "schema": Schema.compile({}), **whole})
            raise ScriptError(sorted(self._problems, key=lambda p: (p.line or 0, p.column or 0)), rest)
        return Script(**whole)

    def _right(self, place: str) -> bool:
        return not any(wrong == place or wrong.startswith(place + "/") for wrong in self._wrong)

    def _fields(self, value: Mapping[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        parameters = self._parameters(value)
        schema = self._schema(value, parameters)
        for key, field, read in (
            ("command", "command", self._command),
            ("env", "env", lambda env: self._env(env, schema)),
            ("dryRunCommand", "dry_run_command", tuple),
            ("exitCodes", "exit_codes", _exit_codes),
            ("maxRunTime", "max_run_time_s", self._max_run_time),
            ("killGrace", "kill_grace_s", lambda grace: self._quantity("/killGrace", parse_duration, grace)),
            ("limits", "limits", self._limits),
            ("plugins", "plugins", _plugins),
            ("tags", "tags", tuple),
            ("retryOn", "retry_on", tuple),
            ("allowedScopes", "allowed_scopes", tuple),
            ("retryDelay", "retry_delay_s", self._retry_delay),
            ("rateLimit", "rate_limit", lambda rate: self._quantity("/rateLimit", parse_rate, rate)),
            ("retention", "retention", self._retention),
        ):
            # One wrong limit does not hide what is wrong with another.
            misshapen = f"/{key}" in self._wrong if key == "limits" else not self._right(f"/{key}")
            if key in value and not misshapen:
                fields[field] = read(value[key])
        for key in (
            "title",
            "description",
            "category",
            "queue",
            "idempotent",
            "retries",
            "concurrency",
            "enabled",
            "facts",
        ):
            if key in value and self._right(f"/{key}"):
                fields[key] = value[key]
        self._repeated(fields)
        if schema is not None:
            fields["schema"] = schema
        if parameters is not None:
            fields["defaults"] = parameters.defaults
            for name in sorted(fields.get("env", {}).keys() & parameters.env.keys()):
                self.problem(pointer(("env", name)), f"{name} is a parameter that is handed over as a variable, too")
            fields["env"] = MappingProxyType({**fields.get("env", {}), **parameters.env})
        return fields

    def _schema(self, value: Mapping[str, Any], parameters: Parameters | None) -> Schema | None:
        if "schema" in value and "parameters" in value:
            self.problem("/parameters", "schema and parameters say the same: give one of them")
        if "schema" not in value and "parameters" not in value:
            self.problem("", 'the property "schema" is missing, or "parameters" instead of it')
        place = "/schema" if parameters is None else "/parameters"
        document = value.get("schema") if parameters is None else parameters.schema
        if document is None or not self._right(place):
            return None
        try:
            return Schema.compile(document)
        except DeclarationError as error:
            for problem in error.problems:
                self.problem(place + (problem.pointer if parameters is None else ""), problem.message)
            return None

    def _parameters(self, value: Mapping[str, Any]) -> Parameters | None:
        if "parameters" not in value or "schema" in value or not self._right("/parameters"):
            return None
        found = read_parameters(value["parameters"])
        for place, message in found.problems:
            self.problem(place, message)
        return None if found.problems else found

    def _command(self, argv: list[str]) -> tuple[str, ...]:
        command, problems = resolve_command(argv, self._home)
        for error in problems:
            self.problem(f"/command/{error.index}", str(error))
        return command

    def _env(self, env: Mapping[str, Any], schema: Schema | None) -> Mapping[str, str | EnvFromPayload]:
        found, problems = read_variables(env)
        if schema is not None:
            problems.extend(undeclared(found, schema))
        for place, message in problems:
            self.problem(place, message)
        return MappingProxyType(found)

    def _max_run_time(self, value: Any) -> float | None:
        if value is None or value == "unlimited":
            return None
        limit = self._quantity("/maxRunTime", parse_duration, value)
        if limit == 0:
            self.problem("/maxRunTime", "expected more than 0 seconds; null is no limit")
        return limit

    def _repeated(self, fields: dict[str, Any]) -> None:
        """What may not be repeated is not, unless the file says how often."""
        if not fields.get("idempotent", True):
            fields.setdefault("retries", 0)
        if fields.get("retry_on") and fields.get("retries") == 0:
            self.problem("/retryOn", "there are no retries: say how many in `retries`")

    def _retry_delay(self, value: Any) -> float | None:
        delay = self._quantity("/retryDelay", parse_duration, value)
        if delay is not None and delay > _MOST_DELAY_S:
            self.problem("/retryDelay", f"expected at most {_MOST_DELAY_S:.0f} seconds")
        return delay

    def _retention(self, value: Mapping[str, Any]) -> Retention:
        age = value.get("age")
        age_s = None if age is None else self._quantity("/retention/age", parse_duration, age)
        return Retention(age_s, value.get("count"))

    def _limits(self, value: Mapping[str, Any]) -> Limits:
        sizes = {
            "payloadBytes": "payload_bytes",
            "logBytes": "log_bytes",
            "artifactBytes": "artifact_bytes",
            "artifactTotalBytes": "artifact_total_bytes",
        }
        bounds = {
            field: self._quantity(pointer(("limits", key)), parse_size, value[key]) or 0
            for key, field in sizes.items()
            if key in value and self._right(f"/limits/{key}")
        }
        if "artifactCount" in value and self._right("/limits/artifactCount"):
            bounds["artifact_count"] = int(value["artifactCount"])
        return Limits(**bounds)

    def _quantity(self, place: str, parse: Callable[[Any], Quantity], value: Any) -> Quantity | None:
        try:
            return parse(value)
        except ValueError as error:
            self.problem(place, str(error))
            return None


def _exit_codes(value: Any) -> ExitMap:
    if isinstance(value, str):
        return PRESETS.get(value, DECLARATIVE)
    codes = {int(code): MEANINGS[meaning] for code, meaning in value.items() if code != "other"}
    other = MEANINGS[value["other"]] if "other" in value else INTERNAL
    return ExitMap("map", MappingProxyType({0: COMPLETED, **codes}), other)


def _plugins(value: Mapping[str, Any]) -> PluginSettings:
    settings = {name: part for name, part in value.items() if name != "disabled"}
    return PluginSettings(frozenset(value.get("disabled", ())), MappingProxyType(settings))
