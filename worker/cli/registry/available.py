"""`penstock scripts available`: files that could be registered."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from worker.cli.options import json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site


@click.command("available")
@json_option("{files}")
@pass_site
def command(site: Site, as_json: bool) -> int:
    """List the executable files below scripts/ that no script names.

    Hidden files are left out, and so are links that lead out of the folder.

    \b
    Examples:
      penstock scripts available
    """
    from engine.log.text import printable
    from worker.cli.notice import notice
    from worker.cli.terminal import local_time_of, print_json, table

    found = asyncio.run(site.available_files())
    if as_json:
        print_json({"files": found})
    elif not found:
        notice("there is no executable file below scripts/ that no script names")
    else:
        rows = [
            [
                printable(file["path"], 200),
                printable(file["name"] or "-", 100),
                file["kind"],
                str(file["size"]),
                local_time_of(file["modifiedAt"]),
            ]
            for file in found
        ]
        click.echo(table(["PATH", "NAME", "KIND", "BYTES", "MODIFIED"], rows, sys.stdout), color=True)
    return 0
