"""Status: queues and their depth, workers, and the store, at a glance."""

from __future__ import annotations

from fastapi import APIRouter
from msgspec import to_builtins

from worker.api.caller import Asker
from worker.api.context import Here
from worker.api.documents import Document, counts_of
from worker.api.problem import documented
from worker.api.worker_documents import StateName
from worker.operations.overview import overview
from worker.store.workers import Workers

router = APIRouter(tags=["status"])


class QueueStatus(Document):
    """`waiting`: messages that nobody has taken yet; null when the broker does not answer."""

    name: str
    waiting: int | None


class WorkerStatus(Document):
    """A worker that lives. `silentS`: seconds since it was last heard of; `running`: how many tasks."""

    name: str
    host: str
    pid: int
    silent_s: float
    state: StateName
    running: int


class StatusDocument(Document):
    """`workers`: those that live. `tasks`: how many have each status."""

    queues: list[QueueStatus]
    workers: list[WorkerStatus]
    broker: bool
    store: bool
    tasks: dict[str, int]
    scripts: int


@router.get("/status", responses=documented(400, 401, 403, 429, 503))
async def get_status(here: Here, caller: Asker) -> StatusDocument:
    """Queues and their depth, workers, and whether store and broker answer."""
    caller.needs("workers:read")
    seen = await overview(here.records, here.publisher, Workers(here.redis), here.catalog, here.settings.default_queue)
    return StatusDocument(
        queues=[QueueStatus(name=queue.name, waiting=queue.waiting) for queue in seen.queues],
        workers=[WorkerStatus(**to_builtins(worker)) for worker in seen.workers],
        broker=seen.broker,
        store=True,
        tasks=counts_of(seen.tasks) or {},
        scripts=seen.scripts,
    )
