"""Catalog: the scripts of a deployment, ready to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.errors import DeclarationError, Problem
from engine.plugin import Plugins, Prepared
from engine.script.load import load_scripts
from worker.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Catalog:
    """By name, disabled scripts included: what names them is refused with a reason instead of being unknown."""

    scripts: Mapping[str, Prepared]
    plugins: Plugins

    def __iter__(self) -> Iterator[Prepared]:
        return iter(self.scripts.values())

    def get(self, name: str) -> Prepared | None:
        return self.scripts.get(name)


def load_catalog(settings: Settings) -> Catalog:
    """Load and prepare every script. Raises DeclarationError with the problems of all files at once."""
    problems: list[Problem] = []
    try:
        plugins = Plugins(settings.plugins)
    except DeclarationError as error:
        locate = settings.document.problem if settings.document else lambda pointer, message: Problem(message, pointer)
        problems += [locate(problem.pointer, problem.message) for problem in error.problems]
        plugins = Plugins()
    prepared: dict[str, Prepared] = {}
    try:
        scripts = load_scripts(settings.scripts_folder, home=settings.home)
    except DeclarationError as error:
        problems += error.problems
        scripts = ()
    for script in scripts:
        try:
            prepared[script.name] = plugins.prepare(script)
        except DeclarationError as error:
            problems += error.problems
    if problems:
        raise DeclarationError(problems)
    return Catalog(prepared, plugins)
