"""Declared: the schedules of the operator's files, read again when a file changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog
from msgspec import Struct, field

from engine.errors import DeclarationError
from worker.config import Catalog
from worker.model.schedule import Schedule
from worker.schedules.files import fingerprint, folder_of, load_schedules
from worker.schedules.target import Target

_logger = structlog.get_logger("penstock.schedules")


class Known(Struct, frozen=True):
    """The scripts, and the schedules of the operator's files by name, as they are now."""

    catalog: Catalog
    files: Mapping[str, Schedule] = field(default_factory=dict)


class Declared:
    """`known` holds what was right when it was last read; nothing before `load` or `refresh`. `workflows`: of files."""

    def __init__(self, home: Path, catalog: Catalog, workflows: Mapping[str, Target]) -> None:
        self._catalog = catalog
        self._workflows = workflows
        self._folder = folder_of(home)
        self._seen: object = None
        self.known = Known(catalog)
        self.wrong = False
        """The files are wrong as they are now."""

    def load(self) -> None:
        """Raises DeclarationError with the problems of all files; `known` stays then as it is."""
        self._seen = fingerprint(self._folder)
        self.wrong = True
        self.known = Known(self._catalog, load_schedules(self._folder, self._catalog, self._workflows))
        self.wrong = False

    def refresh(self) -> bool:
        """Read again what has changed, and say whether `known` is another. Costs a look at the folder.

        What is wrong is logged, once.
        """
        if fingerprint(self._folder) == self._seen:
            return False
        try:
            self.load()
        except DeclarationError as error:
            for problem in error.problems:
                _logger.error("the schedules are wrong; those from before hold", problem=str(problem))
            return False
        return True
