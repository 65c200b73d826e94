"""`penstock artifacts`: list or download the artifacts of a task."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from worker.cli import exit_codes
from worker.cli.options import json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Door, Site
    from worker.model.task import ArtifactRecord, Run

_BLOCK_BYTES = 1024 * 1024


@click.command("artifacts")
@click.argument("task_id", metavar="ID")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--run", "number", metavar="N", type=click.IntRange(0), help="Those of this run [default: the newest].")
@click.option(
    "--download", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Copy them into this folder."
)
@json_option("{taskId, runId, artifacts}")
@pass_site
def command(
    site: Site, task_id: str, names: tuple[str, ...], number: int | None, folder: Path | None, as_json: bool
) -> int:
    """List or download the artifacts of a task.

    All of them, or those that are named. A copy is compared with the recorded SHA-256, and nothing is left of one
    that differs. Files of the same name in the folder are replaced.

    \b
    Examples:
      penstock artifacts report-2026-11
      penstock artifacts report-2026-11 --download out/
      penstock artifacts report-2026-11 --download . public/report.html
    """
    run, wanted = asyncio.run(_artifacts(site, task_id, number, names, folder and folder.absolute()))
    if as_json:
        from worker.cli.document import artifacts
        from worker.cli.terminal import print_json

        print_json({"taskId": task_id, "runId": run.number, "artifacts": artifacts(wanted)})
    else:
        _show(wanted)
    return 0


async def _artifacts(
    site: Site, task_id: str, number: int | None, names: tuple[str, ...], folder: Path | None
) -> tuple[Run, list[ArtifactRecord]]:
    """Those that are wanted, in the folder if one is given."""
    from worker.cli.door import run_of

    async with site.open() as door:
        run = run_of(await door.task(task_id), number)
        wanted = _wanted(run, names)
        if folder is not None:
            await _download(door, task_id, run, wanted, folder)
        return run, wanted


def _wanted(run: Run, names: tuple[str, ...]) -> list[ArtifactRecord]:
    from worker.cli.failure import unknown

    if not names:
        return list(run.artifacts)
    recorded = {artifact.name: artifact for artifact in run.artifacts}
    for name in names:
        if name not in recorded:
            raise unknown("artifact", name, sorted(recorded), exit_codes.NO_INPUT)
    return [recorded[name] for name in dict.fromkeys(names)]


async def _download(door: Door, task_id: str, run: Run, wanted: list[ArtifactRecord], folder: Path) -> None:
    from engine.artifacts import FolderStore
    from worker.cli.failure import Failure

    target = FolderStore(folder)
    for artifact in wanted:
        try:
            file = await door.artifact(task_id, run, artifact)
        except FileNotFoundError:
            message = f"{artifact.name} is not here: it is kept where the worker runs, or was removed"
            raise Failure(exit_codes.NO_INPUT, message) from None
        with file:
            try:
                await asyncio.to_thread(target.put, artifact.name, _verified(file, artifact))
            except OSError as error:
                message = f"{artifact.name} cannot be written to {folder}: {error.strerror}"
                raise Failure(exit_codes.CANNOT_CREATE, message) from None


def _verified(file: BinaryIO, artifact: ArtifactRecord) -> Iterator[bytes]:
    """The file's blocks; fails at the end, before the copy gets its name, when it is not what was recorded."""
    import hashlib

    from worker.cli.failure import Failure

    digest = hashlib.sha256()
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
        yield block
    if digest.hexdigest() != artifact.sha256:
        raise Failure(exit_codes.SOFTWARE, f"{artifact.name} is damaged: it has not the SHA-256 that was recorded")


def _show(artifacts: list[ArtifactRecord]) -> None:
    from worker.cli.terminal import size, table

    rows = [[a.name, size(a.size), a.content_type, a.sha256] for a in artifacts]
    click.echo(table(["NAME", "SIZE", "TYPE", "SHA256"], rows, sys.stdout), color=True)
