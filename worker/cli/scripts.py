"""`penstock scripts`: list the scripts, show one; what changes them is in worker.cli.registry."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from worker.cli.lazy_group import LazyGroup
from worker.cli.options import ScriptName, json_option, script_argument
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site


_COMMANDS = {
    "show": "List the scripts, or show one; may be left out.",
    "available": "List files that could be registered.",
    "register": "Register a script: a file below scripts/, or a body.",
    "update": "Change a registered script.",
    "delete": "Remove a registered script.",
    "history": "List the versions of a registered script.",
    "diff": "Show what changed between two versions.",
    "approve": "Sign a version, so that workers run it.",
}


class _Scripts(LazyGroup):
    """`penstock scripts NAME` means `penstock scripts show NAME`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return show if cmd_name == "show" else super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = next((word for word in args if not word.startswith("-")), None)
        if named not in self.lazy and not (named is None and {"-h", "--help"} & set(args)):
            args = ["show", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return [*super().shell_complete(ctx, incomplete), *ScriptName().shell_complete(ctx, show.params[0], incomplete)]


@click.group("scripts", cls=_Scripts, package="worker.cli.registry", lazy=_COMMANDS)
def command() -> None:
    """List, show, register and approve scripts.

    With the name of a script: all that it declares, and the schema of its payload with the keys of its plugins.

    \b
    Examples:
      penstock scripts
      penstock scripts sign-file
      penstock scripts available
      penstock scripts register scripts/rotate-logs.sh
    """


@click.command("show")
@script_argument(required=False)
@json_option("the scripts")
@pass_site
def show(site: Site, script: str | None, as_json: bool) -> int:
    """List the scripts, or show one.

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
