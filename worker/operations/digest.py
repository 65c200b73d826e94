"""Digest: the SHA-256 of a payload. Of one that held secrets it is not told: a short one would be found by trying."""

from __future__ import annotations

import hashlib

from engine.schema import Schema, dump_payload
from worker.model.task import Task
from worker.model.workflow_run import WorkflowRun


def digest_of(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def open_digest(of: Task | WorkflowRun) -> str | None:
    """In hex; None when the payload held secrets, so that the copy that is shown is another."""
    shown = of.payload if isinstance(of, Task) else of.shown
    return of.digest if digest_of(dump_payload(shown)) == of.digest else None


def open_digest_of(payload: bytes, value: dict[str, object], schema: Schema) -> str | None:
    """The same of a payload and its value, before there is a task."""
    return digest_of(payload) if dump_payload(schema.redact(value)) == payload else None
