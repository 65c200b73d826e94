"""Command: submit `exec` or `shell`, to workers that run it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from engine.plugin import Prepared
from engine.schema import dump_payload
from worker.broker import BrokerAway, Publisher
from worker.model.access import Principal
from worker.model.command import MOST_TIMEOUT_S
from worker.model.target import Target
from worker.operations.address import Fleet, meant
from worker.operations.authorise import check_execute
from worker.operations.submit import Submitted, submit
from worker.store import Records

_EVERYBODY = Target()


async def submit_command(
    prepared: Prepared,
    payload: bytes,
    *,
    target: Target | None,
    fleet: Fleet,
    records: Records,
    publisher: Publisher,
    trigger: str,
    principal: Principal,
    address: str | None,
    task_id: str,
    tags: tuple[str, ...] = (),
    key: str | None = None,
) -> Submitted:
    """A task for the workers that the target means, or for any one (None). Raises as `submit` does.

    NobodyMeant when no worker runs it now, whatever the target is: nobody waits for one that may come some day. Without
    the broker the task is recorded, and published by a worker when it is back.
    """
    check_execute(principal, prepared.script)
    deadline = None
    if target is None:
        workers = await fleet.workers.list(admits=True)
        meant(_EVERYBODY, prepared.script.name, workers, tell=principal.may("workers:read"))
        # What is for certain workers has such an end already.
        deadline = round((time.time() + fleet.start_within_s + MOST_TIMEOUT_S) * 1000)
    queue = prepared.script.queue
    assert queue is not None
    try:
        return await submit(
            prepared,
            payload,
            records=records,
            publisher=publisher,
            default_queue=queue,
            trigger=trigger,
            principal=principal,
            address=address,
            task_id=task_id,
            tags=tags,
            deadline=deadline,
            key=key,
            target=target,
            fleet=fleet,
        )
    except BrokerAway:
        return Submitted(task_id, True, None)


def payload_of(asked: Mapping[str, Any], timeout_s: float | None) -> bytes:
    """Of what was asked for, without what was not. The time limit goes by the name that it has for every script."""
    given = {name: value for name, value in asked.items() if value is not None}
    return dump_payload(given if timeout_s is None else {**given, "maxRunTime": timeout_s})


def audited(target: str, task_id: str, payload: bytes) -> str:
    """The detail of the entry: who reads the audit sees all of what was asked for."""
    return f"{task_id} on {target}: {payload.decode()}"
