"""`penstock run`: submit a task, follow its log, exit with its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes
from worker.cli.options import json_option, script_argument
from worker.cli.site import pass_site
from worker.cli.submitting import task_options

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.cli.submitting import TaskOptions
    from worker.config import Settings


@click.command("run", epilog=exit_codes.table())
@script_argument()
@task_options
@click.option("--up", is_flag=True, help="When no store of the deployment runs, run `penstock up` for this task.")
@click.option("--no-follow", is_flag=True, help="Wait for the end without showing the log.")
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop waiting after this long (exit code 75); the task goes on.",
)
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors (and, with --json, the log).")
@json_option("one document on stdout, with the log on stderr,")
@pass_site
def command(
    site: Site,
    script: str,
    parameters: tuple[str, ...],
    source: str | None,
    options: TaskOptions,
    up: bool,
    no_follow: bool,
    timeout_s: float | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Submit a task, follow its log, exit with its exit code.

    The log goes to stdout as it is written; status and artifacts to stderr. Ctrl-C asks whether to detach, which leaves
    the task alone, to cancel it, or to follow on; without a terminal it detaches. With --up, when the worker was
    started for it, the task is cancelled.

    \b
    Examples:
      penstock run sign-file -p file=README.md
      penstock run --up sign-file -p file=README.md
      penstock run render-report --payload report.json --json | jq .artifacts
    """
    from worker.cli.running import Manner, run_task
    from worker.cli.submitting import request_of

    manner = Manner(_started_from(site) if up else None, not no_follow, timeout_s, quiet, as_json)
    return run_task(site, request_of(site, script, parameters, source, options), manner)


def _started_from(site: Site) -> Settings:
    from worker.cli.local_door import LocalSite

    if not isinstance(site, LocalSite):
        raise click.UsageError("--up starts a deployment's own store; a server has a worker of its own")
    return site.settings
