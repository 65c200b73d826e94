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

if TYPE_CHECKING:
    from worker.model import ArtifactRecord, Run
    from worker.store import Files

_BLOCK_BYTES = 1024 * 1024


@click.command("artifacts")
@click.argument("task_id", metavar="ID")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--run", "number", metavar="N", type=click.IntRange(0), help="Those of this run [default: the newest].")
@click.option(
    "--download", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Copy them into this folder."
)
@json_option("{taskId, runId, artifacts}")
@click.pass_obj
def command(
    home: Path, task_id: str, names: tuple[str, ...], number: int | None, folder: Path | None, as_json: bool
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
    files, run = asyncio.run(_run(home, task_id, number))
    wanted = _wanted(run, names)
    if folder is not None:
        _download(files, task_id, run, wanted, folder)
    if as_json:
        from worker.cli.document import artifacts
        from worker.cli.terminal import print_json

        print_json({"taskId": task_id, "runId": run.number, "artifacts": artifacts(wanted)})
    else:
        _show(wanted)
    return 0


async def _run(home: Path, task_id: str, number: int | None) -> tuple[Files, Run]:
    from worker.cli.deployment import opened, run_of, task_of
    from worker.config import load_settings

    async with opened(load_settings(home)) as store:
        return store.files, run_of(await task_of(store, task_id), number)


def _wanted(run: Run, names: tuple[str, ...]) -> list[ArtifactRecord]:
    from worker.cli.failure import unknown

    if not names:
        return list(run.artifacts)
    recorded = {artifact.name: artifact for artifact in run.artifacts}
    for name in names:
        if name not in recorded:
            raise unknown("artifact", name, sorted(recorded), exit_codes.NO_INPUT)
    return [recorded[name] for name in dict.fromkeys(names)]


def _download(files: Files, task_id: str, run: Run, wanted: list[ArtifactRecord], folder: Path) -> None:
    from engine.artifacts import FolderStore
    from worker.cli.failure import Failure

    target = FolderStore(folder.absolute())
    kept = files.run(task_id, run.number)
    for artifact in wanted:
        try:
            file = kept.open(artifact.name)
        except FileNotFoundError:
            message = f"{artifact.name} is not here: it is kept where the worker runs, or was removed"
            raise Failure(exit_codes.NO_INPUT, message) from None
        with file:
            try:
                target.put(artifact.name, _verified(file, artifact))
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
