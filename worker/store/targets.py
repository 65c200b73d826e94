"""Targets: tasks that are for certain workers. One atomic call records them all."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis

from worker.model.answers import Hint, Registered, Registration
from worker.model.target import Target, queue_of
from worker.model.task import ChildTask, NewTask
from worker.store import encoding
from worker.store.keys import checked_id
from worker.store.records import hints_of
from worker.store.script import TASKS, Script, StoreLimits
from worker.store.workers import checked_name

# As the scripts' asked() takes them.
_TASK_ARGUMENTS = 13


class Addressed(Struct, frozen=True):
    """`publish`: what is to be published now, each in the queue of its worker; the others when they are due."""

    registration: Registration
    publish: tuple[Hint, ...]


class Targets:
    """For one event loop. Every call may be made twice. Raises StoreError."""

    def __init__(self, redis: Redis, limits: StoreLimits = StoreLimits()) -> None:
        self._address = Script(redis, "address", limits, *TASKS)

    async def address(
        self, new: NewTask, target: Target, children: Sequence[ChildTask], *, start_within_s: float | None
    ) -> Addressed:
        """Record a task for the one worker that `target` names; or else one for each worker, and `new` for all of them.

        The latter runs until the last of `children` has ended. Each of these starts within that time, counted from when
        it is due, or ends as `exception`/`no-answer`; None: it waits until its deadline, if any.

        One with the same id, or else with the same key, is left untouched; it is the same task when script, digest and
        target are the same.
        """
        if target.worker is not None:
            if children:
                raise ValueError("what is for one worker has no children")
            new = replace(new, queue=queue_of(checked_name(target.worker)))
        elif not children:
            raise ValueError("a task for several workers needs them")
        asked = encoding.new_task(new)
        asked += [""] * (_TASK_ARGUMENTS - len(asked))
        outcome, task_id, publish = await self._address(
            new.id,
            str(target),
            "" if start_within_s is None else round(start_within_s * 1000),
            *asked,
            *(part for child in children for part in (checked_name(child.worker), checked_id(child.task_id))),
        )
        return Addressed(Registration(Registered(outcome.decode()), task_id.decode()), hints_of(publish))
