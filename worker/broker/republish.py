"""Republish: put a message back into its queue as it came, whatever it is. Knows nothing of what it may mean."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from worker.broker.kombu_redis import list_key
from worker.broker.source import BrokerAway

if TYPE_CHECKING:
    from worker.broker.app import App

_CONFIRM_S = 10.0
# Without a content type kombu would put the bytes into JSON.
_NO_TYPE = {"content_type": "application/octet-stream", "content_encoding": "binary"}


class Republisher(Protocol):
    async def republish(self, queue: str, raw: bytes) -> None:
        """`raw` is what `Unreadable` had. Raises BrokerAway when the broker did not confirm it."""


class RedisRepublisher:
    """An element of the queue's list, byte for byte."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def republish(self, queue: str, raw: bytes) -> None:
        try:
            await self._redis.lpush(list_key(queue, 0), raw)
        except (RedisError, OSError) as error:
            raise BrokerAway(str(error) or type(error).__name__) from error


class CeleryRepublisher:
    """Through kombu, for brokers other than Redis: the envelope is taken off that was put on for keeping."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def republish(self, queue: str, raw: bytes) -> None:
        await asyncio.to_thread(self._publish, queue, raw)

    def _publish(self, queue: str, raw: bytes) -> None:
        from amqp.exceptions import AMQPError  # type: ignore[import-untyped]
        from kombu.exceptions import OperationalError

        body, options = _opened(raw)
        try:
            with self._app.connection_for_write() as connection:
                # The default exchange leads to the queue of that name, and declares nothing.
                producer = connection.Producer()
                producer.publish(body, exchange="", routing_key=queue, confirm_timeout=_CONFIRM_S, **options)
        except (OperationalError, AMQPError, OSError) as error:
            raise BrokerAway(str(error) or type(error).__name__) from error


def _opened(raw: bytes) -> tuple[bytes, dict[str, Any]]:
    """Body and properties of a message that is kept in kombu's form; what is in no such form is a body itself."""
    try:
        found = json.loads(raw)
        properties, headers = found["properties"], found["headers"]
        body = base64.b64decode(found["body"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        return raw, dict(_NO_TYPE)
    properties = properties if isinstance(properties, dict) else {}
    named = {
        "content_type": found.get("content-type"),
        "content_encoding": found.get("content-encoding"),
        "correlation_id": properties.get("correlation_id"),
        "message_id": properties.get("message_id"),
    }
    options = {**_NO_TYPE, **{name: value for name, value in named.items() if isinstance(value, str)}}
    return body, {**options, "headers": headers if isinstance(headers, dict) else {}}
