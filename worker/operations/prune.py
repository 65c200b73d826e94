"""Prune: forget finished tasks that are old or too many, with their logs and artifacts."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import structlog

from worker.store import Records
from worker.store.files import Files

_logger = structlog.get_logger("penstock.worker")


async def prune(
    records: Records,
    files: Files,
    *,
    age_s: float | None,
    count: int | None,
    script: str | None = None,
    besides: Collection[str] = (),
) -> int:
    """Remove finished tasks older than `age_s` and the oldest beyond `count`; how many were removed.

    Of one script, or of all but those in `besides`; None is no bound.

    A task that is not final is never touched. Bounded steps; interrupted at any place, it goes on with the next call:
    the record goes last, so that no files are left which nobody knows of.
    """
    removed = 0
    age_ms = None if age_s is None else round(age_s * 1000)
    while found := await records.prunable(older_than_ms=age_ms, keep_count=count, script=script, besides=besides):
        for task in found:
            if not await asyncio.to_thread(files.remove, task.task_id):
                _logger.warning("files of a pruned task could not be removed", task=task.task_id)
        removed += await records.forget(found)
    if removed:
        _logger.info("pruned", tasks=removed, script=script)
    return removed
