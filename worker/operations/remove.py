"""Remove: forget one task that has ended, with its logs and artifacts."""

from __future__ import annotations

import asyncio

import structlog

from engine.errors import PenstockError
from worker.model.answers import Finished
from worker.model.status import FINAL
from worker.model.task import Task
from worker.operations.rerun import NotFinal
from worker.store import Records
from worker.store.files import Files

_logger = structlog.get_logger("penstock.worker")


class FilesRemain(PenstockError):
    """Files of the task could not be removed; its record is kept, so that somebody knows of them."""


async def remove(records: Records, files: Files, task: Task) -> bool:
    """Whether it was removed by this call: False when it is gone, or its id has become another task's.

    The record goes last, so that no files are left which nobody knows of, and as long as it is there no task of the
    same id can begin. Raises NotFinal and FilesRemain.
    """
    if task.status not in FINAL or task.finished_at is None:
        raise NotFinal(f"the task is {task.status.value}")
    now = await records.get(task.id)
    if now is None or (now.script, now.finished_at) != (task.script, task.finished_at):
        return False
    if not await asyncio.to_thread(files.remove, task.id):
        _logger.warning("files of a task to be removed could not be removed", task=task.id)
        raise FilesRemain("files of the task could not be removed; the record is kept")
    return await records.forget([Finished(task.id, task.script, task.finished_at)]) == 1
