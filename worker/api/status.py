"""Status: queues and their depth, workers, and the store, at a glance."""

from __future__ import annotations

from fastapi import APIRouter

from worker.api.caller import Asker
from worker.api.context import Here
from worker.api.documents import Document, counts_of
from worker.api.problem import documented
from worker.broker import BrokerAway
from worker.broker.consumers import consumers

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
    names = {p.script.queue or here.settings.default_queue for p in here.catalog} | {here.settings.default_queue}
    broker = True
    queues = []
    for name in sorted(names):
        waiting = None
        if broker:
            try:
                waiting = await here.publisher.waiting(name)
            except BrokerAway:
                broker = False
        queues.append(QueueStatus(name=name, waiting=waiting))
    workers = None
    if here.broker is not None and broker:
        try:
            workers = [
                WorkerStatus(name=c.worker, host=c.host, pid=c.pid, silent_s=c.silent_s)
                for c in await consumers(here.broker)
            ]
        except BrokerAway:
            broker = False
    counts = await here.records.counts()
    return StatusDocument(
        queues=queues,
        workers=workers,
        broker=broker,
        store=True,
        tasks=counts_of(counts) or {},
        scripts=len(here.catalog.scripts),
    )
