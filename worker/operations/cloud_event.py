"""Cloud event: the end of a task as the body and headers of a webhook's request. Sends nothing.

CloudEvents 1.0, structured JSON: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
Signed as by https://www.standardwebhooks.com, for which there are libraries in most languages.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any

from worker.model.task import Task
from worker.model.times import time_text

MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"
SOURCE = "urn:penstock"


def event_id(task: Task) -> str:
    """The same at every attempt: by it a receiver knows what it has seen."""
    return f"{task.id}.{task.runs[-1].number}"


def body_of(task: Task) -> bytes:
    """The same at every attempt, since the record of a final task does not change. The payload is not in it."""
    run = task.runs[-1]
    data: dict[str, Any] = {
        "taskId": task.id,
        "runId": run.number,
        "script": task.script,
        "status": task.status.value,
        "reason": task.reason,
        "message": task.message or None,
        "exitCode": run.exit_code,
        "signal": run.signal,
        "worker": run.worker,
        "trigger": task.trigger,
        "tags": list(task.tags),
        "dryRun": task.dry_run,
        "createdAt": time_text(task.created_at),
        "finishedAt": time_text(task.finished_at),
        "durationMs": run.duration_ms,
        "logBytes": run.log_bytes,
        "rerunOf": task.rerun_of,
        "artifacts": [
            {
                "name": artifact.name,
                "size": artifact.size,
                "sha256": artifact.sha256,
                "contentType": artifact.content_type,
                "public": artifact.public,
            }
            for artifact in run.artifacts
        ],
    }
    event = {
        "specversion": "1.0",
        "id": event_id(task),
        "source": SOURCE,
        "type": f"penstock.task.{task.status.value}",
        "subject": task.id,
        "time": time_text(task.finished_at),
        "datacontenttype": "application/json",
        "data": data,
    }
    return json.dumps(event, ensure_ascii=True, separators=(",", ":")).encode()


def headers_of(event_id: str, body: bytes, secrets: Iterable[bytes], now_s: int) -> dict[str, str]:
    """With a signature by each secret, over id, time and body."""
    signed = b".".join((event_id.encode(), str(now_s).encode(), body))
    signatures = (base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets)
    return {
        "Content-Type": MEDIA_TYPE,
        "User-Agent": "penstock",
        "webhook-id": event_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
