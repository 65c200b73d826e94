"""Catalog: the scripts of a deployment, ready to run."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from engine.errors import DeclarationError, Problem
from engine.plugin import Plugins, Prepared
from engine.schema.shown import pointer, quoted, suggestion
from engine.script import Script
from engine.script.load import ScriptError, load_script, script_files
from worker.config.settings import Settings, WorkerSettings, load_settings, reserved_queue
from worker.model.command import COMMANDS


class Catalog(Struct, frozen=True):
    """By name, disabled scripts included: what names them is refused with a reason instead of being unknown.

    `scripts` shows what the deployment declares and, where no file declares that name, what is registered. It changes
    while somebody looks at it, from one state to the next as a whole.
    """

    scripts: ChainMap[str, Prepared]
    plugins: Plugins

    @classmethod
    def of(cls, declared: Mapping[str, Prepared], plugins: Plugins) -> Catalog:
        return cls(ChainMap(dict(declared), {}, {}), plugins)

    def declares(self, name: str) -> bool:
        """Whether a file of the deployment does, or the product itself."""
        return name in self.scripts.maps[0] or name in self.scripts.maps[2]

    @property
    def declared(self) -> Catalog:
        """Without what is registered: a file of the deployment names what other files declare."""
        return Catalog.of(self.scripts.maps[0], self.plugins)

    def take_on(self, commands: Mapping[str, Prepared]) -> None:
        """In a worker: what it runs of the product's own, disabled ones included."""
        self.scripts.maps[2] = dict(commands)

    def register(self, registered: Mapping[str, Prepared]) -> None:
        """From now on these are the registered scripts."""
        self.scripts.maps[1] = dict(registered)

    def __iter__(self) -> Iterator[Prepared]:
        return iter(dict(self.scripts).values())

    def get(self, name: str) -> Prepared | None:
        return self.scripts.get(name)


def load_all(home: Path) -> tuple[Settings, Catalog]:
    """Settings and scripts of the deployment. Raises DeclarationError with the problems of both."""
    problems: list[Problem] = []
    try:
        settings = load_settings(home)
    except DeclarationError as error:
        problems += error.problems
        settings = Settings(home, home / ".penstock", WorkerSettings(""))
    try:
        catalog = load_catalog(settings)
    except DeclarationError as error:
        problems += error.problems
    if problems:
        raise DeclarationError(problems)
    return settings, catalog


def load_catalog(settings: Settings) -> Catalog:
    """Load and prepare every script. Raises DeclarationError with the problems of all files at once."""
    problems: list[Problem] = []
    locate = settings.document.problem if settings.document else lambda pointer, message: Problem(message, pointer)
    try:
        plugins = Plugins(settings.plugins)
    except DeclarationError as error:
        problems += [locate(problem.pointer, problem.message) for problem in error.problems]
        plugins = Plugins()
    prepared: dict[str, Prepared] = {}
    paths, found = script_files(settings.scripts_folder)
    problems += found
    for path in paths:
        try:
            script = load_script(path, home=settings.home)
            prepared[script.name] = plugins.prepare(script)
            if script.queue and (why := reserved_queue(script.queue)):
                problems.append(script.problem("/queue", why))
            if script.name in COMMANDS:
                problems.append(script.problem("", f"{script.name} is a command of Penstock's own; rename the file"))
        except ScriptError as error:
            problems += error.problems
            problems += _further(plugins, error.rest)
        except DeclarationError as error:
            problems += error.problems
    # A script whose file is wrong is there, and has its own problems.
    wrong = {Path(problem.file).stem for problem in problems if problem.file}
    for queue, name in settings.plain.items():
        if name not in prepared and name not in wrong:
            near = suggestion(name, prepared)
            problems.append(locate(pointer(("queues", queue, "plain")), f"there is no script {quoted(name)}{near}"))
        elif name in prepared and prepared[name].script.allowed_scopes:
            message = f"the script {quoted(name)} names allowedScopes, and a plain document has no scopes"
            problems.append(locate(pointer(("queues", queue, "plain")), message))
    for number, webhook in enumerate(settings.webhooks):
        for name in sorted((webhook.scripts or frozenset()) - prepared.keys() - wrong):
            near = suggestion(name, prepared)
            place = pointer(("webhooks", number, "scripts"))
            problems.append(locate(place, f"there is no script {quoted(name)}{near}"))
    if problems:
        raise DeclarationError(problems)
    return Catalog.of(prepared, plugins)


def _further(plugins: Plugins, rest: Script) -> tuple[Problem, ...]:
    """What plugins have to say to a script that has other problems already."""
    try:
        plugins.prepare(rest)
    except DeclarationError as error:
        return error.problems
    return ()
