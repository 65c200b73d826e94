"""Commands: `exec` and `shell` as the declared scripts that they are, for who asks for them and for who runs them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.exits import PLAIN
from engine.plugin import Plugins, Prepared
from engine.schema import Schema
from engine.script import Limits, PluginSettings, Script
from worker.config.programs import exec_schema, shell_schema
from worker.config.settings import WorkerSettings
from worker.model.command import ARGUMENTS, EXEC, MOST_TIMEOUT_S, PAYLOAD_BYTES, QUEUES, SCOPE, SHELL, TIMEOUT_S

_PROGRAM = Path(__file__).with_name("start_program.py")
# What a shell sets itself when it is given none, and does not hand on.
_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_SHELL = "/bin/sh"
_TEXT = {"type": "string"}


def asked_commands() -> dict[str, Prepared]:
    """For who submits: what may be asked of any worker. Whether one lets it in is in that worker's settings."""
    args = {"type": "array", "maxItems": ARGUMENTS, "items": _TEXT}
    program = {"program": _TEXT, "args": args, "cwd": _TEXT}
    forms: dict[str, dict[str, Any]] = {
        EXEC: {"properties": program, "required": ["program", "args"]},
        SHELL: {"properties": {"text": {**_TEXT, "minLength": 1}, "cwd": _TEXT}, "required": ["text"]},
    }
    return {name: _prepared(name, form, {}) for name, form in forms.items()}


def worker_commands(settings: WorkerSettings) -> dict[str, Prepared]:
    """For a worker: what it lets in; what its settings say nothing of is a disabled script."""
    paths = {name: program.path for name, program in settings.programs.items()}
    found = {name: _off(name) for name in (EXEC, SHELL)}
    if paths:
        found[EXEC] = _prepared(EXEC, exec_schema(settings.programs), {"programs": paths})
    if settings.allow_arbitrary_shell:
        found[SHELL] = _prepared(SHELL, shell_schema(settings.command_folders), {"shell": _SHELL})
    return found


def command_queues(settings: WorkerSettings) -> frozenset[str]:
    """What a worker with these settings consumes for them."""
    on = {EXEC: bool(settings.programs), SHELL: settings.allow_arbitrary_shell}
    return frozenset(QUEUES[name] for name in on if on[name])


def _off(name: str) -> Prepared:
    """Lets any payload pass, because that it is off is to be the answer to all of them."""
    anything = Schema.compile({"additionalProperties": True})
    script = Script(
        name=name,
        command=(str(_PROGRAM),),
        schema=anything,
        queue=QUEUES[name],
        idempotent=False,
        retries=0,
        enabled=False,
        allowed_scopes=(f"{SCOPE}:{name}",),
    )
    return Prepared(script, anything, (), {})


def _prepared(name: str, form: Mapping[str, Any], what: Mapping[str, Any]) -> Prepared:
    script = Script(
        name=name,
        command=(sys.executable, "-I", "-S", str(_PROGRAM), json.dumps(what)),
        schema=Schema.compile(form),
        env=_ENV,
        defaults={"maxRunTime": TIMEOUT_S, **({"args": []} if name == EXEC else {})},
        # Their exit codes are those of programs that know nothing of us: no 4 may stop a worker.
        exit_codes=PLAIN,
        max_run_time_s=MOST_TIMEOUT_S,
        limits=Limits(payload_bytes=PAYLOAD_BYTES),
        queue=QUEUES[name],
        idempotent=False,
        retries=0,
        allowed_scopes=(f"{SCOPE}:{name}",),
        # A dry run would be none, a person's mistakes say nothing about the host, and who asks knows what they asked.
        plugins=PluginSettings(disabled=frozenset({"dryRun", "stopOnInternalErrors", "logHeader"})),
    )
    # With the product's plugins as they are: what a deployment does to its own scripts is not for these.
    return Plugins().prepare(script)
