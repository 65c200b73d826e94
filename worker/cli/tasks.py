"""`penstock tasks`: list the tasks, newest first."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import click

from worker.cli.options import STATUSES, ScriptName, json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.model.listing import TaskPage
    from worker.model.task import Task


@click.command("tasks")
@click.option("--script", metavar="SCRIPT", type=ScriptName(), help="Only tasks of this script.")
@click.option("--status", type=click.Choice(STATUSES), help="Only tasks with this status.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 1000), default=50, help="At most so many [default: 50].")
@click.option("--before", metavar="CURSOR", help="Go on after a page: its `next`.")
@json_option("{tasks, total, next}")
@pass_site
def command(site: Site, script: str | None, status: str | None, limit: int, before: str | None, as_json: bool) -> int:
    """List the tasks, newest first.

    \b
    Examples:
      penstock tasks
      penstock tasks --script sign-file --status failed
      penstock tasks --json | jq -r '.tasks[].taskId'
    """
    page = asyncio.run(_page(site, script, status, limit, before))
    if as_json:
        from worker.cli.document import in_list
        from worker.cli.terminal import print_json

        print_json({"tasks": [in_list(task) for task in page.tasks], "total": page.total, "next": page.next})
    else:
        _show(page)
    return 0


async def _page(site: Site, script: str | None, status: str | None, limit: int, before: str | None) -> TaskPage:
    from worker.model.status import Status

    async with site.open() as door:
        return await door.tasks(script=script, status=Status(status) if status else None, limit=limit, before=before)


def rows_of(page: TaskPage) -> tuple[list[str], list[list[str]]]:
    """The head of a table of tasks and its rows; the status is in the column 2."""
    from worker.cli.terminal import duration, local_time

    rows = [
        [
            task.id,
            task.script,
            task.status.value,
            _why(task),
            local_time(task.created_at),
            duration(task.runs[-1].duration_ms),
        ]
        for task in page.tasks
    ]
    return ["ID", "SCRIPT", "STATUS", "REASON", "CREATED", "DURATION"], rows


def _show(page: TaskPage) -> None:
    from worker.cli.notice import notice
    from worker.cli.terminal import table

    head, rows = rows_of(page)
    click.echo(table(head, rows, sys.stdout, status=2), color=True)
    waiting = sum(1 for task in page.tasks if task.status.value == "pending")
    if waiting:
        notice(f"{waiting} of these {'waits' if waiting == 1 else 'wait'} to be started")
    if page.next:
        notice(f"{len(page.tasks)} of {page.total}; for more: --before {page.next}")


def _why(task: Task) -> str:
    """The reason of its end or, before that, what it waits for."""
    from worker.cli.terminal import local_time

    if task.reason or task.status.final:
        return task.reason or "-"
    if task.cancel:
        return "to be cancelled"
    if task.status.value == "pending":
        if task.due_at and task.due_at > time.time() * 1000:
            return f"due {local_time(task.due_at)}"
        return f"waits in {task.queue}"
    return "-"
