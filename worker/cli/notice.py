"""Notice: lines for people on stderr, beside a log or a document on stdout."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from engine.log.text import printable
from worker.cli.terminal import painted, painted_status, size, table

if TYPE_CHECKING:
    from engine.artifacts import Artifact
    from worker.model.task import ArtifactRecord


def notice(message: str) -> None:
    click.echo(f"{painted('penstock:', sys.stderr, dim=True)} {printable(message, 4000)}", err=True, color=True)


def ending(status: str, reason: str | None, message: str, took: str) -> None:
    """How a task ended, in one line."""
    why = f" ({reason})" if reason else ""
    text = f": {printable(message, 2000)}" if message else ""
    click.echo(
        f"{painted('penstock:', sys.stderr, dim=True)} {painted_status(status, sys.stderr)}{why}{text}, {took}",
        err=True,
        color=True,
    )


def stored(artifacts: Sequence[Artifact | ArtifactRecord]) -> None:
    if artifacts:
        click.echo("artifacts:", err=True)
        click.echo(artifact_table(artifacts), err=True, color=True)


def artifact_table(artifacts: Sequence[Artifact | ArtifactRecord]) -> str:
    """Names are printable: others are refused when they are collected."""
    rows = [[f"  {a.name}", size(a.size), a.content_type, f"sha256:{a.sha256}"] for a in artifacts]
    return "\n".join(table(["  NAME", "SIZE", "TYPE", "DIGEST"], rows, sys.stderr).splitlines()[1:])
