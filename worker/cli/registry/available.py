"""`penstock scripts available`: files that could be registered."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.cli.options import json_option
from worker.cli.registry.acting import folder_only

if TYPE_CHECKING:
    from worker.config.available import Found


@click.command("available")
@json_option("{files}")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> int:
    """List the executable files below scripts/ that no script names.

    Hidden files are left out, and so are links that lead out of the folder.

    \b
    Examples:
      penstock scripts available
    """
    from engine.log.text import printable
    from worker.cli.notice import notice
    from worker.cli.terminal import local_time, print_json, table
    from worker.model.times import known_time

    folder_only(ctx)
    found = asyncio.run(_found(ctx.find_object(Path) or Path()))
    if as_json:
        keys = ("path", "name", "kind", "size")
        files = [{**{key: getattr(f, key) for key in keys}, "modifiedAt": known_time(f.modified_ms)} for f in found]
        print_json({"files": files})
    elif not found:
        notice("there is no executable file below scripts/ that no script names")
    else:
        rows = [[printable(f.path, 200), f.name or "-", f.kind, str(f.size), local_time(f.modified_ms)] for f in found]
        click.echo(table(["PATH", "NAME", "KIND", "BYTES", "MODIFIED"], rows, sys.stdout), color=True)
    return 0


async def _found(home: Path) -> tuple[Found, ...]:
    from worker.cli.local_door import LocalSite
    from worker.config.available import available
    from worker.operations.registered_scripts import named_files

    site = LocalSite(home)
    await site.catch_up()
    return available(home, named_files(site.deployment.catalog))
