"""Status: queues and their depth, workers, and the store, at a glance."""

from __future__ import annotations

from time import time
from typing import Annotated

from fastapi import APIRouter, Query

from worker.api.caller import Asker
from worker.api.context import Here
from worker.api.documents import Document, counts_of, known_time
from worker.api.listing import readable_scripts
from worker.api.problem import documented
from worker.model.overview import Span
from worker.operations.overview import overview

router = APIRouter(tags=["status"])


class QueueStatus(Document):
    """`waiting`: messages that nobody has taken yet; null when the broker does not answer."""

    name: str
    waiting: int | None


class WorkerStatus(Document):
    """A process that takes tasks. `silentS`: seconds since it was last heard of."""

    name: str
    host: str
    pid: int
    silent_s: float


class StatusDocument(Document):
    """`workers` is null when the broker does not know them, as RabbitMQ. `tasks`: how many have each status."""

    queues: list[QueueStatus]
    workers: list[WorkerStatus] | None
    broker: bool
    store: bool
    tasks: dict[str, int]
    scripts: int


class Bucket(Document):
    """The tasks that were recorded from `at` on, until the next one: how many have each status now."""

    at: str
    tasks: dict[str, int]


class HistoryDocument(Document):
    """Oldest first. `bucketS`: how long each is, in seconds."""

    bucket_s: float
    buckets: list[Bucket]


@router.get("/status/history", responses=documented(400, 401, 403, 429, 503))
async def get_history(
    here: Here,
    caller: Asker,
    hours: Annotated[int, Query(ge=1, le=24 * 31)] = 24,
    buckets: Annotated[int, Query(ge=1, le=120)] = 48,
) -> HistoryDocument:
    """How many tasks were recorded when, and what became of them; of the scripts that the caller may read."""
    caller.needs("tasks:read")
    span = Span.until(int(time() * 1000), hours * 3600 * 1000, buckets)
    counts = await here.records.history(span, readable_scripts(here, caller))
    return HistoryDocument(
        bucket_s=span.bucket_ms / 1000,
        buckets=[
            Bucket(at=known_time(at), tasks=counts_of(each) or {})
            for at, each in zip(span.starts(), counts, strict=True)
        ],
    )


@router.get("/status", responses=documented(400, 401, 403, 429, 503))
async def get_status(here: Here, caller: Asker) -> StatusDocument:
    """Queues and their depth, workers, and whether store and broker answer."""
    caller.needs("workers:read")
    seen = await overview(here.records, here.publisher, here.broker, here.catalog, here.settings.default_queue)
    return StatusDocument(
        queues=[QueueStatus(name=queue.name, waiting=queue.waiting) for queue in seen.queues],
        workers=None
        if seen.workers is None
        else [WorkerStatus(name=w.name, host=w.host, pid=w.pid, silent_s=w.silent_s) for w in seen.workers],
        broker=seen.broker,
        store=True,
        tasks=counts_of(seen.tasks) or {},
        scripts=seen.scripts,
    )
