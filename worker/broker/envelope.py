"""Envelope: what kombu puts around a message in Redis, taken apart without trusting a byte of it."""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from engine.errors import PayloadError
from engine.schema import depth_of, parse_payload
from worker.model.task import TASK_ID

# Headers and properties of a message are small; what is nested deeper than this is no message of Celery's.
_DEPTH = 32
# A message without a readable envelope that is larger than this is not even looked at.
MESSAGE_BYTES = 64 * 1024 * 1024
TASK_PREFIX = "penstock."
_DECODER = msgspec.json.Decoder()


_SCRIPT = re.compile(r"penstock\.[a-z0-9][a-z0-9-]{0,62}\Z")


class NotAMessage(Exception):
    """The text says why no task can be made of it, for the list of dead letters."""


class Envelope(Struct, frozen=True):
    """A message for a task: its id and Celery task name are sound, its `body` is bytes that nobody looked at."""

    task_id: str
    name: str
    body: bytes
    content_type: str
    content_encoding: str
    headers: dict[str, Any]

    @property
    def script(self) -> str:
        return self.name.removeprefix(TASK_PREFIX)


def is_script(name: str) -> bool:
    """Whether a Celery task of that name is one of a script, be it there or not."""
    return _SCRIPT.match(name) is not None


def no_script(name: str) -> str:
    return f"no script is declared for {name[:100]!a}"


def open_envelope(raw: bytes) -> Envelope:
    """Raises NotAMessage. Takes Celery's message protocol 2, and 1 as far as name and id."""
    message = _object(raw)
    headers, properties = message.get("headers"), message.get("properties")
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        raise NotAMessage("it has no headers and properties, as a message of kombu has")
    body = _body(message.get("body"), properties.get("body_encoding"))
    name, task_id = identify(headers, body)
    content_type, encoding = message.get("content-type"), message.get("content-encoding")
    return Envelope(
        task_id,
        name,
        body,
        content_type if isinstance(content_type, str) else "",
        encoding if isinstance(encoding, str) else "",
        headers,
    )


def _object(raw: bytes) -> dict[str, Any]:
    """As lenient as Celery where nothing depends on it; the payload in the body is parsed as strictly as any."""
    if len(raw) <= MESSAGE_BYTES and depth_of(raw, _DEPTH) <= _DEPTH:
        for decode in (_DECODER.decode, _lenient):
            try:
                message = decode(raw)
            except (msgspec.DecodeError, ValueError, RecursionError):
                continue
            if isinstance(message, dict):
                return message
    try:
        return parse_payload(raw, max_bytes=MESSAGE_BYTES, max_depth=_DEPTH)
    except PayloadError as error:
        raise NotAMessage(f"it is no JSON object: {error.problems[0].message}") from None


def _lenient(raw: bytes) -> Any:
    """With the infinities and lone surrogates that producers in Python write."""
    return json.loads(raw.decode())


def identify(headers: Mapping[str, Any], body: bytes) -> tuple[str, str]:
    """Celery task name and id, from the headers or, in protocol 1, from the body. Raises NotAMessage."""
    name, task_id = headers.get("task"), headers.get("id")
    if "task" not in headers:
        name, task_id = _first_protocol(body)
    if not isinstance(name, str):
        raise NotAMessage("it names no task")
    if not isinstance(task_id, str) or not TASK_ID.match(task_id):
        raise NotAMessage(f"its id is none of a task: {str(task_id)[:80]!a}")
    return name, task_id


def _body(body: Any, encoding: Any) -> bytes:
    if not isinstance(body, str):
        raise NotAMessage("its body is no text")
    if encoding != "base64":
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise NotAMessage("its body is no base64, as it says it is") from None


def _first_protocol(body: bytes) -> tuple[Any, Any]:
    """Name and id stand in the body there."""
    try:
        message = parse_payload(body, max_bytes=MESSAGE_BYTES, max_depth=_DEPTH)
    except PayloadError:
        return None, None
    return message.get("task"), message.get("id")


def seal(
    name: str, task_id: str, queue: str, headers: dict[str, Any], *, priority: int = 0, body: bytes = b"[[], {}, {}]"
) -> bytes:
    """A message of protocol 2, without arguments unless told otherwise, as Celery's own producer writes it."""
    message = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": name, "id": task_id, "root_id": task_id, "parent_id": None, **headers},
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": priority,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return json.dumps(message).encode()
