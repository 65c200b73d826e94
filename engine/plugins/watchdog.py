"""watchdog: ends a command that has written nothing for too long. Off until it is given a time."""

from __future__ import annotations

from engine.plugin import Plugin, Run


class Watchdog(Plugin):
    name = "watchdog"
    settings_schema = {
        "type": "object",
        "properties": {
            "maxSilence": {
                "type": "number",
                "exclusiveMinimum": 0,
                "description": "Seconds without a byte on stdout or stderr after which the run ends as `timeout`.",
            }
        },
    }

    def tick(self, run: Run, now_s: float) -> None:
        limit = run.settings[self.name].get("maxSilence")
        if limit is not None and now_s - max(run.last_output_at_s, run.started_at_s) >= limit:
            run.abort.request("timeout", "no-output", f"no output for {limit:g} s")
