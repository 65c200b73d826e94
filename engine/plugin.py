"""Plugin: what may take part in a run besides the command; loaded by name, with payload keys of its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar, Protocol

from msgspec import Struct, field

from engine.errors import DeclarationError, PenstockError, Problem
from engine.log import LogWriter
from engine.outcome import Outcome
from engine.process.abort import Abort
from engine.schema import Schema
from engine.script import PluginSettings, Script

_logger = logging.getLogger("penstock.engine")

GROUP = "penstock.plugins"
# The built-in plugins: all of them are on unless they are switched off by name. Named here so that a start does
# not have to search every installed package; a name that is not here is looked up among the entry points.
BUILT_IN: Mapping[str, str] = {
    "dryRun": "engine.plugins.dry_run:DryRun",
    "lifetime": "engine.plugins.lifetime:Lifetime",
    "logHeader": "engine.plugins.log_header:LogHeader",
    "maxRunTime": "engine.plugins.max_run_time:MaxRunTime",
    "stopOnInternalErrors": "engine.plugins.stop_on_internal_errors:StopOnInternalErrors",
    "watchdog": "engine.plugins.watchdog:Watchdog",
}


class Host(Protocol):
    """Who runs the scripts: a worker, or the command `exec`."""

    @property
    def name(self) -> str:
        """What the log calls the host."""

    def drain(self, why: str, *, fatal: bool = False) -> None:
        """Take no further task, finish what runs, then end. Called twice: the first reason stays.

        `fatal`: something is wrong with the host; a worker then ends with exit code 4, else with 0.
        """


class Run(Struct):
    """One run as its plugins see it, and as they may change it before the command starts."""

    script: Script
    task_id: str
    run_id: int
    host: Host
    log: LogWriter
    abort: Abort
    settings: Mapping[str, Mapping[str, Any]]
    max_run_time_s: float | None
    env: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False
    started_at_s: float = 0.0
    """Of the loop's clock, as `last_output_at_s`."""
    last_output_at_s: float = 0.0


class Plugin:
    """Base of all plugins: every hook does nothing. One object serves all scripts of a process, in one thread.

    `settings` passed to a hook, or found in `run.settings[self.name]`, are those of the script, laid over those of
    the deployment and checked against `settings_schema`. A hook that raises ends the run as an internal error.
    """

    name: ClassVar[str]
    settings_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    def payload_keys(self, settings: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        """The top-level payload keys that belong to this plugin, each with its schema; stdin never gets them."""
        return {}

    def required_keys(self, settings: Mapping[str, Any]) -> frozenset[str]:
        return frozenset()

    def before(self, run: Run, part: Mapping[str, Any]) -> None:
        """The payload is valid and the command not started. `part` holds this plugin's keys that were sent."""

    def tick(self, run: Run, now_s: float) -> None:
        """About once a second while the command runs; `now_s` of the loop's clock."""

    def after(self, run: Run, outcome: Outcome) -> None:
        """The outcome is known, and not the plugin's to change."""

    def rest(self, host: Host, settings: Mapping[str, Any], up_s: float, idle_s: float) -> None:
        """About once a second, whether something runs or not. `idle_s` is 0 while something does."""


class PluginFault(PenstockError):
    """A hook raised. The run ends as an internal error; the traceback is in the worker's own log."""


def fault(plugin: Plugin, error: Exception) -> PluginFault:
    """Log what a hook raised and make an error of it that names the plugin."""
    _logger.error("plugin %s failed", plugin.name, exc_info=error)
    return PluginFault(f"plugin {plugin.name} failed: {type(error).__name__}")


class Prepared(Struct, frozen=True):
    """A script with the plugins that take part in its runs, and the schema of the whole payload."""

    script: Script
    schema: Schema
    plugins: tuple[Plugin, ...]
    settings: Mapping[str, Mapping[str, Any]]


class Plugins:
    """All plugins of a process. `deployment` are the settings that hold for every script.

    Raises DeclarationError for a name that nobody has, and for settings that the plugin does not take.
    """

    def __init__(self, deployment: PluginSettings = PluginSettings()) -> None:
        self._deployment = deployment
        self._loaded: dict[str, Plugin] = {}
        self._schemas: dict[str, Schema] = {}
        problems = list(self._problems(deployment))
        if problems:
            raise DeclarationError(problems)
        for name in {*BUILT_IN, *deployment.settings} - deployment.disabled:
            self._load(name)

    def active(self) -> Iterable[tuple[Plugin, Mapping[str, Any]]]:
        """The plugins of the deployment with its settings, by name."""
        for name in sorted(set(self._loaded) - self._deployment.disabled):
            yield self._loaded[name], self._deployment.settings.get(name, {})

    def prepare(self, script: Script) -> Prepared:
        """Choose the plugins of a script and merge their payload keys into its schema.

        Raises DeclarationError with every problem: unknown names, wrong settings, keys that two owners claim.
        """
        problems = [script.problem(p.pointer, p.message) for p in self._problems(script.plugins)]
        if problems:
            raise DeclarationError(problems)
        off = self._deployment.disabled | script.plugins.disabled
        names = sorted({*BUILT_IN, *self._deployment.settings, *script.plugins.settings} - off)
        plugins = tuple(self._load(name) for name in names)
        settings = {name: self._settings(name, script) for name in names}
        keys: dict[str, tuple[str, Mapping[str, Any]]] = {}
        required: set[str] = set()
        for plugin in plugins:
            for key, key_schema in plugin.payload_keys(settings[plugin.name]).items():
                if key in keys:
                    message = f'the payload key "{key}" belongs to two plugins: {keys[key][0]} and {plugin.name}'
                    problems.append(script.problem("/plugins", message))
                keys[key] = (f"plugin {plugin.name}", key_schema)
            required |= plugin.required_keys(settings[plugin.name])
        if problems:
            raise DeclarationError(problems)
        try:
            schema = script.schema.extended(keys, required=frozenset(required))
        except DeclarationError as error:
            raise DeclarationError(script.problem("/schema" + p.pointer, p.message) for p in error.problems) from None
        return Prepared(script, schema, plugins, settings)

    def _settings(self, name: str, script: Script) -> Mapping[str, Any]:
        return {**self._deployment.settings.get(name, {}), **script.plugins.settings.get(name, {})}

    def _problems(self, wanted: PluginSettings) -> Iterable[Problem]:
        for name in sorted({*wanted.disabled, *wanted.settings}):
            pointer = "/plugins/disabled" if name in wanted.disabled else f"/plugins/{name}"
            try:
                plugin = self._load(name)
            except LookupError:
                known = ", ".join(sorted(BUILT_IN))
                yield Problem(f"unknown plugin {json.dumps(name)}; built in are {known}", pointer)
                continue
            for problem in self._check(plugin, wanted.settings.get(name, {})):
                yield Problem(problem.message, f"/plugins/{name}{problem.pointer}")

    def _check(self, plugin: Plugin, settings: Mapping[str, Any]) -> tuple[Problem, ...]:
        if plugin.name not in self._schemas:
            self._schemas[plugin.name] = Schema.compile(plugin.settings_schema, owner=f"plugin {plugin.name}")
        return self._schemas[plugin.name].check(settings)

    def _load(self, name: str) -> Plugin:
        if name not in self._loaded:
            self._loaded[name] = _find(name)()
        return self._loaded[name]


def _find(name: str) -> type[Plugin]:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found: type[Plugin] = getattr(import_module(module), attribute)
        return found
    for entry in entry_points(group=GROUP, name=name):
        loaded: type[Plugin] = entry.load()
        return loaded
    raise LookupError(name)
