"""Inputs: artifacts of earlier steps, as read-only files in the work folder of a command."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from msgspec import Struct

from engine.artifacts import names
from engine.artifacts.writing import open_below, write_file
from engine.errors import NotFurnished
from engine.process.abort import Abort
from engine.script import Script
from worker.model.task import ArtifactRecord, StepTask
from worker.store import Records
from worker.store.files import Files, RunFiles

FOLDER = "inputs"
_BLOCK = 1024 * 1024


class _Source(Struct, frozen=True):
    """What one step has left."""

    step: str
    files: RunFiles
    artifacts: tuple[ArtifactRecord, ...]


async def furnisher(
    step: StepTask | None, records: Records, files: Files, script: Script, abort: Abort
) -> Callable[[int], None] | None:
    """What puts `./inputs/<step>/<name>` into a work folder; None for a task without inputs.

    The files are copies, made from the store of artifacts, of mode 0400, and those of a run whose digests are recorded.
    As many, and as large in all, as the script itself may leave. Raises StoreUnavailable; what it returns raises
    NotFurnished for what is not here, OSError when the disk refuses.
    """
    if step is None or not step.inputs:
        return None
    sources = []
    for name, task_id in step.inputs:
        task = await records.get(task_id)
        if task is None:
            return _refusing(f"the task {task_id} of the step {name} is not kept any more")
        run = task.runs[-1]
        sources.append(_Source(name, files.run(task.id, run.number), run.artifacts))
    count = sum(len(source.artifacts) for source in sources)
    size = sum(artifact.size for source in sources for artifact in source.artifacts)
    limits = script.limits
    if count > limits.artifact_count or size > limits.artifact_total_bytes:
        return _refusing(
            f"the inputs are {count} files of {size} bytes in all; the script's limits allow {limits.artifact_count} "
            f"of {limits.artifact_total_bytes}"
        )
    return lambda folder: _place(folder, sources, abort)


def _refusing(why: str) -> Callable[[int], None]:
    def refuse(_: int) -> None:
        raise NotFurnished(why)

    return refuse


def _place(folder: int, sources: list[_Source], abort: Abort) -> None:
    for source in sources:
        top = open_below(folder, [FOLDER.encode(), source.step.encode()], make=True)
        try:
            for artifact in source.artifacts:
                if abort.reason:
                    return
                _copy(top, source, artifact)
        finally:
            os.close(top)


def _copy(top: int, source: _Source, artifact: ArtifactRecord) -> None:
    if names.fault(artifact.name) is not None:
        raise NotFurnished(f"an artifact of the step {source.step} has a name that cannot be")
    *above, last = artifact.name.encode().split(b"/")
    digest = hashlib.sha256()
    try:
        file = source.files.open(artifact.name)
    except FileNotFoundError:
        raise NotFurnished(
            f"the artifact {artifact.name} of the step {source.step} is not here: it is kept where its worker ran"
        ) from None

    def blocks() -> Iterator[bytes]:
        left = artifact.size
        while left and (block := file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
            yield block

    folder = open_below(top, above, make=True)
    try:
        with file:
            write_file(folder, last, blocks(), durable=False)
        if digest.hexdigest() != artifact.sha256:
            with suppress(OSError):
                os.unlink(last, dir_fd=folder)
            raise NotFurnished(f"the artifact {artifact.name} of the step {source.step} is not what was recorded")
        os.chmod(last, 0o400, dir_fd=folder)
    finally:
        os.close(folder)
