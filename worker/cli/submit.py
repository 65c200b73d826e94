"""`penstock submit`: submit a task and print its id."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from worker.cli.options import json_option, script_argument
from worker.cli.site import pass_site
from worker.cli.submitting import task_options

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.cli.submitting import Accepted, Request, TaskOptions


@click.command("submit")
@script_argument()
@task_options
@json_option("the id and whether the task is new")
@pass_site
def command(
    site: Site,
    script: str,
    parameters: tuple[str, ...],
    source: str | None,
    options: TaskOptions,
    as_json: bool,
) -> int:
    """Submit a task and print its id.

    The payload is checked first: when it is refused (exit code 65) every violation is told and nothing is recorded.
    What stands on a command line can be seen by other users of the machine: give a secret as KEY=@FILE.

    \b
    Examples:
      penstock submit sign-file -p file=README.md
      penstock submit render-report --payload report.json --id report-2026-11 --tag monthly
      penstock submit deploy -p token=@token.txt -p 'regions:=["eu", "us"]'
      penstock submit checksum-tree --at 2026-12-24T18:00 --deadline 2026-12-25T06:00
      penstock submit sign-file -p file=README.md --priority 9 --idempotency-key release-7
    """
    from worker.cli.submitting import request_of

    accepted = asyncio.run(_submit(site, request_of(site, script, parameters, source, options)))
    if as_json:
        from worker.cli.terminal import print_json

        print_json(
            {
                "taskId": accepted.task_id,
                "script": script,
                "created": accepted.created,
                "published": accepted.published,
            }
        )
    else:
        click.echo(accepted.task_id)
    return 0


async def _submit(site: Site, request: Request) -> Accepted:
    async with site.open() as door:
        return await door.submit(request)
