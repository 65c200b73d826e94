"""stopOnInternalErrors: a worker on which one run after the other breaks takes no further task."""

from __future__ import annotations

from engine.outcome import Outcome
from engine.plugin import Plugin, Run


class StopOnInternalErrors(Plugin):
    name = "stopOnInternalErrors"
    settings_schema = {
        "type": "object",
        "properties": {
            "inARow": {
                "type": "integer",
                "minimum": 1,
                "description": "How many internal errors, without another end between them, stop the worker.",
            }
        },
    }

    def __init__(self) -> None:
        self._in_a_row = 0

    def after(self, run: Run, outcome: Outcome) -> None:
        self._in_a_row = self._in_a_row + 1 if outcome.reason == "internal-error" else 0
        limit = run.settings[self.name].get("inARow")
        if limit is not None and self._in_a_row >= limit:
            run.host.drain(f"{self._in_a_row} internal errors in a row", fatal=True)
