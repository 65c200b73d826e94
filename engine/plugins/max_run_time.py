"""maxRunTime: a producer may, must or must not say how long its task may run; never longer than the script says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.plugin import Plugin, Run


class MaxRunTime(Plugin):
    name = "maxRunTime"
    settings_schema = {
        "type": "object",
        "properties": {
            "policy": {
                "enum": ["allow", "require", "forbid"],
                "default": "allow",
                "description": "Whether a payload may carry, must carry or must not carry `maxRunTime`.",
            }
        },
    }

    def payload_keys(self, settings: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        if settings.get("policy") == "forbid":
            # Owned and never valid: a schema with an open root would let it through to the command otherwise.
            return {"maxRunTime": {"not": {}, "description": "Not accepted by this deployment."}}
        return {
            "maxRunTime": {
                "type": "number",
                "exclusiveMinimum": 0,
                "description": "Seconds that the command may run. The script's own limit is the upper bound.",
            }
        }

    def required_keys(self, settings: Mapping[str, Any]) -> frozenset[str]:
        return frozenset({"maxRunTime"}) if settings.get("policy") == "require" else frozenset()

    def before(self, run: Run, part: Mapping[str, Any]) -> None:
        if "maxRunTime" in part:
            wanted = float(part["maxRunTime"])
            run.max_run_time_s = wanted if run.max_run_time_s is None else min(wanted, run.max_run_time_s)
