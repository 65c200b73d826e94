"""`penstock scripts update`: the next version of a registered script."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from worker.cli.options import json_option, script_argument
from worker.cli.registry.acting import acting, folder_only
from worker.cli.registry.declaring import declaration, declaring
from worker.cli.registry.register import tell


@click.command("update")
@script_argument()
@declaring
@json_option("the version that was made")
@click.pass_context
def command(ctx: click.Context, /, script: str, as_json: bool, **declared: Any) -> int:
    """Change a registered script; what it was stays as an older version.

    All is said anew: what is left out is not taken from the version before. The new version needs an approval of its
    own. Update a script as well when its file has changed.

    \b
    Examples:
      penstock scripts update rotate-logs scripts/rotate-logs.sh --file rotate-logs.yaml
    """
    from worker.operations.register import update

    folder_only(ctx)
    asked = declaration(**declared)

    async def act() -> Any:
        async with acting(ctx.find_object(Path) or Path()) as a:
            made = await update(script, asked, a.by, a.registered, a.settings)
            await a.record("scripts.update", script, f"version {made.version}")
            return made

    tell(asyncio.run(act()), as_json)
    return 0
