"""`penstock login`: keep a server and its API key for the commands that follow."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes

if TYPE_CHECKING:
    from worker.cli.server import Server


@click.command("login")
@click.argument("url", metavar="[URL]", required=False)
@click.option("--insecure", is_flag=True, help="Allow http:// to another machine: everybody on the way reads the key.")
def command(url: str | None, insecure: bool) -> int:
    """Keep a server and its API key for the commands that follow.

    URL is that of `penstock api`, by default PENSTOCK_SERVER. The key is asked for without being shown, or read as one
    line from stdin. Both are kept in ~/.config/penstock/profile.json (XDG_CONFIG_HOME counts), which nobody else can
    read, once the server has accepted the key. From then on `run`, `tasks`, `logs` and the like work with that server,
    unless -C, PENSTOCK_HOME or PENSTOCK_SERVER say otherwise.

    \b
    Examples:
      penstock login https://penstock.example
      penstock login http://127.0.0.1:8765 < key.txt
    """
    from worker.cli.notice import notice
    from worker.cli.profile import write_profile
    from worker.cli.server import Server, address, checked_key

    url = url or os.environ.get("PENSTOCK_SERVER")
    if not url:
        raise click.UsageError("which server? penstock login https://penstock.example")
    url = address(url, insecure=insecure)
    if sys.stdin.isatty():
        text = click.prompt(f"API key for {url}", hide_input=True, err=True)
    else:
        text = sys.stdin.readline(64 * 1024)
    server = Server(url, checked_key(text.strip(), "the input"))
    asyncio.run(_try(server))
    path = write_profile(server, insecure=insecure)
    notice(f"logged in to {url}; kept in {path} until `penstock logout`")
    return exit_codes.COMPLETED


async def _try(server: Server) -> None:
    """Raises Failure unless the server knows the key; what it may do is not asked for."""
    from worker.cli.remote_client import Client, Forbidden

    async with Client(server) as client:
        try:
            await client.get("/status")
        except Forbidden:
            pass
