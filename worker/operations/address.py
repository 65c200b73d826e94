"""Address: whom a target means now, and the tasks for each of them. Whoever comes later was not meant."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

from msgspec import Struct

from engine.errors import PayloadError, PenstockError, Problem
from worker.model.access import Principal
from worker.model.target import Target
from worker.model.task import ChildTask, NewTask
from worker.model.worker import Worker, WorkerState
from worker.store.targets import Addressed, Targets
from worker.store.workers import Workers

# Each worker's task has a copy of the payload, and one call records them all.
_PAYLOADS_BYTES = 64 * 1024 * 1024
_TOLD = 20


class NobodyMeant(PenstockError):
    """No worker that takes tasks is meant; the message says who was looked for, and who is there."""


class Fleet(Struct, frozen=True):
    """The workers of a deployment, and the tasks for certain ones of them.

    What a worker has not started `start_within_s` after it was due is not started any more.
    """

    workers: Workers
    targets: Targets
    start_within_s: float


async def address_to(new: NewTask, target: Target, fleet: Fleet, principal: Principal) -> Addressed:
    """Record the task for the worker that the target names, or one for each that it means. Publishes nothing.

    Raises NobodyMeant, and PayloadError for a payload that is too large for so many.
    """
    names = meant(target, new.script, await fleet.workers.list(admits=True), tell=principal.may("workers:read"))
    size = len(new.payload) + len(new.shown)
    if size * len(names) > _PAYLOADS_BYTES:
        most = _PAYLOADS_BYTES // len(names) // 2
        raise PayloadError([Problem(f"for {len(names)} workers it may have {most} bytes, not {len(new.payload)}")])
    several = target.worker is None
    children = tuple(ChildTask(name, str(uuid.uuid4())) for name in names) if several else ()
    return await fleet.targets.address(new, target, children, start_within_s=fleet.start_within_s)


def meant(target: Target, script: str, workers: Collection[Worker], *, tell: bool = True) -> tuple[str, ...]:
    """The names of the workers that live, take tasks and run the script, in order; at least one. Raises NobodyMeant.

    One that is paused takes tasks again by itself, and is meant; one that is drained is not. `tell`: whether the
    message may say which workers there are.
    """
    named = [worker for worker in workers if target.matches(worker.name, worker.card.labels)]
    found = [worker for worker in named if _why_not(worker, script) is None]
    if found:
        return tuple(sorted(worker.name for worker in found))
    if not tell:
        raise NobodyMeant(f"no worker that runs {script} and takes tasks is meant by {target}")
    if named:
        whys = [f"{worker.name} {_why_not(worker, script)}" for worker in sorted(named, key=lambda each: each.name)]
        raise NobodyMeant(f"no worker that is meant by {target} can run {script}: {_some(whys)}")
    live = sorted((worker for worker in workers if worker.live), key=lambda each: each.name)
    there = [f"{worker.name} ({', '.join(worker.card.labels) or 'no labels'})" for worker in live]
    raise NobodyMeant(f"no worker is meant by {target}; there is {_some(there) or 'none at all'}")


def _why_not(worker: Worker, script: str) -> str | None:
    if not worker.live:
        return "is offline"
    if worker.state is WorkerState.DRAINING:
        return "is draining"
    if all(admitted.script != script for admitted in worker.admits or ()):
        return f"does not run {script}"
    return None


def _some(texts: Sequence[str]) -> str:
    more = len(texts) - _TOLD
    return ", ".join(texts[:_TOLD]) + (f" and {more} more" if more > 0 else "")
