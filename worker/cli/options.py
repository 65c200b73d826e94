"""Options that several commands have, and what their values complete to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

STATUSES = ("pending", "running", "completed", "partial", "failed", "exception", "timeout", "cancelled")
_F = TypeVar("_F", bound=Callable[..., Any])


class ScriptName(click.ParamType[str]):
    """The name of a script; whether there is one of that name is for the command to say."""

    name = "script"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        home = ctx.find_root().params.get("directory") or "."
        return [CompletionItem(name) for name in script_names(Path(home)) if name.startswith(incomplete)]


def script_names(home: Path) -> list[str]:
    """The names by their files; none of these is read."""
    try:
        files = list((home / "config" / "scripts").iterdir())
    except OSError:
        return []
    return sorted({f.stem for f in files if f.suffix in (".yaml", ".yml") and not f.name.startswith(".")})


def script_argument(*, required: bool = True) -> Callable[[_F], _F]:
    return click.argument("script", type=ScriptName(), required=required, metavar="SCRIPT" if required else "[SCRIPT]")


def payload_options(function: _F) -> _F:
    """`-p` and `--payload`: see worker.cli.payload for what they mean."""
    parameter = click.option(
        "-p",
        "--param",
        "parameters",
        metavar="KEY=VALUE",
        multiple=True,
        help="A member of the payload, typed by the schema; KEY:=JSON is JSON, KEY=@FILE the text of a file "
        "(@- of stdin), A.B=VALUE a member of the object A. Lies over --payload.",
    )
    payload = click.option(
        "--payload",
        "source",
        metavar="FILE",
        type=click.Path(allow_dash=True),
        help="The payload as a file of JSON; - is stdin.",
    )
    return parameter(payload(function))


def json_option(what: str) -> Callable[[_F], _F]:
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as JSON.")
