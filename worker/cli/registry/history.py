"""`penstock scripts history`: the versions of a registered script."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes
from worker.cli.options import json_option, script_argument
from worker.cli.registry.asked import asked
from worker.cli.registry.register import tell
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site


@click.command("history")
@script_argument()
@click.argument("version", metavar="[VERSION]", type=click.IntRange(1), required=False)
@json_option("{name, versions}, or the version,")
@pass_site
def command(site: Site, script: str, version: int | None, as_json: bool) -> int:
    """List the versions of a registered script, newest first, also of one that was removed.

    \b
    Examples:
      penstock scripts history rotate-logs
      penstock scripts history rotate-logs 2 --json | jq .declaration
    """
    from engine.log.text import printable
    from worker.cli.failure import Failure
    from worker.cli.terminal import local_time_of, print_json, table

    if version is not None:
        tell(asked(site, lambda registry: registry.version(script, version)), as_json, whole=True)
        return 0
    found = asked(site, lambda registry: registry.history(script))
    if not found:
        raise Failure(exit_codes.NO_INPUT, f"no script {script[:100]!r} was ever registered")
    if as_json:
        print_json({"name": script, "versions": found})
        return 0
    rows = [
        [
            str(each["version"]),
            local_time_of(each["registeredAt"]),
            "removed" if each["removed"] else "",
            each["digest"][:16],
            printable(each["registeredBy"], 60),
        ]
        for each in found
    ]
    click.echo(table(["VERSION", "AT", "", "DIGEST", "BY"], rows, sys.stdout), color=True)
    return 0
