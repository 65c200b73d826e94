"""`penstock files`: text files that the settings of the deployment, or of a server, share."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes
from worker.cli.options import json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site


@click.group("files")
def command() -> None:
    """Read text files that the deployment or a server shares.

    `api.folders` in the settings names the folders; there are none by default. A server asks for the scope files:read.

    \b
    Examples:
      penstock files list
      penstock files read reports/2026/november.txt
    """


@command.command("read", epilog=exit_codes.table())
@click.argument("name")
@pass_site
def read(site: Site, name: str) -> int:
    """Print a file.

    NAME is that of a folder in `api.folders`, a slash, and the path of the file below it. No link is followed.

    \b
    Examples:
      penstock files read reports/2026/november.txt
    """
    text = asyncio.run(site.file(name))
    if sys.stdout.isatty():
        from engine.log.text import printable

        # What a file says is not for the terminal to obey.
        text = "\n".join(printable(line.replace("\t", "    "), len(line) * 4 + 1) for line in text.split("\n"))
    sys.stdout.write(text)
    return exit_codes.COMPLETED


@command.command("list", epilog=exit_codes.table())
@click.argument("folder", required=False)
@json_option("the files")
@pass_site
def list_(site: Site, folder: str | None, as_json: bool) -> int:
    """List the files below a folder, or below all that are shared.

    \b
    Examples:
      penstock files list reports/2026
      penstock files list --json | jq -r '.files[].name'
    """
    from engine.log.text import printable
    from worker.cli.notice import notice
    from worker.cli.terminal import print_json, table

    files, complete = asyncio.run(site.files(folder))
    if as_json:
        print_json({"files": files, "complete": complete})
        return exit_codes.COMPLETED
    rows = [[printable(file["name"], 1024), str(file["size"]), printable(file["modifiedAt"], 40)] for file in files]
    click.echo(table(["NAME", "BYTES", "CHANGED"], rows, sys.stdout), color=True)
    if not complete:
        notice("there are more than 1000 entries: name a folder below")
    return exit_codes.COMPLETED
