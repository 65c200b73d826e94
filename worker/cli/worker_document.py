"""Worker document: a worker as the JSON that `workers` prints, as `GET /api/v1/workers` answers, and as a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.log.text import printable
from worker.model.times import known_time

if TYPE_CHECKING:
    from worker.model.worker import Conflict, Wish, Worker
    from worker.operations.fleet import Fleet

HEAD = ["NAME", "STATE", "RUNNING", "LOAD", "LABELS", "QUEUES", "HOST", "LAST SEEN"]


def of_fleet(found: Fleet) -> dict[str, Any]:
    return {
        "workers": [of_worker(worker) for worker in found.workers],
        "conflicts": [of_conflict(conflict) for conflict in found.conflicts],
        "total": len(found.workers),
    }


def of_worker(worker: Worker) -> dict[str, Any]:
    """With `scripts` where that is known."""
    card, pulse, vitals = worker.card, worker.pulse, worker.pulse.vitals
    document: dict[str, Any] = {
        "name": card.name,
        "state": worker.state.value,
        "reason": pulse.reason,
        "host": card.process.host,
        "pid": card.process.pid,
        "version": card.version,
        "labels": list(card.labels),
        "queues": list(card.queues),
        "concurrency": card.concurrency,
        "running": pulse.running,
        "tasks": list(pulse.tasks),
        "load": vitals.load,
        "processors": vitals.processors,
        "memoryFree": vitals.memory_free,
        "memoryTotal": vitals.memory_total,
        "diskFree": vitals.disk_free,
        "diskTotal": vitals.disk_total,
        "startedAt": known_time(worker.started_at),
        "lastSeenAt": known_time(worker.last_seen_at),
        "beatS": card.beat_ms / 1000,
        "drain": _wish(worker.wishes.drain),
        "pause": _wish(worker.wishes.pause),
    }
    if worker.admits is not None:
        document["scripts"] = [
            {"script": each.script, "queue": each.queue, "digest": each.digest, "registered": each.registered}
            for each in worker.admits
        ]
    return document


def of_conflict(conflict: Conflict) -> dict[str, Any]:
    return {
        "queue": conflict.queue,
        "script": conflict.script,
        "workers": [{"name": name, "digest": digest} for name, digest in conflict.digests],
    }


def row(worker: Worker) -> list[str]:
    card, pulse = worker.card, worker.pulse
    return [
        printable(card.name),
        worker.state.value,
        f"{pulse.running}/{card.concurrency}",
        f"{pulse.vitals.load:.1f}",
        printable(" ".join(card.labels)),
        printable(" ".join(card.queues)),
        printable(card.process.host),
        known_time(worker.last_seen_at).replace("T", " ")[:19],
    ]


def sentence(conflict: Conflict) -> str:
    """For people: who disagrees on what."""
    said = ", ".join(f"{name} has {digest[:12] if digest else 'none'}" for name, digest in conflict.digests[:6])
    more = f" and {len(conflict.digests) - 6} more" if len(conflict.digests) > 6 else ""
    where = f"workers of the queue {printable(conflict.queue)}"
    return f"{where} do not have the same script {printable(conflict.script)}: {printable(said)}{more}"


def _wish(wish: Wish | None) -> dict[str, Any] | None:
    return None if wish is None else {"by": wish.by, "why": wish.why, "at": known_time(wish.at)}
