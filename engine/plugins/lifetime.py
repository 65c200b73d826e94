"""lifetime: a worker ends by itself after so many tasks, so many seconds, or so many seconds without a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.outcome import Outcome
from engine.plugin import Host, Plugin, Run


class Lifetime(Plugin):
    name = "lifetime"
    settings_schema = {
        "type": "object",
        "properties": {
            "maxTasks": {
                "type": "integer",
                "minimum": 1,
                "description": "Tasks after which the worker ends.",
            },
            "maxSeconds": {
                "type": "number",
                "exclusiveMinimum": 0,
                "description": "Seconds after which the worker ends.",
            },
            "idleSeconds": {
                "type": "number",
                "exclusiveMinimum": 0,
                "description": "Seconds without a task after which the worker ends.",
            },
        },
    }

    def __init__(self) -> None:
        self._tasks = 0

    def after(self, run: Run, outcome: Outcome) -> None:
        self._tasks += 1
        limit = run.settings[self.name].get("maxTasks")
        if limit is not None and self._tasks >= limit:
            run.host.drain(f"lifetime: {self._tasks} tasks")

    def rest(self, host: Host, settings: Mapping[str, Any], up_s: float, idle_s: float) -> None:
        if up_s >= settings.get("maxSeconds", float("inf")):
            host.drain(f"lifetime: {up_s:.0f} s")
        elif idle_s >= settings.get("idleSeconds", float("inf")):
            host.drain(f"lifetime: {idle_s:.0f} s without a task")
