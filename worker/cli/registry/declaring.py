"""Declaring: the options of `register` and `update`, and the registration that they make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS = (
    click.argument("path", required=False),
    click.option(
        "--file",
        "source",
        metavar="FILE",
        type=click.Path(dir_okay=False, exists=True, path_type=Path),
        help="YAML or JSON with what else it declares: parameters or schema, env, maxRunTime ...",
    ),
    click.option("--arg", "args", metavar="ARG", multiple=True, help="An argument of the program; may be repeated."),
    click.option(
        "--body",
        metavar="FILE",
        type=click.Path(dir_okay=False, exists=True, path_type=Path),
        help="Instead of PATH: the text of this file becomes the body.",
    ),
    click.option("--type", "kind", type=click.Choice(["bash", "python", "node", "browser"]), help="What the body is."),
    click.option(
        "--isolated", is_flag=True, help="Run it by bubblewrap: no network, no home, a root that is read-only."
    ),
)


def declaring(function: _F) -> _F:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def declaration(
    path: str | None, source: Path | None, args: tuple[str, ...], body: Path | None, kind: str | None, isolated: bool
) -> dict[str, Any]:
    """Raises DeclarationError for a file that is no YAML, Failure for one that cannot be read."""
    from engine.script.document import read_document
    from worker.cli import exit_codes
    from worker.cli.failure import Failure

    value = read_document(source).value if source else {}
    if not isinstance(value, dict):
        raise Failure(exit_codes.DATA, f"{source} holds no mapping")
    found = dict(value)
    if body is not None:
        try:
            found["body"] = body.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(exit_codes.NO_INPUT, f"{body} cannot be read: {error}") from None
    given = {"path": path, "args": list(args) or None, "type": kind, "runner": "isolated" if isolated else None}
    found.update((key, value) for key, value in given.items() if value is not None)
    if "schema" not in found:
        found.setdefault("parameters", [])
    return found
