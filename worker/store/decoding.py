"""What is read from a task's hash. The counterpart is encoding.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from worker.model.status import FINAL, Status
from worker.model.task import ArtifactRecord, CancelRequest, ChildTask, Run, ShortLog, StepTask, Task
from worker.store.keys import FIELDS, RUN_FIELDS

_ENDED = {short: name for name, short in RUN_FIELDS.items()}


class _Hash:
    """The fields of one task by their long names."""

    def __init__(self, values: Mapping[bytes, bytes]) -> None:
        self._values = values

    def get(self, name: str) -> str | None:
        value = self._values.get(FIELDS[name].encode())
        return None if value is None else value.decode("utf-8", "replace")

    def has(self, name: str) -> bool:
        return self._values.get(FIELDS[name].encode()) is not None

    def need(self, name: str) -> str:
        value = self.get(name)
        assert value is not None, name
        return value

    def number(self, name: str) -> int | None:
        value = self.get(name)
        return None if value is None else int(value)

    def ended(self, run: int) -> bytes | None:
        return self._values.get(b"%d" % run)


def task(task_id: str, values: Mapping[bytes, bytes]) -> Task:
    """The task of a hash, which is not empty. Without the field of the payload it has none."""
    fields = _Hash(values)
    about = json.loads(fields.need("about"))
    runs = _runs(fields)
    newest = runs[-1]
    return Task(
        id=task_id,
        script=fields.need("script"),
        status=Status(fields.need("status")),
        created_at=int(fields.need("created")),
        payload=None if (text := fields.get("shown")) is None else shown(text),
        digest=fields.need("digest"),
        queue=fields.need("queue"),
        trigger=about["t"],
        reason=newest[0].reason,
        message=newest[0].message,
        finished_at=fields.number("finished"),
        dry_run=bool(about.get("d")) or any(dry for _, dry in runs),
        tags=tuple(about.get("g", ())),
        runs=tuple(run for run, _ in runs),
        retries=int(fields.need("retries")),
        cancel=cancel_request(fields.get("cancel")),
        due_at=fields.number("due"),
        start_by=fields.number("start_by"),
        deadline=fields.number("deadline"),
        priority=fields.number("priority") or 0,
        key=fields.get("key"),
        submitted_by=about.get("b"),
        submitted_from=about.get("f"),
        rerun_of=about.get("o"),
        workflow=step_task(fields.get("workflow")),
        target=fields.get("target"),
        parent=fields.get("parent"),
        children=_children(fields.get("children")),
    )


def _children(value: str | None) -> tuple[ChildTask, ...]:
    return tuple(ChildTask(*each.split("=")) for each in value.split(" ")) if value else ()


def step_task(value: str | bytes | None) -> StepTask | None:
    """None for nothing and for an empty string."""
    if not value:
        return None
    run, step, attempt, inputs = (value if isinstance(value, str) else value.decode()).split(" ", 3)
    return StepTask(run, step, int(attempt), tuple((name, task_id) for name, task_id in json.loads(inputs)))


@lru_cache(256)
def trigger(about: bytes) -> tuple[str, bool]:
    """By which door the task came, and whether it is a dry run."""
    found = json.loads(about)
    return found["t"], bool(found.get("d"))


def cancel_request(value: str | bytes | None) -> CancelRequest | None:
    """None for nothing and for an empty string."""
    if not value:
        return None
    found = json.loads(value)
    return CancelRequest(by=found["by"], why=found["why"], at=found["at"])


def _runs(fields: _Hash) -> list[tuple[Run, bool]]:
    """The runs, oldest first, each with whether it was dry."""
    status = Status(fields.need("status"))
    newest = int(fields.need("run"))
    runs: list[tuple[Run, bool]] = []
    for number in range(newest + 1):
        ended = fields.ended(number)
        if ended is not None:
            runs.append(_ended(number, ended, fields))
    if status not in FINAL:
        created, worker = fields.number("run_created" if fields.has("run_created") else "created"), fields.get("worker")
        current = Run(
            number=newest,
            status=status,
            worker=worker,
            created_at=created,
            claimed_at=fields.number("claimed") if worker is None or fields.has("claimed") else created,
        )
        runs.append((current, False))
    return runs


def _ended(number: int, value: bytes, fields: _Hash) -> tuple[Run, bool]:
    """A run that has ended. What it has in common with its task, the end of a run does not repeat."""
    found: dict[str, Any] = {_ENDED[short]: entry for short, entry in json.loads(value).items()}
    created = found["created"] if "created" in found else int(fields.need("created"))
    finished = found["finished"] if "finished" in found else int(fields.need("finished"))
    duration_ms, claimed = found.get("duration_ms"), found.get("claimed", created if "worker" in found else None)
    started = None
    if duration_ms is not None and claimed is not None:
        # Two clocks: the worker's stop watch and the store's calendar. It did not start before it was
        # claimed.
        started = max(claimed, finished - duration_ms)
    run = Run(
        number=number,
        status=Status(found["status"]),
        reason=found.get("reason"),
        message=found.get("message", ""),
        worker=found.get("worker"),
        exit_code=found.get("exit_code"),
        signal=found.get("signal"),
        created_at=created,
        claimed_at=claimed,
        started_at=started,
        finished_at=finished,
        duration_ms=duration_ms,
        log_bytes=found.get("log_bytes", 0),
        log_truncated=bool(found.get("log_truncated")),
        log=ShortLog(*found["log"]) if "log" in found else None,
        artifacts=tuple(
            ArtifactRecord(name, size, sha256, content_type, bool(public))
            for name, size, sha256, content_type, public in found.get("artifacts", ())
        ),
        result=found.get("result"),
    )
    return run, bool(found.get("dry_run"))


def shown(value: str) -> Any:
    """The masked payload, or its text where that is no JSON that Python would read."""
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
