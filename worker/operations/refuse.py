"""Refuse: a task for a script that this worker does not have ends, and says so, instead of waiting for ever."""

from __future__ import annotations

import os

import structlog

from worker.broker import BrokerAway, Delivery
from worker.model.answers import Claimed, Refusal
from worker.model.status import Status
from worker.model.task import Resolution
from worker.operations.perform import Performer
from worker.operations.persist import until_stored

_logger = structlog.get_logger("penstock.worker")
REASON = "unknown-script"


async def refuse(delivery: Delivery, performer: Performer) -> bool:
    """Whether the delivery has been dealt with; False when no task of that id is recorded. Raises GivenUp."""
    claim_id = os.urandom(6).hex()
    claimed = await until_stored(
        lambda: performer.records.claim(
            delivery.task_id, performer.worker, performer.lease_s, claim_id=claim_id, of_script=delivery.script
        ),
        "claim",
        performer.give_up,
    )
    if not isinstance(claimed, Claimed):
        return claimed.refusal is not Refusal.UNKNOWN
    message = f"the worker {performer.worker} takes from the queue {delivery.queue} and has no script {delivery.script}"
    end = Resolution(Status.EXCEPTION, REASON, message)
    resolved = await until_stored(
        lambda: performer.records.resolve(claimed.claim, end), "record the outcome", performer.give_up
    )
    _logger.error("a task for a script that is not here", task=delivery.task_id, script=delivery.script)
    for hint in resolved.publish:
        try:
            await performer.publisher.publish(hint.script, hint.task_id, hint.queue, hint.priority)
        except BrokerAway:
            break  # a sweep publishes them
    if claimed.workflow:
        performer.on_step_ended()
    return True
