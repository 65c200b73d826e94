"""`penstock check`: validate the whole deployment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes
from worker.cli.options import json_option

if TYPE_CHECKING:
    from engine.errors import Problem
    from worker.model.worker import Conflict

# For the store, which is not asked about much.
_STORE_S = 3.0


@click.command("check")
@json_option("the result")
@click.pass_obj
def command(home: Path, as_json: bool) -> int:
    """Validate the whole deployment.

    Reads the settings, every script, schedule and workflow, and prints each problem as FILE:LINE:COLUMN: POINTER:
    MESSAGE. Starts nothing and needs no store; where one answers, it also tells what the workers of a queue that live
    disagree on, which is no problem of the deployment's files. Exit code 0 when all is well, 65 otherwise.

    \b
    Examples:
      penstock check
      penstock check --json | jq .problems
    """
    from engine.log.text import printable
    from worker.cli.notice import notice
    from worker.cli.terminal import print_json
    from worker.cli.worker_document import of_conflict, sentence

    names, problems = _checked(home)
    disagreed = [] if problems else _conflicts(home)
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
                "conflicts": [of_conflict(conflict) for conflict in disagreed],
            }
        )
    elif problems:
        for problem in problems:
            click.echo(printable(str(problem), 4000))
    else:
        if not names:
            notice(f"there are no scripts in {home / 'config' / 'scripts'}")
        click.echo(f"ok: {len(names)} script{'' if len(names) == 1 else 's'}")
        for conflict in disagreed:
            notice(sentence(conflict))
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


def _conflicts(home: Path) -> list[Conflict]:
    """What live workers disagree on, if the store answers soon."""
    import asyncio

    from worker.cli.deployment import opened, store_runs
    from worker.cli.failure import Failure
    from worker.cli.notice import notice
    from worker.config import load_settings
    from worker.store import StoreError

    settings = load_settings(home)
    if settings.embedded and not store_runs(settings):
        return []

    async def read() -> list[Conflict]:
        from worker.operations.fleet import fleet
        from worker.store.workers import Workers

        async with asyncio.timeout(_STORE_S), opened(settings) as store:
            return list((await fleet(Workers(store.redis))).conflicts)

    try:
        return asyncio.run(read())
    except (Failure, StoreError, TimeoutError) as error:
        notice(f"workers are not seen: {error or 'the store does not answer'}")
        return []
