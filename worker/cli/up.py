"""`penstock up`: the embedded store and a worker."""

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
@click.option("--lifeline", is_flag=True, hidden=True, help="End when stdin ends.")
@click.pass_obj
def command(home: Path, concurrency: int | None, lifeline: bool) -> int:
    """Start the embedded store and a worker.

    Both run in the foreground until Ctrl-C or SIGTERM; then running commands may go on for worker.shutdownGrace. The
    store keeps its data below stateDir. With a broker configured this is the same as `penstock worker`.

    \b
    Examples:
      penstock up
      penstock up --concurrency 4
    """
    from worker.cli.working import work

    if lifeline:
        from worker.cli.lifeline import hang_on_stdin

        hang_on_stdin()
    return work(home, concurrency, greet=sys.stderr.isatty())
