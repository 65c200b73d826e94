"""dryRun: a producer asks for a run that changes nothing; the command hears it as DRY_RUN=true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.plugin import Plugin, Run


class DryRun(Plugin):
    """What a dry run leaves undone is the script's to know. One that knows nothing of it switches the plugin off."""

    name = "dryRun"
    settings_schema = {"type": "object"}

    def payload_keys(self, settings: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        return {"dryRun": {"type": "boolean", "description": "True: the command gets DRY_RUN=true."}}

    def before(self, run: Run, part: Mapping[str, Any]) -> None:
        if part.get("dryRun"):
            run.dry_run = True
            run.env["DRY_RUN"] = "true"
            run.log.say("dry run: the command gets DRY_RUN=true")
