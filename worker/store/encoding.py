"""What is written into a task's hash: short JSON. The counterpart is decoding.py."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import msgspec

from worker.model.status import FINAL
from worker.model.task import NewTask, Resolution, RunLimits, StepTask
from worker.store.keys import RUN_FIELDS, checked_id, checked_key, checked_script, checked_workflow

# Longer messages are cut: the log has the whole story, and the record is kept much longer.
MESSAGE_CHARACTERS = 4000

_FIELD = RUN_FIELDS
_ENCODER = json.JSONEncoder(separators=(",", ":"))
# Several times as fast, and no use for a lone surrogate.
_BODY = msgspec.json.Encoder()
_END_OF_TIME_MS = 10**14  # the year 5138; the scripts add to it and keep it below 2^53


def new_task(task: NewTask) -> list[str | bytes | int]:
    """The arguments that the scripts register and claim take, the id excluded."""
    checked_id(task.id)
    if task.retries < 0:
        raise ValueError(f"a task cannot have {task.retries} retries")
    if task.priority not in range(10):
        raise ValueError(f"a priority is 0 to 9, not {task.priority}")
    arguments: list[str | bytes | int] = [
        checked_script(task.script),
        text(task.queue),
        text(task.digest),
        _about(task.trigger, task.dry_run, task.tags, task.submitted_by, task.submitted_from, task.rerun_of),
        text(task.shown),
        task.retries,
        task.payload,
    ]
    times = task.due_at, task.start_by, task.deadline
    if any(time is not None for time in times) or task.priority or task.key is not None or task.workflow:
        arguments += ["" if time is None else _time(time) for time in times]
        arguments += [task.priority or "", "" if task.key is None else text(checked_key(task.key))]
    if task.workflow:
        arguments.append(step_task(task.workflow))
    return arguments


@lru_cache(256)
def _about(
    trigger: str, dry_run: bool, tags: tuple[str, ...], by: str | None, from_: str | None, rerun_of: str | None
) -> str:
    about: dict[str, Any] = {"t": trigger}
    if dry_run:
        about["d"] = 1
    if tags:
        about["g"] = tags
    if by:
        about["b"] = by
    if from_:
        about["f"] = from_
    if rerun_of is not None:
        about["o"] = rerun_of
    return compact(about)


def step_task(step: StepTask) -> str:
    """As it is kept with the task of a step; the run stands first, where the scripts look for it."""
    return f"{checked_id(step.run)} {checked_workflow(step.step)} {step.attempt:d} {compact(step.inputs)}"


def run_limits(limits: RunLimits | None) -> str:
    """As the script claim takes them, and as they are kept: how many at a time, starts, milliseconds."""
    if limits is None or (limits.concurrency is None and limits.rate_count is None):
        return ""
    period_ms = "" if limits.rate_per_s is None else max(1, round(limits.rate_per_s * 1000))
    concurrency, count = ("" if limit is None else limit for limit in (limits.concurrency, limits.rate_count))
    return f"{concurrency} {count} {period_ms}"


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
        ("log", [end.log.text, end.log.index] if end.log else None),
        ("dry_run", 1 if end.dry_run else None),
        ("result", end.result),
        ("artifacts", [[a.name, a.size, a.sha256, a.content_type, int(a.public)] for a in end.artifacts]),
    ):
        if value is not None and value != "" and value != []:
            body[_FIELD[name]] = value
    try:
        return _BODY.encode(body)[1:].decode()
    except UnicodeEncodeError:
        return compact(body)[1:]


def cancel_body(by: str, why: str) -> str:
    """A cancel request as the rest of a JSON object; the script puts the time in front."""
    return compact({"by": shortened(by), "why": shortened(why)})[1:]


def compact(value: Any) -> str:
    """ASCII, so that a lone surrogate in someone's text cannot make it unsendable."""
    return _ENCODER.encode(value)


def _time(milliseconds: int) -> int:
    """The same, if it is a time that Lua can count with and a sorted set can hold."""
    if not 0 <= milliseconds < _END_OF_TIME_MS:
        raise ValueError(f"not a time in milliseconds: {milliseconds}")
    return milliseconds


def shortened(message: str) -> str:
    return message if len(message) <= MESSAGE_CHARACTERS else message[: MESSAGE_CHARACTERS - 1] + "…"


def text(value: str) -> bytes:
    return value.encode("utf-8", "backslashreplace")
