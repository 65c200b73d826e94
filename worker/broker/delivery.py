"""Delivery: one message as it came, and what it asks for. The message is a hint; the record is the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from engine.errors import PayloadError, Problem
from engine.schema import Payload, parse_payload, too_large
from worker.broker.envelope import Envelope

# A message that Penstock itself published carries this header and no payload: the record holds that.
HINT_HEADER = "penstock-hint"
# The body of a message with this header is the payload itself: it came as a plain document, without an envelope.
PLAIN_HEADER = "penstock-plain"
_JSON = "application/json"
_ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii"})
# Around the payload stand brackets and Celery's own canvas fields.
_ENVELOPE_BYTES = 64 * 1024


class Enqueued(Struct, frozen=True):
    """A task that a producer enqueued without us: the payload, parsed unless it is wrong, and what is wrong with it."""

    payload: bytes
    problems: tuple[Problem, ...] = ()
    parsed: Payload | None = None


class Delivery(Struct, frozen=True):
    """A message for a script, which need not be there. `acknowledge` is called once, in the loop that took it."""

    task_id: str
    script: str
    queue: str
    hint: bool
    read: Callable[[int], Enqueued]
    """The payload, given the most bytes that it may have. Not for a hint."""
    acknowledge: Callable[[], None]
    eta: object = None
    """What the message says of when it may start and by when it has to: ISO 8601, or whatever stands there."""
    expires: object = None
    raw: Callable[[], bytes] = bytes
    """The message as it came, for the case that there is no script of that name after all."""


def is_hint(headers: Mapping[str, Any]) -> bool:
    return bool(headers.get(HINT_HEADER))


def read_body(envelope: Envelope, most: int) -> Enqueued:
    """The payload of a Celery message: its `kwargs`, or the one object in its `args`.

    Parsed as strictly as any payload. Never raises: what is wrong is in the result.
    """
    if envelope.headers.get(PLAIN_HEADER):
        return _plain(envelope.body, most)
    content_type, encoding = envelope.content_type, (envelope.content_encoding or "utf-8").lower()
    if envelope.headers.get("compression"):
        return _refused("the message is compressed; only plain JSON is taken")
    if content_type != _JSON or encoding not in _ENCODINGS:
        return _refused(f"the message is {content_type or 'of no content type'} ({encoding}), not {_JSON} in UTF-8")
    try:
        # One pair of braces around it, so that the parser of payloads reads it: it wants an object.
        parts = parse_payload(b'{"":' + envelope.body + b"}", max_bytes=most + _ENVELOPE_BYTES)[""]
    except PayloadError as error:
        return Enqueued(b"", tuple(_inside(problem) for problem in error.problems))
    if isinstance(parts, dict) and "task" in parts:  # protocol 1
        parts = [parts.get("args"), parts.get("kwargs")]
    if not isinstance(parts, list) or len(parts) < 2:
        return _refused("the message's body is not [args, kwargs, ...] as Celery writes it")
    args, kwargs = parts[0] or [], parts[1] or {}
    if not isinstance(kwargs, dict) or not isinstance(args, list):
        return _refused("args has to be a list and kwargs an object")
    if not args:
        return _within(kwargs, most)
    if len(args) == 1 and isinstance(args[0], dict) and not kwargs:
        return _within(args[0], most)
    return _refused("the payload goes into kwargs, or as the one object into args")


def _plain(body: bytes, most: int) -> Enqueued:
    try:
        return Enqueued(body, parsed=Payload.of(parse_payload(body, max_bytes=most)))
    except PayloadError as error:
        return Enqueued(body, error.problems)


def _within(value: dict[str, Any], most: int) -> Enqueued:
    payload = Payload.of(value)
    if len(payload.data) > most:
        return Enqueued(payload.data, (too_large(len(payload.data), most),))
    return Enqueued(payload.data, parsed=payload)


def _refused(message: str) -> Enqueued:
    return Enqueued(b"", (Problem(message),))


def _inside(problem: Problem) -> Problem:
    """Points into the payload instead of into the message around it."""
    pointer = problem.pointer
    for around in ("//1", "//0/0"):
        if pointer == around or pointer.startswith(around + "/"):
            return Problem(problem.message, pointer[len(around) :])
    return Problem(problem.message)
