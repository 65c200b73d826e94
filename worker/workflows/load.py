"""Load the workflows of a deployment's files. Every problem of every file is told at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.errors import DeclarationError, Problem
from engine.plugin import Prepared
from engine.script.document import read_document
from engine.script.load import script_files
from worker.workflows.read import Find, read_workflow
from worker.workflows.workflow import Workflow


def workflows_folder(home: Path) -> Path:
    return home / "config" / "workflows"


def load_workflows(home: Path, scripts: Mapping[str, Prepared]) -> dict[str, Workflow]:
    """Those of `config/workflows/*.yaml`, by name, which is the file's. Raises DeclarationError."""
    paths, found_problems = script_files(workflows_folder(home))
    problems = [_of_workflows(problem) for problem in found_problems]
    found: dict[str, Workflow] = {}
    for path in paths:
        try:
            workflow = load_workflow(path, find=scripts.get, names=scripts)
        except DeclarationError as error:
            problems += error.problems
        else:
            found[workflow.name] = workflow
    if problems:
        raise DeclarationError(sorted(problems, key=lambda problem: problem.file or ""))
    return found


def load_workflow(path: str, *, find: Find, names: Iterable[str]) -> Workflow:
    """Raises DeclarationError, each problem with file, line and column."""
    document = read_document(path)
    try:
        return read_workflow(Path(path).stem, document.value, scripts=find, names=names, file=path)
    except DeclarationError as error:
        located = [document.problem(problem.pointer, problem.message) for problem in error.problems]
        raise DeclarationError(sorted(located, key=lambda p: (p.line or 0, p.column or 0))) from None


def _of_workflows(problem: Problem) -> Problem:
    """What is wrong with the folder, in words for this one."""
    message = problem.message.replace(" declares the script ", " declares the workflow ")
    return Problem(message, problem.pointer, problem.file, problem.line, problem.column)
