"""`penstock scripts register`: make a script of a file of the deployment, or of a body."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from worker.cli.options import json_option
from worker.cli.registry.acting import acting, folder_only, version_document
from worker.cli.registry.declaring import declaration, declaring


@click.command("register")
@click.option("--name", metavar="NAME", help="What it is called [default: as its file].")
@declaring
@json_option("the version that was made")
@click.pass_context
def command(ctx: click.Context, /, name: str | None, as_json: bool, **declared: Any) -> int:
    """Register a script: a file below scripts/, or a body.

    PATH is relative to the deployment. That it is registered does not mean that it runs: workers run what
    config/allow.yaml names, or what was approved. Without parameters and schema its payload is empty.

    \b
    Examples:
      penstock scripts register scripts/rotate-logs.sh
      penstock scripts register scripts/rotate-logs.sh --file rotate-logs.yaml --arg --compress
      penstock scripts register --name hello --body hello.sh --type bash
    """
    from worker.config.available import slug
    from worker.operations.register import register

    folder_only(ctx)
    asked = declaration(**declared)
    path = str(asked.get("path") or declared["body"] or "")
    called = name or asked.pop("name", None) or slug(Path(path).stem) or ""

    async def act() -> Any:
        async with acting(ctx.find_object(Path) or Path()) as a:
            made = await register(str(called), asked, a.by, a.registered, a.settings)
            await a.record("scripts.register", made.name, f"version {made.version}")
            return made

    tell(asyncio.run(act()), as_json)
    return 0


def tell(made: Any, as_json: bool) -> None:
    if as_json:
        from worker.cli.terminal import print_json

        print_json(version_document(made))
    else:
        click.echo(f"{made.name} version {made.version}, digest {made.digest}")
