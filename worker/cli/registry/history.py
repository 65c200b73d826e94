"""`penstock scripts history`: the versions of a registered script."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from worker.cli import exit_codes
from worker.cli.options import json_option, script_argument
from worker.cli.registry.acting import acting, folder_only, version_document


@click.command("history")
@script_argument()
@json_option("{versions}")
@click.pass_context
def command(ctx: click.Context, script: str, as_json: bool) -> int:
    """List the versions of a registered script, newest first, also of one that was removed.

    \b
    Examples:
      penstock scripts history rotate-logs
      penstock scripts history rotate-logs --json | jq '.versions[0].declaration'
    """
    from worker.cli.failure import Failure
    from worker.cli.terminal import local_time, print_json, table

    folder_only(ctx)

    async def read() -> Any:
        async with acting(ctx.find_object(Path) or Path()) as a:
            return await a.registered.registry.history(script)

    found = asyncio.run(read())
    if not found:
        raise Failure(exit_codes.NO_INPUT, f"no script {script[:100]!r} was ever registered")
    if as_json:
        print_json({"versions": [version_document(each) for each in found]})
        return 0
    from engine.log.text import printable

    rows = [
        [str(v.version), local_time(v.at), "removed" if v.removed else "", v.digest[:16], printable(v.by, 60)]
        for v in found
    ]
    click.echo(table(["VERSION", "AT", "", "DIGEST", "BY"], rows, sys.stdout), color=True)
    return 0
