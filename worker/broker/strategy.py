"""Strategy: from a message to a delivery, at Celery's own extension point (`Task.Strategy`).

Celery's default strategy builds a request and gives it to a pool, where it is traced, retried, chained and timed as
the message says. None of that applies to a script: the message can only name a task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger

from worker.broker.delivery import Delivery, is_hint, queue_of, read_body
from worker.model import TASK_ID

_logger = get_logger("penstock.broker")


def strategy(task: Any, app: Any, consumer: Any, **_: Any) -> Callable[..., None]:
    """Called by Celery once for each registered Celery task; returns what handles its messages."""
    script = task.name.partition(".")[2]
    acknowledge_later = consumer.pool.acknowledge_later

    def receive(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **_: Any) -> None:
        task_id = body.get("id") if body is not None else message.headers.get("id")
        if not isinstance(task_id, str) or not TASK_ID.match(task_id):
            _logger.error("a message for %s is dropped: its id is none of a task: %.100r", task.name, task_id)
            message.ack_log_error(_logger, consumer.connection_errors)
            return
        app.receiver.receive(
            Delivery(
                task_id=task_id,
                script=script,
                queue=queue_of(message),
                hint=is_hint(message),
                read=lambda most: read_body(message, body, most),
                acknowledge=lambda: acknowledge_later(message),
            )
        )

    return receive
