"""`penstock cancel`: end tasks that wait or run."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from worker.cli import exit_codes
from worker.cli.options import ScriptName, json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Door, Site
    from worker.model.answers import Cancelled
    from worker.model.status import Status

_SAID = {
    "cancelled": "cancelled; it never starts",
    "requested": "is ended by its worker",
    "already": "was asked to end before, and is being ended",
    "final": "had ended already",
    "unknown": "is unknown",
}


class _Choice(Struct, frozen=True):
    task_ids: tuple[str, ...]
    script: str | None
    pending: bool
    yes: bool


@click.command("cancel")
@click.argument("task_ids", metavar="[ID]...", nargs=-1)
@click.option("--script", metavar="NAME", type=ScriptName(), help="All tasks of this script that wait or run.")
@click.option("--all-pending", "pending", is_flag=True, help="All tasks that wait; with --script those of it.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before --script and --all-pending.")
@click.option("--why", metavar="TEXT", default="", help="Kept with the record and shown to whoever looks.")
@json_option("{tasks}, each with its outcome,")
@pass_site
def command(
    site: Site,
    task_ids: tuple[str, ...],
    script: str | None,
    pending: bool,
    yes: bool,
    why: str,
    as_json: bool,
) -> int:
    """End tasks that wait or run.

    A task that waits never starts. A running command is ended within a second: SIGTERM, its killGrace, SIGKILL. No
    other run follows. A task that has ended is left as it is; cancelling twice changes nothing. Exit code 0, or 66
    when an id is unknown; the others are cancelled all the same.

    \b
    Examples:
      penstock cancel report-2026-11 --why "wrong month"
      penstock cancel --script render-report
      penstock cancel --all-pending --yes
    """
    choice = _Choice(task_ids, script, pending, yes)
    _check(choice)
    answers = asyncio.run(_cancel(site, choice, why))
    if as_json:
        from worker.cli.document import cancelled
        from worker.cli.terminal import print_json

        print_json({"tasks": [cancelled(task_id, answer) for task_id, answer in answers]})
    else:
        _tell(answers, each=bool(task_ids))
    unknown = any(answer.outcome.value == "unknown" for _, answer in answers)
    return exit_codes.NO_INPUT if unknown else exit_codes.COMPLETED


def _check(choice: _Choice) -> None:
    many = choice.script is not None or choice.pending
    if choice.task_ids and many:
        raise click.UsageError("name tasks, or give --script or --all-pending, not both")
    if not choice.task_ids and not many:
        raise click.UsageError("which tasks? name them, or give --script NAME or --all-pending")


async def _cancel(site: Site, choice: _Choice, why: str) -> list[tuple[str, Cancelled]]:
    async with site.open() as door:
        if choice.task_ids:
            answers = door.cancel(list(dict.fromkeys(choice.task_ids)), why=why)
        else:
            answers = await _many(door, choice, why)
        return [answer async for answer in answers]


async def _many(door: Door, choice: _Choice, why: str) -> AsyncIterator[tuple[str, Cancelled]]:
    from worker.model.status import Status

    statuses = (Status.PENDING,) if choice.pending else (Status.PENDING, Status.RUNNING)
    if not choice.yes:
        await _confirm(door, choice.script, statuses)
    return door.cancel_all(statuses, script=choice.script, why=why)


async def _confirm(door: Door, script: str | None, statuses: tuple[Status, ...]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("say --yes to cancel all of them without being asked")
    totals = [(await door.tasks(script=script, status=s, limit=1, before=None)).total for s in statuses]
    what = " and ".join(f"{total} {status.value}" for total, status in zip(totals, statuses, strict=True))
    click.confirm(f"Cancel {what}{f' of {script}' if script else ''}?", abort=True, err=True)


def _tell(answers: list[tuple[str, Cancelled]], *, each: bool) -> None:
    from engine.log.text import printable
    from worker.cli.notice import notice

    if each:
        for task_id, answer in answers:
            status = f" ({answer.status.value})" if answer.status and answer.outcome.value == "final" else ""
            worker = f" {printable(answer.worker)}" if answer.worker else ""
            click.echo(f"{printable(task_id, 100)} {_SAID[answer.outcome.value]}{worker}{status}")
        return
    if not answers:
        notice("there is nothing to cancel")
    for outcome, count in Counter(answer.outcome.value for _, answer in answers).items():
        click.echo(f"{count} {'task' if count == 1 else 'tasks'}: {_SAID[outcome]}")
