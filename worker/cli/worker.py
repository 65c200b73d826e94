"""`penstock worker`: a worker at the configured broker."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("worker")
@click.option(
    "-c",
    "--concurrency",
    metavar="N",
    type=click.IntRange(1, 512),
    help="How many commands run at a time [default: worker.concurrency].",
)
@click.pass_obj
def command(home: Path, concurrency: int | None) -> int:
    """Start a worker at the configured broker.

    Without a configured broker it starts the embedded store, or joins the one that runs already. Ends on Ctrl-C or
    SIGTERM; then running commands may go on for worker.shutdownGrace. Exit code 4: a command or a plugin asked for it
    because something is wrong with this worker.

    \b
    Examples:
      penstock worker
      PENSTOCK_BROKER_URL=redis://queue.internal/0 penstock worker --concurrency 16
    """
    from worker.cli.working import work

    return work(home, concurrency, greet=False)
