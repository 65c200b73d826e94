"""Kept: opens the log of a run, that has ended or is being written, together with its index."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from engine.log.index import read_index
from worker.api.log_lines import Batch, kept_lines
from worker.api.place import LogPlace
from worker.model.task import Run
from worker.operations.logs import open_log
from worker.store import Files

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Kept(Struct, frozen=True):
    """Close it."""

    text: BinaryIO
    index: BinaryIO

    def batches(self, run: int, at: LogPlace, *, complete: bool) -> Iterator[Batch]:
        return kept_lines(run, self.text, read_index(self.index), at, complete=complete)

    def close(self) -> None:
        self.text.close()
        self.index.close()


def open_kept(files: Files, task_id: str, run: Run) -> Kept | None:
    """Of a run that has ended; None when there is none, or none here."""
    try:
        text = open_log(files, task_id, run)
    except FileNotFoundError:
        return None
    index: BinaryIO = io.BytesIO()
    try:
        index = io.BytesIO(bytes.fromhex(run.log.index)) if run.log else files.run(task_id, run.number).open_log_index()
    except (FileNotFoundError, ValueError):
        pass
    return Kept(text, index)


def open_running(spool: Path, task_id: str, run: int) -> Kept | None:
    """Of a run that a worker on this machine performs. Blocks on the disk."""
    name = re.compile(re.escape(f"{task_id}-{run:d}-") + r"[0-9a-f]{8}\.txt\Z")
    try:
        found = [path for folder in spool.iterdir() for path in folder.iterdir() if name.match(path.name)]
        if len(found) != 1:
            return None  # another claim of the same run may have left one
        text = os.fdopen(os.open(found[0], _OPEN), "rb")
    except OSError:
        return None
    index: BinaryIO = io.BytesIO()
    try:
        index = os.fdopen(os.open(found[0].with_suffix(".idx"), _OPEN), "rb")
    except OSError:
        pass
    return Kept(text, index)
