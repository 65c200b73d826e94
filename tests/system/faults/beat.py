"""Beat: stock Celery beat with a schedule of ours, that keeps a producer's history of what it sent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import celery
from celery.beat import PersistentScheduler

from tests.system.faults.history import ACCEPTED, TRIED, append

# Two entries: every tick is a task of its own, and all ticks of all beats are one task.
ONE = "only-one"


class Scheduler(PersistentScheduler):  # type: ignore[misc]
    def apply_async(self, entry: Any, *args: Any, **kwargs: Any) -> Any:
        history = Path(os.environ["BEAT_HISTORY"])
        task_id = entry.options.get("task_id") or celery.utils.uuid()
        append(history, TRIED, task_id)
        entry = entry.__class__(**{**dict(entry), "app": self.app, "options": {**entry.options, "task_id": task_id}})
        sent = super().apply_async(entry, *args, **kwargs)
        append(history, ACCEPTED, sent.id)
        return sent


app = celery.Celery("beat", broker=os.environ.get("BEAT_BROKER"))
_OPTIONS = {"queue": "penstock", "retry": False}
app.conf.update(
    timezone="UTC",
    beat_schedule={
        "tick": {"task": "penstock.quick", "schedule": 0.5, "kwargs": {"n": 1}, "options": _OPTIONS},
        "one": {"task": "penstock.once", "schedule": 0.7, "kwargs": {"n": 2}, "options": {**_OPTIONS, "task_id": ONE}},
    },
)
