"""RabbitMQ transport: kombu's, but a message stays the bytes that came until we look at it.

kombu inflates a compressed message, decodes the body with whatever codec the message names, and dies of properties
that it cannot decode, all before anybody is asked. None of that happens here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amqp.basic_message import Message as Content  # type: ignore[import-untyped]
from amqp.method_framing import frame_handler  # type: ignore[import-untyped]
from kombu.message import Message as KombuMessage
from kombu.transport import pyamqp

# A broker that is starting, or whose queues have no leader, takes calls and answers none.
_ANSWER_S = 10.0
_CONTENT_HEADER = 2
# Class, weight and body size come first in the header of a content; then the flags that say which properties follow.
_PROPERTIES_AT = 12
_NO_PROPERTIES = bytes(2)


class Message(pyamqp.Message):  # type: ignore[misc]
    """`body` is bytes, compressed or not."""

    def __init__(self, msg: Any, channel: Any = None, **kwargs: Any) -> None:
        properties = msg.properties
        KombuMessage.__init__(
            self,
            # A message without a body has no frame for it, and so this library's default, a text.
            body=msg.body if isinstance(msg.body, bytes) else b"",
            channel=channel,
            delivery_tag=msg.delivery_tag,
            content_type=properties.get("content_type"),
            content_encoding=properties.get("content_encoding"),
            delivery_info=msg.delivery_info,
            properties=properties,
            **kwargs,
        )
        # Given to the constructor, a header `compression` would inflate the body.
        self.headers = properties.get("application_headers") or {}


class Channel(pyamqp.Channel):  # type: ignore[misc]
    """A call that is not answered in time is a lost connection: a TimeoutError."""

    Message = Message

    def __init__(self, connection: Any, channel_id: Any = None, *, on_open: Any = None, **_: Any) -> None:
        super().__init__(connection, channel_id, auto_decode=False, on_open=on_open)

    def wait(self, method: Any, callback: Any = None, timeout: float | None = None, returns_tuple: bool = False) -> Any:
        return super().wait(method, callback, timeout or _ANSWER_S, returns_tuple)


class Connection(pyamqp.Connection):  # type: ignore[misc]
    Channel = Channel

    def __init__(self, **options: Any) -> None:
        super().__init__(frame_handler=_patient, **options)


class Transport(pyamqp.Transport):  # type: ignore[misc]
    Connection = Connection


class SSLTransport(pyamqp.SSLTransport):  # type: ignore[misc]
    Connection = Connection


def _patient(connection: Any, callback: Callable[..., Any]) -> Callable[[Any], Any]:
    """py-amqp's reader of frames. Properties that it could not decode are left out; it would end the connection, and
    with it the worker, again at every delivery."""
    read = frame_handler(connection, callback)

    def on_frame(frame: tuple[int, int, bytes]) -> Any:
        kind, channel, content = frame
        if kind == _CONTENT_HEADER and not _decodes(content):
            frame = kind, channel, content[:_PROPERTIES_AT] + _NO_PROPERTIES
        return read(frame)

    return on_frame


def _decodes(content: bytes) -> bool:
    try:
        Content().inbound_header(content)
    except Exception:  # noqa: BLE001 - bytes of anybody's: bad UTF-8, a year 10^12, tables in tables, unknown types
        return False
    return True
