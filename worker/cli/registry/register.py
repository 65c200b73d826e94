"""`penstock scripts register`: make a script of a file of the deployment, or of a body."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker.cli.options import json_option
from worker.cli.registry.asked import asked
from worker.cli.registry.declaring import declaration, declaring
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site


@click.command("register")
@click.option("--name", metavar="NAME", help="What it is called [default: as its file].")
@declaring
@json_option("the version that was made")
@pass_site
def command(site: Site, /, name: str | None, as_json: bool, **options: Any) -> int:
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

    declared = declaration(**options)
    path = str(declared.get("path") or options["body"] or "")
    called = str(name or declared.pop("name", None) or slug(Path(path).stem) or "")
    tell(asked(site, lambda registry: registry.register(called, declared)), as_json)
    return 0


def tell(made: dict[str, Any], as_json: bool, *, whole: bool = False) -> None:
    from engine.log.text import printable
    from worker.cli.terminal import print_json

    if as_json:
        print_json(made)
        return
    click.echo(f"{printable(made['name'], 100)} version {made['version']}, digest {made['digest']}")
    if whole:
        for line in json.dumps(made["declaration"], indent=2, ensure_ascii=False).splitlines():
            click.echo(f"  {printable(line, 4000)}")
