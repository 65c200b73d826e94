"""`penstock scripts`: list the scripts, or show one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker.cli.options import json_option, script_argument

if TYPE_CHECKING:
    from engine.plugin import Prepared
    from worker.config import Settings


@click.command("scripts")
@script_argument(required=False)
@json_option("the scripts")
@click.pass_obj
def command(home: Path, script: str | None, as_json: bool) -> int:
    """List the scripts, or show one.

    With the name of a script: all that it declares, and the schema of its payload with the keys of its plugins.

    \b
    Examples:
      penstock scripts
      penstock scripts sign-file
      penstock scripts sign-file --json | jq .schema
    """
    from worker.cli.deployment import script_of
    from worker.cli.terminal import print_json
    from worker.config import load_catalog, load_settings

    settings = load_settings(home)
    catalog = load_catalog(settings)
    if script is not None:
        prepared = script_of(catalog, script)
        whole = {**_summary(prepared, settings), **_details(prepared)}
        print_json(whole) if as_json else _show(whole)
    elif as_json:
        print_json({"scripts": [_summary(prepared, settings) for prepared in catalog]})
    else:
        _list([_summary(prepared, settings) for prepared in catalog])
    return 0


def _summary(prepared: Prepared, settings: Settings) -> dict[str, Any]:
    script = prepared.script
    return {
        "name": script.name,
        "title": script.title,
        "description": script.description,
        "category": script.category,
        "tags": list(script.tags),
        "enabled": script.enabled,
        "queue": script.queue or settings.default_queue,
        "command": list(script.command),
        "file": script.file,
    }


def _details(prepared: Prepared) -> dict[str, Any]:
    """The rest. Of the environment only the names: values may be secrets."""
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


def _list(scripts: list[dict[str, Any]]) -> None:
    from engine.log.text import printable
    from worker.cli.terminal import table

    rows = [
        [s["name"], s["category"] or "-", s["queue"], "yes" if s["enabled"] else "no", printable(s["title"], 60)]
        for s in scripts
    ]
    click.echo(table(["NAME", "CATEGORY", "QUEUE", "ENABLED", "TITLE"], rows, sys.stdout), color=True)


def _show(script: dict[str, Any]) -> None:
    from engine.log.text import printable

    for key, value in script.items():
        if key == "schema" or value in ("", [], None):
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        click.echo(f"{key + ':':<14}{printable(text, 4000)}")
    click.echo("schema:")
    for line in json.dumps(script["schema"], ensure_ascii=False, indent=2).splitlines():
        click.echo(f"  {printable(line, 4000)}")
