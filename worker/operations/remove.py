"""Remove: forget one task that has ended, with its logs and artifacts."""

from __future__ import annotations

import asyncio

import structlog

from worker.model import FINAL, Finished, Task
from worker.operations.rerun import NotFinal
from worker.store import Records
from worker.store.files import Files

_logger = structlog.get_logger("penstock.worker")


async def remove(records: Records, files: Files, task: Task) -> None:
    """The record goes last, so that no files are left which nobody knows of. Raises NotFinal."""
    if task.status not in FINAL or task.finished_at is None:
        raise NotFinal(f"the task is {task.status.value}")
    if not await asyncio.to_thread(files.remove, task.id):
        _logger.warning("files of a removed task could not be removed", task=task.id)
    await records.forget([Finished(task.id, task.script, task.finished_at)])
