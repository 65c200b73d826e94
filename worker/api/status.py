"""Status: queues and their depth, workers, and the store, at a glance."""

from __future__ import annotations

from fastapi import APIRouter

from worker.api.caller import Asker
from worker.api.context import Here
from worker.api.documents import Document, counts_of
from worker.api.problem import documented
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
