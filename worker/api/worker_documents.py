"""Worker documents: workers as the API answers with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from worker.api.body import Asked
from worker.api.documents import Document, known_time
from worker.model.worker import Conflict, Wish, Worker

StateName = Literal["online", "busy", "draining", "paused", "offline"]


class AskedWish(Asked):
    """`why` is for whoever looks at the worker later."""

    why: Annotated[str, Field(max_length=500)] = ""


class WishDocument(Document):
    by: str
    why: str
    at: str


class WorkerInList(Document):
    """`reason`: why it takes nothing, for people. `tasks`: some of those that run, `running`: how many do. `drain` and
    `pause`: what it was asked for. Memory and disk in bytes; a worker says all this every `beatS`."""

    name: str
    state: StateName
    reason: str
    host: str
    pid: int
    version: str
    labels: list[str]
    queues: list[str]
    concurrency: int
    running: int
    tasks: list[str]
    load: float
    processors: int
    memory_free: int
    memory_total: int
    disk_free: int
    disk_total: int
    started_at: str
    last_seen_at: str
    beat_s: float
    drain: WishDocument | None
    pause: WishDocument | None


class AdmittedDocument(Document):
    """`digest`: SHA-256 of the declaration and of what it runs."""

    script: str
    queue: str
    digest: str
    registered: bool


class WorkerDocument(WorkerInList):
    """`scripts`: those that it runs and the caller may read."""

    scripts: list[AdmittedDocument]


class DifferenceDocument(Document):
    """`digest` is null where the worker does not have the script."""

    name: str
    digest: str | None


class ConflictDocument(Document):
    """Workers that take from one queue and do not have the same script."""

    queue: str
    script: str
    workers: list[DifferenceDocument]


class WorkerList(Document):
    """`conflicts` are of all workers that live, on every page. `next`: the cursor of the next page."""

    workers: list[WorkerInList]
    conflicts: list[ConflictDocument]
    total: int
    next: str | None


def in_list(worker: Worker, *, tasks: bool) -> WorkerInList:
    """`tasks`: whether the caller may know which tasks there are."""
    card, pulse, vitals = worker.card, worker.pulse, worker.pulse.vitals
    return WorkerInList(
        name=card.name,
        state=worker.state.value,
        reason=pulse.reason,
        host=card.process.host,
        pid=card.process.pid,
        version=card.version,
        labels=list(card.labels),
        queues=list(card.queues),
        concurrency=card.concurrency,
        running=pulse.running,
        tasks=list(pulse.tasks) if tasks else [],
        load=vitals.load,
        processors=vitals.processors,
        memory_free=vitals.memory_free,
        memory_total=vitals.memory_total,
        disk_free=vitals.disk_free,
        disk_total=vitals.disk_total,
        started_at=known_time(worker.started_at),
        last_seen_at=known_time(worker.last_seen_at),
        beat_s=card.beat_ms / 1000,
        drain=_wish(worker.wishes.drain),
        pause=_wish(worker.wishes.pause),
    )


class WorkerLog(Document):
    """`lines`: the newest last, of what the worker logs about itself; no more than 256 KiB."""

    name: str
    lines: list[str]


def of_worker(worker: Worker, *, tasks: bool, may_read: Callable[[str], bool]) -> WorkerDocument:
    scripts = [
        AdmittedDocument(script=each.script, queue=each.queue, digest=each.digest, registered=each.registered)
        for each in worker.admits or ()
        if may_read(each.script)
    ]
    return WorkerDocument(**in_list(worker, tasks=tasks).model_dump(by_alias=False), scripts=scripts)


def of_conflict(conflict: Conflict) -> ConflictDocument:
    said = [DifferenceDocument(name=name, digest=digest) for name, digest in conflict.digests]
    return ConflictDocument(queue=conflict.queue, script=conflict.script, workers=said)


def _wish(wish: Wish | None) -> WishDocument | None:
    return None if wish is None else WishDocument(by=wish.by, why=wish.why, at=known_time(wish.at))
