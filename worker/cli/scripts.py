"""`penstock scripts`: list the scripts, or show one."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from worker.cli.options import json_option, script_argument
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site


@click.command("scripts")
@script_argument(required=False)
@json_option("the scripts")
@pass_site
def command(site: Site, script: str | None, as_json: bool) -> int:
    """List the scripts, or show one.

    With the name of a script: all that it declares, and the schema of its payload with the keys of its plugins.

    \b
    Examples:
      penstock scripts
      penstock scripts sign-file
      penstock scripts sign-file --json | jq .schema
    """
    import asyncio

    from worker.cli.terminal import print_json

    if script is not None:
        whole = asyncio.run(site.script(script))
        print_json(whole) if as_json else _show(whole)
        return 0
    found = asyncio.run(site.scripts())
    if as_json:
        print_json({"scripts": found})
    else:
        _list(found)
    return 0


def _list(scripts: list[dict[str, Any]]) -> None:
    from engine.log.text import printable
    from worker.cli.terminal import table

    rows = [
        [s["name"], s["category"] or "-", s["queue"], "yes" if s["enabled"] else "no", printable(s["title"], 60)]
        for s in scripts
    ]
    click.echo(table(["NAME", "CATEGORY", "QUEUE", "ENABLED", "TITLE"], rows, sys.stdout), color=True)


def _show(script: dict[str, Any]) -> None:
    from engine.log.text import printable

    for key, value in script.items():
        if key == "schema" or value in ("", [], None):
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        click.echo(f"{key + ':':<14}{printable(text, 4000)}")
    click.echo("schema:")
    for line in json.dumps(script["schema"], ensure_ascii=False, indent=2).splitlines():
        click.echo(f"  {printable(line, 4000)}")
