"""Overview: queues and their depth, workers, tasks by status. Reads only."""

from __future__ import annotations

from worker.broker import BrokerAway, Publisher
from worker.config import Catalog
from worker.model.overview import Overview, SeenQueue, SeenWorker
from worker.store import Records
from worker.store.workers import Workers


async def overview(
    records: Records, publisher: Publisher, workers: Workers, catalog: Catalog, default_queue: str
) -> Overview:
    """Raises StoreUnavailable."""
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
    now = await workers.now()
    seen = tuple(
        SeenWorker(
            worker.name,
            worker.card.process.host,
            worker.card.process.pid,
            max(0, now - worker.last_seen_at) / 1000,
            worker.state,
            worker.pulse.running,
        )
        for worker in await workers.list()
        if worker.live
    )
    return Overview(tuple(queues), seen, answers, await records.counts(), len(catalog.scripts))
