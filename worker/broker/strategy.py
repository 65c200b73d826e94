"""Strategy: from a message of kombu's to a delivery, at Celery's own extension point (`Task.Strategy`).

Celery's default strategy builds a request and gives it to a pool, where it is traced, retried, chained and timed as
the message says. None of that applies to a script: the message can only name a task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger

from worker.broker.delivery import Delivery, is_hint, read_body
from worker.broker.envelope import Envelope
from worker.broker.source import Unreadable
from worker.model import TASK_ID

_logger = get_logger("penstock.broker")


def strategy(task: Any, app: Any, consumer: Any, **_: Any) -> Callable[..., None]:
    """Called by Celery once for each registered Celery task; returns what handles its messages."""

    def receive(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **_: Any) -> None:
        app.receiver.receive(_read(message, body, task.name, lambda: consumer.pool.acknowledge_later(message)))

    return receive


def _read(message: Any, decoded: Any, name: str, acknowledge: Callable[[], None]) -> Delivery | Unreadable:
    queue = str((message.delivery_info or {}).get("routing_key") or "")
    headers = message.headers or {}
    # In protocol 1 the id stands in the body, which Celery has decoded to find the name.
    task_id = decoded.get("id") if isinstance(decoded, dict) else headers.get("id")
    raw = message.body if isinstance(message.body, bytes) else str(message.body).encode("utf-8", "surrogatepass")
    if not isinstance(task_id, str) or not TASK_ID.match(task_id):
        return Unreadable(queue, raw, f"its id is none of a task: {str(task_id)[:80]!a}", acknowledge)
    envelope = Envelope(task_id, name, raw, message.content_type or "", message.content_encoding or "", dict(headers))
    return Delivery(
        task_id=task_id,
        script=envelope.script,
        queue=queue,
        hint=is_hint(headers),
        read=lambda most: read_body(envelope, most),
        acknowledge=acknowledge,
    )
