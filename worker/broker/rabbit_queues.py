"""RabbitMQ queues: how they are declared, and what is done where one is there already in another form."""

from __future__ import annotations

from typing import Any

from amqp.exceptions import PreconditionFailed  # type: ignore[import-untyped]
from celery.utils.log import get_logger
from kombu import Exchange, Queue

from worker.model.target import worker_of

_logger = get_logger("penstock.broker")

# RabbitMQ's own dead letters: what it gave up to deliver. Nothing consumes this queue; it is the operator's.
DEAD = "penstock.dead"
# Each delivery that is not acknowledged counts: a consumer that died, a connection that was lost, a message that a
# busy worker gave back. Neither may use a good message up; a message that ends each worker it meets has to stop.
DELIVERY_LIMIT = 100
_ARGUMENTS = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": "",  # the default exchange: the routing key is the name of the queue
    "x-dead-letter-routing-key": DEAD,
    # A dead letter leaves the queue when the other one has confirmed it; RabbitMQ wants this overflow for that.
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}

# The queue of a worker that nobody has asked for since goes: names of workers may be as short-lived as containers. What
# was in it is recorded, and has ended by then.
_UNUSED_MS = 14 * 24 * 3600 * 1000


def quorum_queue(name: str) -> Queue:
    """Bound to the direct exchange of its name, as every Celery program expects it."""
    return Queue(name, Exchange(name, type="direct"), routing_key=name, queue_arguments=_arguments(name))


def _arguments(queue: str) -> dict[str, Any]:
    return {**_ARGUMENTS, "x-expires": _UNUSED_MS} if worker_of(queue) else dict(_ARGUMENTS)


def declare(connection: Any, queues: list[Queue]) -> None:
    """Declare the queues and the one for dead letters; again is harmless.

    A queue that is there in another form, because a producer made it first, is taken as it is. Raises kombu's errors
    of the connection.
    """
    dead = Queue(DEAD, Exchange(""), routing_key=DEAD, queue_arguments={"x-queue-type": "quorum"})
    for queue in queues:
        queue.queue_arguments = _arguments(queue.name)  # also of one that Celery made up for `-Q`
    for queue in (dead, *queues):
        queue.no_declare = False
        try:
            with connection.channel() as channel:
                queue(channel).declare()
        except PreconditionFailed as error:
            # From here on this process neither declares nor changes it.
            queue.no_declare = True
            _logger.warning("the queue %s is there in another form and is used as it is: %s", queue.name, error)
