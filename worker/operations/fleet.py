"""Fleet: the workers of a deployment as people see them, and what is asked of one, which hears it within a second."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import structlog
from msgspec import Struct

from worker.broker import BrokerAway, Publisher
from worker.model.target import queue_of
from worker.model.worker import Conflict, Worker, conflicts
from worker.store.workers import UnknownWorker, WorkerLives, Workers

_logger = structlog.get_logger("penstock.worker")

# By the verb what is asked for, and whether it is asked for or taken back.
VERBS: Mapping[str, tuple[str, bool]] = MappingProxyType(
    {"drain": ("drain", True), "undrain": ("drain", False), "pause": ("pause", True), "resume": ("pause", False)}
)


class Fleet(Struct, frozen=True):
    """All workers that are known, by name, and what those that live disagree on."""

    workers: tuple[Worker, ...]
    conflicts: tuple[Conflict, ...]


async def fleet(workers: Workers) -> Fleet:
    """Raises StoreUnavailable."""
    found = await workers.list()
    if len({worker.card.manifest for worker in found if worker.live}) < 2:
        return Fleet(found, ())
    return Fleet(found, conflicts(await workers.list(admits=True)))


async def that_run(workers: Workers, script: str) -> frozenset[str]:
    """The names of the workers that have the script, whatever their state. Raises StoreUnavailable."""
    found = await workers.list(admits=True)
    return frozenset(
        worker.name for worker in found if any(admitted.script == script for admitted in worker.admits or ())
    )


async def ask(workers: Workers, name: str, verb: str, *, by: str, why: str = "") -> Worker:
    """The worker as it is now; what it does about it shows in its state. Asking twice is asking once.

    `verb` is one of VERBS. Raises UnknownWorker, InvalidName.
    """
    what, wanted = VERBS[verb]
    if wanted:
        await workers.wish(name, what, by, why)
    else:
        await workers.take_back(name, what)
    return await workers.get(name)


async def remove(workers: Workers, publisher: Publisher, name: str, *, silent_ms: int = 0) -> None:
    """Forget one that was not heard of for so long, and its queue. Raises UnknownWorker, InvalidName, WorkerLives.

    A task that is still in its queue is recorded, and ends as `no-answer` when its time is over.
    """
    await workers.remove(name, silent_ms=silent_ms)
    try:
        await publisher.drop(queue_of(name))
    except BrokerAway as error:
        _logger.warning("the queue of a removed worker is left", worker=name, error=str(error))


async def forget(workers: Workers, publisher: Publisher, *, age_s: float) -> int:
    """Forget those that were not heard of for so long. How many there were."""
    count = 0
    for worker in await workers.list():
        if not worker.live:
            try:
                await remove(workers, publisher, worker.name, silent_ms=round(age_s * 1000))
                count += 1
            except (WorkerLives, UnknownWorker):
                continue
    return count
