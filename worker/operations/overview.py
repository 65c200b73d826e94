"""Overview: queues and their depth, workers, tasks by status. Reads only."""

from __future__ import annotations

from redis.asyncio import Redis

from worker.broker import BrokerAway, Publisher
from worker.broker.consumers import consumers
from worker.config import Catalog
from worker.model.overview import Overview, SeenQueue, SeenWorker
from worker.store import Records


async def overview(
    records: Records, publisher: Publisher, broker: Redis | None, catalog: Catalog, default_queue: str
) -> Overview:
    """`broker` is None when it is no Redis, and then says nothing of workers. Raises StoreUnavailable."""
    names = {prepared.script.queue or default_queue for prepared in catalog} | {default_queue}
    answers = True
    queues = []
    for name in sorted(names):
        waiting = None
        if answers:
            try:
                waiting = await publisher.waiting(name)
            except BrokerAway:
                answers = False
        queues.append(SeenQueue(name, waiting))
    workers = None
    if broker is not None and answers:
        try:
            workers = tuple(SeenWorker(c.worker, c.host, c.pid, c.silent_s) for c in await consumers(broker))
        except BrokerAway:
            answers = False
    return Overview(tuple(queues), workers, answers, await records.counts(), len(catalog.scripts))
