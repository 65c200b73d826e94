"""RabbitMQ message: from what came to a delivery. Everything but declared scripts is unreadable."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from worker.broker.delivery import PLAIN_HEADER, Delivery, is_hint, read_body
from worker.broker.envelope import TASK_PREFIX, Envelope, NotAMessage, identify, is_script, no_script
from worker.broker.source import Unreadable
from worker.model.task import TASK_ID


def read_message(
    message: Any,
    queue: str,
    *,
    plain: Mapping[str, str],
    acknowledge: Callable[[], None],
) -> Delivery | Unreadable:
    """`plain` names the script of a queue for plain documents. A delivery may name a script that is not there.

    What Celery's own consumer would do at the message's wish (callbacks, time limits, retries, its built-in Celery
    tasks, an ETA that is waited for in the worker) is not done.
    """
    headers = {key: value for key, value in dict(message.headers or {}).items() if isinstance(key, str)}
    try:
        task_id, name, headers = _identity(message, queue, headers, plain)
        if not is_script(name):
            raise NotAMessage(no_script(name))
    except NotAMessage as error:
        return Unreadable(queue, enveloped(message, queue), str(error), acknowledge)
    envelope = Envelope(
        task_id, name, message.body, _text(message.content_type), _text(message.content_encoding), headers
    )
    return Delivery(
        task_id=task_id,
        script=envelope.script,
        queue=queue,
        hint=is_hint(headers),
        read=lambda most: read_body(envelope, most),
        acknowledge=acknowledge,
        eta=headers.get("eta"),
        expires=headers.get("expires"),
        raw=lambda: enveloped(message, queue),
    )


def _identity(
    message: Any, queue: str, headers: dict[str, Any], plain: Mapping[str, str]
) -> tuple[str, str, dict[str, Any]]:
    script = plain.get(queue)
    # There the body is the producer's own, whatever its fields are called: nothing in it names a task or an id.
    if script is not None and "task" not in headers:
        # A producer that wants a second delivery to be the same task names the message.
        named = message.properties.get("message_id")
        task_id = named if isinstance(named, str) and TASK_ID.match(named) else str(uuid.uuid4())
        return task_id, TASK_PREFIX + script, {PLAIN_HEADER: 1}
    name, task_id = identify(headers, message.body)
    # Only who makes an envelope itself may say that there is none.
    return task_id, name, {key: value for key, value in headers.items() if key != PLAIN_HEADER}


def enveloped(message: Any, queue: str) -> bytes:
    """The message as kombu would write it into Redis: for dead letters, which are kept in one form."""
    return json.dumps(
        {
            "body": base64.b64encode(message.body).decode(),
            "content-type": message.content_type,
            "content-encoding": message.content_encoding,
            "headers": message.headers or {},
            "properties": {
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
                "delivery_info": {"exchange": "", "routing_key": queue},
                "correlation_id": message.properties.get("correlation_id"),
                "message_id": message.properties.get("message_id"),
            },
        },
        default=repr,
        skipkeys=True,
    ).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
