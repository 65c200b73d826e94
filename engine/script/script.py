"""Script: one fixed command, the schema of its payload, its limits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from engine.errors import Problem
from engine.exits import DECLARATIVE, ExitMap
from engine.hiding import Hiding
from engine.schema import Schema
from engine.script.positions import Positions
from engine.script.program import Program

MIB = 1024 * 1024
# Of a script that says nothing and may be repeated.
RETRIES = 2


class Limits(Struct, frozen=True):
    """Bounds of one run, in bytes except for the count."""

    payload_bytes: int = 1 * MIB
    log_bytes: int = 64 * MIB
    artifact_count: int = 1000
    artifact_bytes: int = 1024 * MIB
    artifact_total_bytes: int = 4096 * MIB


class EnvFromPayload(Struct, frozen=True):
    """The value of an environment variable that the operator mapped to a place in the payload.

    `pointer` is a JSON Pointer. A string is handed over as it is, a number or boolean as its JSON text; an absent
    value leaves the variable unset; null, arrays, objects and strings with NUL make the payload malformed.
    """

    pointer: str


class PluginSettings(Hiding, frozen=True):
    """The `plugins:` section: names that are off, and the settings of the others by plugin name."""

    HIDDEN = frozenset({"settings"})

    disabled: frozenset[str] = frozenset()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))


class Retention(Struct, frozen=True):
    """How long finished tasks are kept, and how many. None: as the deployment's settings say."""

    age_s: float | None = None
    count: int | None = None


class Script(Hiding, frozen=True):
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

    # Operators write tokens into the variables, and into the settings of plugins.
    HIDDEN = frozenset({"env", "positions"})

    name: str
    command: tuple[str, ...]
    schema: Schema
    title: str = ""
    description: str = ""
    category: str = ""
    tags: tuple[str, ...] = ()
    env: Mapping[str, str | EnvFromPayload] = field(default_factory=lambda: MappingProxyType({}))
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
    positions: Positions | None = None

    def problem(self, pointer: str, message: str) -> Problem:
        """A problem of this script; with file, line and column when it was read from a file."""
        if self.positions is None:
            return Problem(message, pointer, self.file)
        return self.positions.problem(pointer, message)
