"""`penstock scripts diff`: what changed between two versions of a registered script."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from worker.cli import exit_codes
from worker.cli.options import script_argument
from worker.cli.registry.acting import acting, folder_only


@click.command("diff")
@script_argument()
@click.argument("one", metavar="[FROM]", type=click.IntRange(1), required=False)
@click.argument("other", metavar="[TO]", type=click.IntRange(1), required=False)
@click.pass_context
def command(ctx: click.Context, script: str, one: int | None, other: int | None) -> int:
    """Show what changed between two versions: the last two, unless FROM and TO say others.

    \b
    Examples:
      penstock scripts diff rotate-logs
      penstock scripts diff rotate-logs 1 3
    """
    from engine.log.text import printable
    from worker.cli.failure import Failure
    from worker.operations.register import difference

    folder_only(ctx)

    async def read() -> str:
        async with acting(ctx.find_object(Path) or Path()) as a:
            registry = a.registered.registry
            numbers = (
                [one, other] if one and other else [each.version for each in await registry.history(script)][1::-1]
            )
            if len(numbers) < 2:
                raise Failure(exit_codes.NO_INPUT, f"there are no two versions of {script[:100]!r}")
            first, second = [await registry.version(script, number or 0) for number in numbers]
            return difference(first, second)

    for line in asyncio.run(read()).splitlines():
        click.echo(printable(line, 4000))
    return 0
