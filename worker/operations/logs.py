"""Logs: where the log of a run that has ended is."""

from __future__ import annotations

import io
from typing import BinaryIO

from worker.model import Run
from worker.store.files import Files


def open_log(files: Files, task_id: str, run: Run) -> BinaryIO:
    """Its bytes, from the record or from the file. FileNotFoundError when there is none here, or none at all."""
    if run.log:
        return io.BytesIO(run.log.text.encode())
    return files.run(task_id, run.number).open_log()
