"""`penstock rerun`: submit the payload of an ended task once more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from worker.cli.options import json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.cli.submitting import Accepted


@click.command("rerun")
@click.argument("task_id", metavar="ID")
@json_option("the new id")
@pass_site
def command(site: Site, task_id: str, as_json: bool) -> int:
    """Submit the payload of an ended task once more.

    Prints the id of the new task, which has the same tags and priority, and says whose rerun it is. The payload is
    checked anew: the script may have changed. Exit code 65 for a task that has not ended, and for one whose payload
    held secrets, because those are not kept.

    \b
    Examples:
      penstock rerun report-2026-11
      penstock logs -f $(penstock rerun report-2026-11)
    """
    accepted = asyncio.run(_rerun(site, task_id))
    if as_json:
        from worker.cli.terminal import print_json

        print_json({"taskId": accepted.task_id, "rerunOf": task_id, "published": accepted.published})
    else:
        click.echo(accepted.task_id)
    return 0


async def _rerun(site: Site, task_id: str) -> Accepted:
    async with site.open() as door:
        return await door.rerun(task_id)
