"""The JSON Schema of a schedule, in a file and over the API; exported to schemas/, shown in the reference."""

from __future__ import annotations

from typing import Any

from worker.model.schedule import CATCH_UPS, CAUGHT_UP, MOST_CAUGHT_UP, OVERLAPS
from worker.model.target import MOST_LABELS
from worker.schedules.cron import MAX_CHARACTERS

_MOMENT = {"type": "string", "minLength": 1, "maxLength": 64}

SCHEDULE_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Penstock schedule",
    "description": "A file config/schedules/<name>.yaml, or the body of a call of the API.",
    "type": "object",
    "additionalProperties": False,
    "required": ["cronExpression"],
    "properties": {
        "script": {"type": "string", "maxLength": 63, "description": "What is run; either this or `workflow`."},
        "workflow": {"type": "string", "maxLength": 63, "description": "What is run; either this or `script`."},
        "cronExpression": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_CHARACTERS,
            "description": "Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, "
            "@yearly.",
        },
        "timezone": {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "default": "UTC",
            "description": "Whose clock the expression means, by its IANA name, such as Europe/Berlin.",
        },
        "payload": {"type": "object", "description": "What the script is given; checked against its schema."},
        "enabled": {"type": "boolean", "default": True, "description": "false: it is never due."},
        "overlap": {
            "enum": list(OVERLAPS),
            "default": "skip",
            "description": "What becomes of a slot while the task of an earlier one has not ended: it is skipped, one "
            "waits, or both run.",
        },
        "catchUp": {
            "enum": list(CATCH_UPS),
            "default": "none",
            "description": "Which slots are made up for that passed, by more than a minute, while no beat ran.",
        },
        "catchUpLimit": {
            "type": "integer",
            "minimum": 1,
            "maximum": MOST_CAUGHT_UP,
            "default": CAUGHT_UP,
            "description": "With `catchUp: all` so many are made up for, the newest.",
        },
        "jitter": {
            "type": ["number", "string"],
            "default": 0,
            "description": "A task starts up to so long after its slot, as 30s, 5m; at most a day. The same slot "
            "always by the same time.",
        },
        "startAt": {
            **_MOMENT,
            "description": "No slot is before this ISO 8601 time; by the clock of `timezone` when it has no offset.",
        },
        "endAt": {**_MOMENT, "description": "No slot is after this."},
        "description": {"type": "string", "maxLength": 2000, "default": "", "description": "What it is for."},
        "tags": {
            "type": "array",
            "maxItems": 19,
            "uniqueItems": True,
            "items": {"type": "string", "minLength": 1, "maxLength": 100},
            "description": "Tags of its tasks, which get `schedule:<name>` as well.",
        },
        "target": {
            "type": ["string", "array"],
            "maxLength": 300,
            "minItems": 1,
            "maxItems": MOST_LABELS,
            "items": {"type": "string", "maxLength": 300},
            "description": "For whom its tasks are: `_any`, a worker's name, labels as `group:web`, or `_all`; whom "
            "that means is seen at each slot. Not of a workflow.",
        },
    },
}
