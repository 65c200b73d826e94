"""Files: the schedules that the operator declares, one file each. They act as the operator, who may do everything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine.errors import DeclarationError, Problem
from engine.script.document import read_document
from engine.script.load import script_files
from worker.config import Catalog
from worker.model.access import Principal
from worker.model.schedule import Schedule
from worker.schedules.read import read_schedule
from worker.schedules.target import Target

OPERATOR = Principal("operator", "local", frozenset({"*"}))
# A folder with more of them is none that somebody wrote.
_MOST = 1000


def folder_of(home: Path) -> Path:
    return home / "config" / "schedules"


def load_schedules(folder: Path, catalog: Catalog, workflows: Mapping[str, Target]) -> dict[str, Schedule]:
    """By name; none when there is no such folder. `workflows`: those of files. What is registered, or saved in the
    store, is not the operator's own, and named by no file. Raises DeclarationError with the problems of all files.
    """
    paths, problems = script_files(folder)
    problems = [_renamed(problem) for problem in problems]
    if len(paths) > _MOST:
        problems.append(Problem(f"there are more than {_MOST} schedules", file=os.fspath(folder)))
        paths = []
    found: dict[str, Schedule] = {}
    for path in paths:
        try:
            schedule = load_schedule(path, catalog.declared, workflows)
        except DeclarationError as error:
            problems += error.problems
        else:
            found[schedule.name] = schedule
    if problems:
        raise DeclarationError(problems)
    return found


def load_schedule(path: str, catalog: Catalog, workflows: Mapping[str, Target]) -> Schedule:
    """The schedule of a file, named by it. Raises DeclarationError with file, line and pointer of each problem."""
    document = read_document(path)
    return read_schedule(
        Path(path).stem,
        document.value,
        catalog=catalog,
        owner=OPERATOR,
        locate=document.problem,
        file=path,
        workflows=workflows,
    )


def fingerprint(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Another one when a file was added, removed or written."""
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted((e.name, e.stat().st_mtime_ns, e.stat().st_size) for e in entries))
    except OSError:
        return ()


def _renamed(problem: Problem) -> Problem:
    """It is a schedule that is declared twice there, not a script."""
    message = problem.message.replace("declares the script", "declares the schedule")
    return Problem(message, problem.pointer, problem.file, problem.line, problem.column)
