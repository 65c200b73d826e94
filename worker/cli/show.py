"""`penstock show`: a task and its runs."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.cli.options import json_option

if TYPE_CHECKING:
    from worker.model import Run, Task


@click.command("show")
@click.argument("task_id", metavar="ID")
@json_option("the task")
@click.pass_obj
def command(home: Path, task_id: str, as_json: bool) -> int:
    """Show a task and its runs.

    Secrets in the payload are masked. An unknown id: exit code 66.

    \b
    Examples:
      penstock show 6f1c2f0e-...
      penstock show report-2026-11 --json | jq .runs
    """
    task = asyncio.run(_task(home, task_id))
    if as_json:
        from worker.cli.document import of_task
        from worker.cli.terminal import print_json

        print_json(of_task(task))
    else:
        _show(task)
    return 0


async def _task(home: Path, task_id: str) -> Task:
    from worker.cli.deployment import opened, task_of
    from worker.config import load_settings

    async with opened(load_settings(home)) as store:
        return await task_of(store, task_id)


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
        "cancel": printable(f"asked for by {task.cancel.by}: {task.cancel.why}") if task.cancel else "",
        "queue": printable(task.queue),
        "trigger": task.trigger,
        "tags": printable(", ".join(task.tags), 4000),
        "created": local_time(task.created_at),
        "finished": local_time(task.finished_at),
        "dry run": "yes" if task.dry_run else "",
        "payload": printable(json.dumps(task.payload, ensure_ascii=False), 4000),
    }
    for label, value in lines.items():
        if value:
            click.echo(f"{label + ':':<10}{value}", color=True)
    for run in task.runs:
        _show_run(run)
    if task.runs[-1].artifacts:
        click.echo("artifacts:")
        click.echo(artifact_table(task.runs[-1].artifacts), color=True)


def _show_run(run: Run) -> None:
    from engine.exits import Exit
    from engine.log.text import printable
    from worker.cli.terminal import duration, painted_status, size

    known = run.exit_code is not None or run.signal is not None
    parts = [
        painted_status(run.status.value, sys.stdout) + (f" ({run.reason})" if run.reason else ""),
        f"on {printable(run.worker)}" if run.worker else "",
        str(Exit(run.exit_code, run.signal)) if known else "",
        duration(run.duration_ms) if run.duration_ms is not None else "",
        f"log {size(run.log_bytes)}" + (", cut" if run.log_truncated else "") if run.log_bytes else "",
    ]
    click.echo(f"run {run.number}: " + ", ".join(part for part in parts if part), color=True)
