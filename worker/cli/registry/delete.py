"""`penstock scripts delete`: remove a registered script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from worker.cli.options import script_argument
from worker.cli.registry.asked import asked
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site


@click.command("delete")
@script_argument()
@pass_site
def command(site: Site, script: str) -> int:
    """Remove a registered script; its versions can still be read.

    Tasks that wait for it end as exception, script-disabled. Scripts of config/scripts/ cannot be removed so.

    \b
    Examples:
      penstock scripts delete rotate-logs
    """
    version = asked(site, lambda registry: registry.delete(script))
    click.echo(f"{script} is removed, by version {version}")
    return 0
