"""Hand on: a task that this worker does not run is recorded, if it is not yet, and goes back to its queue."""

from __future__ import annotations

from engine.schema import Payload
from worker.broker import Delivery
from worker.model.answers import Registered
from worker.operations.perform import Performer, enqueued, perform


async def hand_on(delivery: Delivery, performer: Performer) -> None:
    """The delivery may be acknowledged afterwards. Raises StoreUnavailable and BrokerAway."""
    if not delivery.hint:
        payload, new = enqueued(delivery, performer.scripts[delivery.script])
        if not isinstance(payload, Payload):
            await perform(delivery, performer)  # it ends as malformed, whoever has it
            return
        registration = await performer.records.register(new)
        if registration.outcome is Registered.CONFLICT or new.due_at is not None:
            return
    await performer.publisher.publish(delivery.script, delivery.task_id, delivery.queue)
