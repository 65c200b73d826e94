"""Script document: a declared script as the JSON that `scripts` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.plugin import Prepared


def script_summary(prepared: Prepared, default_queue: str) -> dict[str, Any]:
    script = prepared.script
    return {
        "name": script.name,
        "title": script.title,
        "description": script.description,
        "category": script.category,
        "tags": list(script.tags),
        "enabled": script.enabled,
        "queue": script.queue or default_queue,
        "command": list(script.command),
        "file": script.file,
    }


def script_details(prepared: Prepared) -> dict[str, Any]:
    """What `scripts SCRIPT` shows besides. Of the environment only the names: values may be secrets."""
    from engine.script import Retention

    script = prepared.script
    limits, kept = script.limits, script.retention or Retention()
    return {
        "exitCodes": script.exit_codes.name,
        "maxRunTimeS": script.max_run_time_s,
        "killGraceS": script.kill_grace_s,
        "idempotent": script.idempotent,
        "retries": script.retries,
        "retryOn": list(script.retry_on),
        "retryDelayS": script.retry_delay_s,
        "concurrency": script.concurrency,
        "rateLimit": {"count": script.rate_limit[0], "perS": script.rate_limit[1]} if script.rate_limit else None,
        "retention": {"ageS": kept.age_s, "count": kept.count},
        "allowedScopes": list(script.allowed_scopes),
        "env": sorted(script.env),
        "limits": {
            "payloadBytes": limits.payload_bytes,
            "logBytes": limits.log_bytes,
            "artifactCount": limits.artifact_count,
            "artifactBytes": limits.artifact_bytes,
            "artifactTotalBytes": limits.artifact_total_bytes,
        },
        "plugins": [plugin.name for plugin in prepared.plugins],
        "schema": prepared.schema.document,
    }
