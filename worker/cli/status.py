"""`penstock status`: queues, workers and tasks at a glance."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from worker.cli.options import json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.model.overview import Overview


@click.command("status")
@json_option("{queues, workers, broker, store, tasks, scripts}")
@pass_site
def command(site: Site, as_json: bool) -> int:
    """Show queues, workers and tasks at a glance.

    How many messages wait in each queue, which workers have been heard of in the last seconds, and how many tasks have
    each status. Exit code 69 when nobody answers, so that a script can ask whether the deployment is up.

    \b
    Examples:
      penstock status
      penstock status --json | jq '.queues[] | select(.waiting > 100).name'
    """
    seen = asyncio.run(_seen(site))
    if as_json:
        from worker.cli.document import overview
        from worker.cli.terminal import print_json

        print_json(overview(seen))
    else:
        click.echo("\n".join(lines_of(seen)), color=True)
    return 0


async def _seen(site: Site) -> Overview:
    async with site.open() as door:
        return await door.overview()


def lines_of(seen: Overview) -> list[str]:
    """For people; also the head of `watch`."""
    from engine.log.text import printable
    from worker.cli.terminal import painted_status, table

    counts = [f"{count} {painted_status(status.value, sys.stdout)}" for status, count in seen.tasks.items() if count]
    queues = [[printable(q.name), "?" if q.waiting is None else str(q.waiting)] for q in seen.queues]
    lines = [f"tasks:   {', '.join(counts) or 'none'}", f"scripts: {seen.scripts}", ""]
    lines += table(["QUEUE", "WAITING"], queues, sys.stdout).splitlines()
    if not seen.broker:
        lines += ["", "the broker does not answer"]
    if not seen.workers:
        lines += ["", "workers: none"]
    else:
        rows = [
            [printable(w.name), w.state.value, str(w.running), printable(w.host), str(w.pid), f"{w.silent_s:.0f} s ago"]
            for w in seen.workers
        ]
        head = ["WORKER", "STATE", "RUNNING", "HOST", "PID", "HEARD OF"]
        lines += ["", *table(head, rows, sys.stdout).splitlines()]
    return lines
