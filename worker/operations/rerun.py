"""Rerun: a new task with the payload of one that has ended."""

from __future__ import annotations

from engine.errors import PenstockError
from engine.plugin import Prepared
from engine.schema import dump_payload
from worker.broker import Publisher
from worker.model.access import Principal
from worker.model.status import FINAL
from worker.model.target import Target, read_target, worker_of
from worker.model.task import Task
from worker.operations.address import Fleet
from worker.operations.digest import open_digest
from worker.operations.submit import Submitted, submit
from worker.store import Records


class NotFinal(PenstockError):
    """The task waits or runs."""


class PayloadForgotten(PenstockError):
    """Only a copy of the payload with masked secrets is kept of a task that has ended, and this one had secrets."""


async def rerun(
    task: Task,
    prepared: Prepared,
    *,
    records: Records,
    publisher: Publisher,
    default_queue: str,
    trigger: str,
    principal: Principal,
    address: str | None,
    task_id: str,
    fleet: Fleet,
) -> Submitted:
    """Submit the task's payload once more, with its tags, its priority and its target, under a new id.

    A target means whom it means now. Raises NotFinal, PayloadForgotten, and what `submit` raises: the script may have
    changed meanwhile.
    """
    if task.status not in FINAL:
        raise NotFinal(f"the task is {task.status.value}")
    payload = payload_of(task)
    return await submit(
        prepared,
        payload,
        records=records,
        publisher=publisher,
        default_queue=default_queue,
        trigger=trigger,
        principal=principal,
        address=address,
        task_id=task_id,
        tags=task.tags,
        priority=task.priority,
        rerun_of=task.id,
        target=target_of(task),
        fleet=fleet,
    )


def target_of(task: Task) -> Target | None:
    """For whom it was: a task that is for one worker, even if as one of several, stays with it."""
    text = task.target or worker_of(task.queue)
    return None if text is None else read_target(text)


def payload_of(task: Task) -> bytes:
    """The exact payload: the copy that is shown, when it has the digest of the unmasked one."""
    if open_digest(task) is None:
        raise PayloadForgotten("the payload held secrets, which are not kept: submit it again")
    return dump_payload(task.payload)
