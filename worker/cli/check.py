"""`penstock check`: validate the whole deployment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes
from worker.cli.options import json_option

if TYPE_CHECKING:
    from engine.errors import Problem


@click.command("check")
@json_option("the result")
@click.pass_obj
def command(home: Path, as_json: bool) -> int:
    """Validate the whole deployment.

    Reads the settings, every script, schedule and workflow, and prints each problem as FILE:LINE:COLUMN: POINTER:
    MESSAGE. Starts nothing and needs no store. Exit code 0 when all is well, 65 otherwise.

    \b
    Examples:
      penstock check
      penstock check --json | jq .problems
    """
    from engine.log.text import printable
    from worker.cli.notice import notice
    from worker.cli.terminal import print_json

    names, problems = _checked(home)
    if as_json:
        print_json(
            {
                "ok": not problems,
                "scripts": names,
                "problems": [
                    {
                        "file": problem.file,
                        "line": problem.line,
                        "column": problem.column,
                        "pointer": problem.pointer,
                        "message": problem.message,
                    }
                    for problem in problems
                ],
            }
        )
    elif problems:
        for problem in problems:
            click.echo(printable(str(problem), 4000))
    else:
        if not names:
            notice(f"there are no scripts in {home / 'config' / 'scripts'}")
        click.echo(f"ok: {len(names)} script{'' if len(names) == 1 else 's'}")
    return exit_codes.DATA if problems else exit_codes.COMPLETED


def _checked(home: Path) -> tuple[list[str], list[Problem]]:
    """The names of the scripts, [] when anything is wrong, and all problems; wrong settings do not hide scripts."""
    from engine.errors import DeclarationError
    from worker.config import load_all
    from worker.config.allow import AllowList
    from worker.daemons.proofs import check_approval_key, proofs
    from worker.daemons.scheduled import targets_of
    from worker.schedules.files import folder_of, load_schedules
    from worker.workflows.load import load_workflows

    problems: list[Problem] = []
    names: list[str] = []
    try:
        settings, catalog = load_all(home)
        names = sorted(catalog.scripts)
        check_approval_key(settings)
        proofs(settings)
        load_schedules(folder_of(home), catalog, targets_of(load_workflows(home, catalog.scripts)))
    except DeclarationError as error:
        problems += error.problems
    try:
        AllowList(home).read()
    except DeclarationError as error:
        problems += error.problems
    return [] if problems else names, problems
