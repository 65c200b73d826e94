"""What is written into a task's hash: short JSON. The counterpart is decoding.py."""

from __future__ import annotations

import json
from typing import Any

from worker.model.status import FINAL
from worker.model.task import NewTask, Resolution
from worker.store.keys import RUN_FIELDS, checked_id, checked_script

# Longer messages are cut: the log has the whole story, and the record is kept much longer.
MESSAGE_CHARACTERS = 4000

_FIELD = RUN_FIELDS


def new_task(task: NewTask) -> list[str | bytes | int]:
    """The arguments that the scripts register and claim take, the id excluded."""
    checked_id(task.id)
    if task.retries < 0:
        raise ValueError(f"a task cannot have {task.retries} retries")
    about: dict[str, Any] = {"t": task.trigger}
    if task.dry_run:
        about["d"] = 1
    if task.tags:
        about["g"] = task.tags
    return [
        checked_script(task.script),
        text(task.queue),
        text(task.digest),
        compact(about),
        text(task.shown),
        task.retries,
        task.payload,
    ]


def run_body(end: Resolution) -> str:
    """The end of a run as the rest of a JSON object, without its opening brace; defaults are left out."""
    if end.status not in FINAL:
        raise ValueError(f"a run does not end as {end.status}")
    body: dict[str, Any] = {_FIELD["status"]: end.status.value}
    for name, value in (
        ("reason", end.reason),
        ("message", shortened(end.message)),
        ("exit_code", end.exit_code),
        ("signal", end.signal),
        ("duration_ms", end.duration_ms),
        ("log_bytes", end.log_bytes or None),
        ("log_truncated", 1 if end.log_truncated else None),
        ("dry_run", 1 if end.dry_run else None),
        ("artifacts", [[a.name, a.size, a.sha256, a.content_type, int(a.public)] for a in end.artifacts]),
    ):
        if value is not None and value != "" and value != []:
            body[_FIELD[name]] = value
    return compact(body)[1:]


def cancel_body(by: str, why: str) -> str:
    """A cancel request as the rest of a JSON object; the script puts the time in front."""
    return compact({"by": shortened(by), "why": shortened(why)})[1:]


def compact(value: Any) -> str:
    """ASCII, so that a lone surrogate in someone's text cannot make it unsendable."""
    return json.dumps(value, separators=(",", ":"))


def shortened(message: str) -> str:
    return message if len(message) <= MESSAGE_CHARACTERS else message[: MESSAGE_CHARACTERS - 1] + "…"


def text(value: str) -> bytes:
    return value.encode("utf-8", "backslashreplace")
