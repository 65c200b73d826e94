"""`penstock scripts diff`: what changed between two versions of a registered script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes
from worker.cli.options import script_argument
from worker.cli.registry.asked import asked
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.cli.registry.registry_door import RegistryDoor


@click.command("diff")
@script_argument()
@click.argument("one", metavar="[FROM]", type=click.IntRange(1), required=False)
@click.argument("other", metavar="[TO]", type=click.IntRange(1), required=False)
@pass_site
def command(site: Site, script: str, one: int | None, other: int | None) -> int:
    """Show what changed between two versions: the last two, unless FROM and TO say others.

    \b
    Examples:
      penstock scripts diff rotate-logs
      penstock scripts diff rotate-logs 1 3
    """
    from engine.log.text import printable
    from worker.cli.failure import Failure

    async def read(registry: RegistryDoor) -> str:
        numbers = [one, other] if one and other else [each["version"] for each in await registry.history(script)][1::-1]
        if len(numbers) < 2:
            raise Failure(exit_codes.NO_INPUT, f"there are no two versions of {script[:100]!r}")
        return await registry.diff(script, numbers[0] or 0, numbers[1] or 0)

    for line in asked(site, read).splitlines():
        click.echo(printable(line, 4000))
    return 0
