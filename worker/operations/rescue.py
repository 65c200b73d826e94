"""Rescue: end the runs whose lease has passed, and publish again what is pending without a message."""

from __future__ import annotations

import asyncio

import structlog

from worker.broker import Publisher
from worker.store import Records
from worker.store.files import Files

_logger = structlog.get_logger("penstock.worker")
# One sweep's share of the work, so that no call holds the store for long; the next sweep goes on.
_LIMIT = 200
# A hint may have been published before. In a queue that nobody empties the copies must not pile up.
_BACKLOG = 1000
# After so long its message is taken for lost however long the queue is.
_LOST_S = 600.0


async def rescue(records: Records, publisher: Publisher, files: Files) -> None:
    """Sweep until nothing is due. Any number of workers may do it at a time.

    What was stored for a run that is ended here goes too: its record names nothing.
    """
    more = True
    while more:
        swept = await records.sweep(limit=_LIMIT)
        for run in swept.rescued:
            _logger.warning(
                "run rescued",
                task=run.task_id,
                script=run.script,
                run=run.run,
                worker=run.worker,
                again=run.retried,
            )
            await asyncio.to_thread(files.run(run.task_id, run.run).discard_artifacts)
        for late in swept.overdue:
            _logger.warning("deadline exceeded", task=late.task_id, script=late.script, run=late.run)
            if late.worker:
                await asyncio.to_thread(files.run(late.task_id, late.run).discard_artifacts)
        for hint in swept.publish:
            published_before = 0 < hint.waited_s < _LOST_S
            if published_before and await publisher.waiting(hint.queue) > _BACKLOG:
                continue  # most likely it is in there; the next sweep that hands it out looks again
            _logger.info("published again", task=hint.task_id, script=hint.script, run=hint.run)
            await publisher.publish(hint.script, hint.task_id, hint.queue, hint.priority)
        more = swept.more
