"""Execution: one run of the engine in this process, for `exec`. Waits for its end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from msgspec import Struct

from engine.artifacts import ArtifactStore, Discard, FolderStore
from engine.execute import Resources, execute
from engine.log import Chunk, LogWriter
from engine.outcome import Outcome
from engine.plugin import Prepared
from engine.process.abort import Abort
from engine.process.nursery import Nursery
from engine.process.slots import Slots
from engine.workdir import Workdirs
from worker.cli import exit_codes
from worker.cli.failure import Failure
from worker.cli.output import LogOutput
from worker.config import Settings
from worker.config.facts import known_facts


class Execution(Struct, frozen=True):
    """What to do with one run. The log goes to `live` while it runs; at its end, as a file, to `log_file`."""

    task_id: str
    run_id: int
    live: TextIO | None
    log_file: Path | None
    keep: Path | None


class _Host(Struct, frozen=True):
    """There is no worker to drain: the one run is the last anyway."""

    name: str

    def drain(self, why: str, *, fatal: bool = False) -> None:
        pass


def execute_here(
    prepared: Prepared, payload: bytes, settings: Settings, execution: Execution, nursery: Nursery
) -> Outcome:
    """Run the script once. SIGINT and SIGTERM cancel it: everything that it started is ended.

    The nursery is gone afterwards. Raises Failure when the log or the artifacts cannot be put where they were asked
    for.
    """
    store = _store(execution.keep)
    if execution.log_file:
        _private_file(execution.log_file).close()  # so that a wrong name is told before anything runs
    with _folder(settings.state_dir) as folder:
        outcome = asyncio.run(_execute(prepared, payload, settings, execution, nursery, folder, store))
        if execution.log_file:
            with open(folder / "log.txt", "rb") as log, _private_file(execution.log_file) as copy:
                shutil.copyfileobj(log, copy)
    return outcome


async def _execute(
    prepared: Prepared,
    payload: bytes,
    settings: Settings,
    execution: Execution,
    nursery: Nursery,
    folder: Path,
    store: ArtifactStore,
) -> Outcome:
    abort = Abort()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        message = f"interrupted by {number.name}"
        loop.add_signal_handler(number, abort.request, "cancelled", "cancelled", message)
    output = LogOutput(execution.live) if execution.live else None
    log = LogWriter(
        folder / "log.txt",
        max_bytes=prepared.script.limits.log_bytes,
        tap=(lambda chunk: _show(output, chunk)) if output else None,
    )
    workdirs = Workdirs(folder / "work")
    try:
        async with Slots(nursery=nursery) as slots:
            return await execute(
                prepared,
                payload,
                task_id=execution.task_id,
                run_id=execution.run_id,
                log=log,
                store=store,
                abort=abort,
                resources=Resources(slots, workdirs, _Host(settings.worker.name), known_facts(settings.worker)),
            )
    finally:
        workdirs.close()
        # Now a signal may end the waiting for whoever reads the log.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        if output:
            await output.close()


def _show(output: LogOutput, chunk: Chunk) -> None:
    output.show(chunk)


def _store(keep: Path | None) -> ArtifactStore:
    if keep is None:
        return Discard()
    if keep.exists() and not keep.is_dir():
        raise Failure(exit_codes.CANNOT_CREATE, f"--keep {keep}: there is something that is no folder")
    return FolderStore(keep.absolute())


def _private_file(path: Path) -> BinaryIO:
    """Open for writing with mode 0600 what may be there already."""
    try:
        file = open(  # noqa: SIM115 - for the caller to close
            path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)
        )
    except OSError as error:
        raise Failure(exit_codes.CANNOT_CREATE, f"{path} cannot be written: {error.strerror}") from None
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # /dev/null and pipes keep theirs
        os.fchmod(file.fileno(), 0o600)
    return file


@contextmanager
def _folder(state_dir: Path) -> Iterator[Path]:
    """A folder of our own below the state folder, or where temporary files go when that cannot be written."""
    with suppress(OSError):
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    parent = state_dir if os.access(state_dir, os.W_OK | os.X_OK) else None
    folder = Path(tempfile.mkdtemp(prefix=f"exec-{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
