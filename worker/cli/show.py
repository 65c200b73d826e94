"""`penstock show`: a task and its runs."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from worker.cli.options import json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.model.task import CancelRequest, Run, Task


@click.command("show")
@click.argument("task_id", metavar="ID")
@json_option("the task")
@pass_site
def command(site: Site, task_id: str, as_json: bool) -> int:
    """Show a task and its runs.

    When each run was recorded, claimed, started and ended, and why; how many more are allowed; who cancelled it.
    Secrets in the payload are masked. An unknown id: exit code 66.

    \b
    Examples:
      penstock show 6f1c2f0e-...
      penstock show report-2026-11 --json | jq .runs
    """
    task, children = asyncio.run(_task(site, task_id))
    if as_json:
        from worker.cli.document import of_task
        from worker.cli.terminal import print_json

        print_json(of_task(task, children))
    else:
        _show(task)
        _show_children(task, children)
    return 0


async def _task(site: Site, task_id: str) -> tuple[Task, Sequence[Task | None]]:
    """It, and those that it stands for."""
    async with site.open() as door:
        task = await door.task(task_id)
        if not task.children:
            return task, ()
        from worker.cli.grouped import children_of

        return task, await children_of(door, task)


def _show_children(task: Task, children: Sequence[Task | None]) -> None:
    if children:
        from worker.cli.grouped import result_lines

        click.echo("workers:")
        for line in result_lines(task, children, sys.stdout):
            click.echo(f"  {line}", color=True)


def _show(task: Task) -> None:
    from engine.log.text import printable
    from worker.cli.notice import artifact_table
    from worker.cli.terminal import local_time, painted_status

    reason = f" ({task.reason})" if task.reason else ""
    lines = {
        "task": task.id,
        "script": task.script,
        "status": painted_status(task.status.value, sys.stdout) + reason,
        "message": printable(task.message, 4000),
        "cancel": _cancel(task.cancel) if task.cancel else "",
        "target": task.target or "",
        "parent": task.parent or "",
        "queue": printable(task.queue) if not task.children else "",
        "trigger": task.trigger,
        "by": " from ".join(printable(part, 200) for part in (task.submitted_by, task.submitted_from) if part),
        "tags": printable(", ".join(task.tags), 4000),
        "priority": str(task.priority) if task.priority else "",
        "key": printable(task.key or ""),
        "created": local_time(task.created_at),
        "due": local_time(task.due_at) if task.due_at else "",
        "start by": local_time(task.start_by) if task.start_by else "",
        "deadline": local_time(task.deadline) if task.deadline else "",
        "finished": local_time(task.finished_at) if task.finished_at else "",
        "retries": f"{task.retries} left" if not task.status.final else "",
        "dry run": "yes" if task.dry_run else "",
        "payload": printable(json.dumps(task.payload, ensure_ascii=False), 4000),
    }
    for label, value in lines.items():
        if value:
            click.echo(f"{label + ':':<10}{value}", color=True)
    for run in task.runs:
        _show_run(run, told=run is task.runs[-1])
    if task.runs[-1].artifacts:
        click.echo("artifacts:")
        click.echo(artifact_table(task.runs[-1].artifacts), color=True)


def _cancel(request: CancelRequest) -> str:
    from engine.log.text import printable
    from worker.cli.terminal import local_time

    why = f": {printable(request.why, 4000)}" if request.why else ""
    return f"asked for by {printable(request.by, 200)}, {local_time(request.at)}{why}"


def _show_run(run: Run, *, told: bool) -> None:
    """Two lines, and one more for its message unless that was told as the task's."""
    from engine.exits import Exit
    from engine.log.text import printable
    from worker.cli.terminal import duration, local_time, painted_status, size

    known = run.exit_code is not None or run.signal is not None
    parts = [
        painted_status(run.status.value, sys.stdout) + (f" ({run.reason})" if run.reason else ""),
        f"on {printable(run.worker)}" if run.worker else "",
        str(Exit(run.exit_code, run.signal)) if known else "",
        duration(run.duration_ms) if run.duration_ms is not None else "",
        f"log {size(run.log_bytes)}" + (", cut" if run.log_truncated else "") if run.log_bytes else "",
    ]
    click.echo(f"run {run.number}: " + ", ".join(part for part in parts if part), color=True)
    times = {"pending": run.created_at, "claimed": run.claimed_at, "started": run.started_at, "ended": run.finished_at}
    line = ", ".join(f"{what} {local_time(at)}" for what, at in times.items() if at is not None)
    click.echo(f"       {line}")
    if run.message and not told:
        click.echo(f"       {printable(run.message, 4000)}")
