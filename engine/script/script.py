"""Script: one fixed command, the schema of its payload, its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from engine.errors import Problem
from engine.exits import DECLARATIVE, ExitMap
from engine.schema import Schema
from engine.script.positions import Positions
from engine.script.program import Program

MIB = 1024 * 1024
# Of a script that says nothing and may be repeated.
RETRIES = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one run, in bytes except for the count."""

    payload_bytes: int = 1 * MIB
    log_bytes: int = 64 * MIB
    artifact_count: int = 1000
    artifact_bytes: int = 1024 * MIB
    artifact_total_bytes: int = 4096 * MIB


@dataclass(frozen=True, slots=True)
class EnvFromPayload:
    """The value of an environment variable that the operator mapped to a place in the payload.

    `pointer` is a JSON Pointer. A string is handed over as it is, a number or boolean as its JSON text; an absent
    value leaves the variable unset; null, arrays, objects and strings with NUL make the payload malformed.
    """

    pointer: str


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """The `plugins:` section: names that are off, and the settings of the others by plugin name."""

    disabled: frozenset[str] = frozenset()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}), repr=False)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long finished tasks are kept, and how many. None: as the deployment's settings say."""

    age_s: float | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A declared script. `command` is an argv whose first element is an absolute path to an executable.

    `schema` is the author's own part, closed at the root, before plugins add their keys. `max_run_time_s` None
    means no limit; `kill_grace_s` 0 means SIGKILL at once. `queue` None means the deployment's default queue.

    `retries` counts further runs after a failure of the infrastructure, or one whose reason is in `retry_on`; the
    latter begin after `retry_delay_s`, doubled each time. `concurrency` bounds the runs at a time and `rate_limit`
    the starts, as many in so many seconds, both in all workers together; None means no limit.

    With a `program` that is what runs, and `command` only says it to people. `defaults` are filled into a payload
    before it is checked; `dry_run_command` follows `command` in a dry run.

    With `facts` a payload may name what the worker knows of itself, and the command reads that on stdin instead.

    Who runs it needs one of `allowed_scopes`, if there are any; the engine does not look at them.
    """

    name: str
    command: tuple[str, ...]
    schema: Schema
    title: str = ""
    description: str = ""
    category: str = ""
    tags: tuple[str, ...] = ()
    # Neither this nor the settings of plugins are shown by repr: operators write tokens there.
    env: Mapping[str, str | EnvFromPayload] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    dry_run_command: tuple[str, ...] = ()
    program: Program | None = None
    exit_codes: ExitMap = DECLARATIVE
    max_run_time_s: float | None = 3600.0
    kill_grace_s: float = 5.0
    limits: Limits = Limits()
    queue: str | None = None
    idempotent: bool = True
    retries: int = RETRIES
    retry_on: tuple[str, ...] = ()
    retry_delay_s: float = 1.0
    concurrency: int | None = None
    rate_limit: tuple[int, float] | None = None
    retention: Retention | None = None
    enabled: bool = True
    facts: bool = False
    allowed_scopes: tuple[str, ...] = ()
    plugins: PluginSettings = PluginSettings()
    file: str | None = None
    positions: Positions | None = field(default=None, compare=False, repr=False)

    def problem(self, pointer: str, message: str) -> Problem:
        """A problem of this script; with file, line and column when it was read from a file."""
        if self.positions is None:
            return Problem(message, pointer, self.file)
        return self.positions.problem(pointer, message)
