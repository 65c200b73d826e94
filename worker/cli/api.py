"""`penstock api`: the HTTP API."""

from __future__ import annotations

import os
import socket
import sys
from functools import partial
from pathlib import Path

import click
from msgspec.structs import replace

from worker.cli.notice import notice


@click.command("api")
@click.option("--host", metavar="ADDRESS", help="Where to listen [default: api.host].")
@click.option("--port", metavar="PORT", type=click.IntRange(0, 65535), help="0: any free one [default: api.port].")
@click.option("--socket", "number", type=int, hidden=True, help="An inherited one; end when stdin ends.")
@click.option("--ready", "told", type=int, hidden=True, help="An inherited pipe, written to when it answers.")
@click.pass_obj
def command(home: Path, host: str | None, port: int | None, number: int | None, told: int | None) -> int:
    """Serve the HTTP API.

    On 127.0.0.1 and port 8765 unless told otherwise; the address is told on stdout. It checks, records, publishes and
    reads, and runs no command: that is for workers. Without a configured broker it starts the embedded store, or joins
    the one that runs already. Ends on Ctrl-C or SIGTERM.

    \b
    Examples:
      penstock api
      penstock api --port 0
      PENSTOCK_BROKER_URL=redis://queue.internal/0 penstock api --host 10.0.0.7
    """
    from worker.cli.deployment import store_failures
    from worker.daemons.wiring import open_deployment

    if number is not None:
        from worker.cli.lifeline import hang_on_stdin

        hang_on_stdin()
    deployment = open_deployment(home)
    api = deployment.settings.api
    api = replace(api, host=host or api.host, port=api.port if port is None else port)
    with store_failures():
        from worker.daemons.listening import listen, url_of

        listening = listen(api) if number is None else socket.socket(fileno=number)
        from worker.daemons.server import run_server

        url = url_of(listening)
        if number is None:
            return run_server(deployment, listening, lambda: click.echo(f"listening on {url}"))
        return run_server(
            deployment, listening, partial(_tell, told), partial(_show_key, deployment.settings.state_dir)
        )


def _tell(told: int | None) -> None:
    if told is not None:
        os.write(told, b"1")
        os.close(told)


def _show_key(state_dir: Path, key: str) -> None:
    """On a terminal: what is no terminal is a log, and lies about for longer than the file."""
    if sys.stdout.isatty():
        notice(f"the first API key, shown this once: {key}")
    notice(f"the first API key is kept in {state_dir / 'api-key'}")
