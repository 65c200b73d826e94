"""Digest: the SHA-256 of a payload. Of one that held secrets it is not told: a short one would be found by trying."""

from __future__ import annotations

import hashlib

from engine.schema import Schema, dump_payload
from worker.model import Task


def digest_of(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def open_digest(task: Task) -> str | None:
    """In hex; None when the payload held secrets, so that the copy that is shown is another."""
    return task.digest if digest_of(dump_payload(task.payload)) == task.digest else None


def open_digest_of(payload: bytes, value: dict[str, object], schema: Schema) -> str | None:
    """The same of a payload and its value, before there is a task."""
    return digest_of(payload) if dump_payload(schema.redact(value)) == payload else None
