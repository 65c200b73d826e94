"""`penstock beat`: what submits by schedules."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("beat")
@click.option("--lifeline", is_flag=True, hidden=True, help="End when stdin ends.")
@click.pass_obj
def command(home: Path, lifeline: bool) -> int:
    """Submit tasks by the schedules.

    Any number may run, on any number of hosts: each slot is submitted once. It wakes when something is due, and hears
    of changed schedules at once, of changed files within seconds. While the store is away it waits. Without a
    configured broker it starts the embedded store, or joins the one that runs already. Ends on Ctrl-C or SIGTERM, at
    once. `penstock up` has one.

    \b
    Examples:
      penstock beat
      PENSTOCK_BROKER_URL=redis://queue.internal/0 penstock beat
    """
    from worker.cli.deployment import store_failures
    from worker.daemons.wiring import open_deployment

    if lifeline:
        from worker.cli.lifeline import hang_on_stdin

        hang_on_stdin()
    deployment = open_deployment(home)
    with store_failures():
        from worker.daemons.beat import run_beat

        return run_beat(deployment)
