"""`penstock up`: the embedded store, a worker, the HTTP API and a beat."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("up")
@click.option(
    "-c",
    "--concurrency",
    metavar="N",
    type=click.IntRange(1, 512),
    help="How many commands run at a time [default: worker.concurrency].",
)
@click.option("--no-api", is_flag=True, help="Without the HTTP API.")
@click.option("--no-beat", is_flag=True, help="Without the beat: nothing is submitted by schedules.")
@click.option("--lifeline", is_flag=True, hidden=True, help="End when stdin ends.")
@click.pass_obj
def command(home: Path, concurrency: int | None, no_api: bool, no_beat: bool, lifeline: bool) -> int:
    """Start the embedded store, a worker, the HTTP API and a beat.

    They run in the foreground until Ctrl-C or SIGTERM; then running commands may go on for worker.shutdownGrace. The
    store keeps its data below stateDir; with a broker configured there is none to start. The API listens on 127.0.0.1
    and port 8765, or a free port when that is taken, unless the settings say otherwise; it has a process of its own.

    \b
    Examples:
      penstock up
      penstock up --concurrency 4
    """
    from worker.cli.working import work

    if lifeline:
        from worker.cli.lifeline import hang_on_stdin

        hang_on_stdin()
    return work(home, concurrency, greet=sys.stderr.isatty(), api=not no_api, beat=not no_beat)
