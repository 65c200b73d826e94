"""`penstock scripts delete`: remove a registered script."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from worker.cli.options import script_argument
from worker.cli.registry.acting import acting, folder_only


@click.command("delete")
@script_argument()
@click.pass_context
def command(ctx: click.Context, script: str) -> int:
    """Remove a registered script; its versions can still be read.

    Tasks that wait for it end as exception, script-disabled. Scripts of config/scripts/ cannot be removed so.

    \b
    Examples:
      penstock scripts delete rotate-logs
    """
    from worker.operations.register import unregister

    folder_only(ctx)

    async def act() -> int:
        async with acting(ctx.find_object(Path) or Path()) as a:
            made = await unregister(script, a.by, a.registered)
            await a.record("scripts.delete", script, f"version {made.version}")
            return made.version

    click.echo(f"{script} is removed, by version {asyncio.run(act())}")
    return 0
