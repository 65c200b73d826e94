"""The JSON Schema of a workflow: checked when one is read or saved, exported to schemas/."""

from __future__ import annotations

from typing import Any

from engine.schema.keywords import DIALECT
from worker.model.workflow_run import STEPS, WORKFLOW_NAME

# As JSON Schema writes it: Python's end of a text is `$` there.
_NAME = {"type": "string", "pattern": f"^{WORKFLOW_NAME.pattern.removesuffix(chr(92) + 'Z')}$"}
RETRIES = 10
CONDITION_CHARACTERS = 1000

_STEP: dict[str, Any] = {
    "type": "object",
    "required": ["name", "script"],
    "additionalProperties": False,
    "properties": {
        "name": {**_NAME, "description": "The step's name within the workflow; lower-case letters, digits and -."},
        "script": {**_NAME, "description": "The script that it runs."},
        "payload": {
            "type": "object",
            "default": {},
            "description": (
                "The payload. A text that is `${...}` as a whole becomes that value with its type; within a text it "
                "becomes text. `$${` is a literal `${`."
            ),
            "examples": [{"file": "${input.file}", "sha256": "${steps.sum.result.sha256}"}],
        },
        "needs": {
            "type": "array",
            "items": _NAME,
            "uniqueItems": True,
            "maxItems": STEPS,
            "description": (
                "Steps that have to end before. When no step of the workflow has `needs`, each waits for the one "
                "before it; else a step without it begins at once."
            ),
        },
        "when": {
            "type": "string",
            "minLength": 1,
            "maxLength": CONDITION_CHARACTERS,
            "description": "A condition; when it does not hold, the step is skipped.",
            "examples": ["${steps.build.status} == completed and ${input.publish}"],
        },
        "onFailure": {
            "enum": ["stop", "continue"],
            "default": "stop",
            "description": (
                "Whether further steps begin when this one has failed. The workflow has failed in either case."
            ),
        },
        "retries": {
            "type": "integer",
            "minimum": 0,
            "maximum": RETRIES,
            "default": 0,
            "description": "How many further tasks are made of the step when one has failed.",
        },
        "timeout": {
            "type": ["number", "string"],
            "description": "How long each task of the step may take, waiting included. Seconds, or text such as 10m.",
            "examples": ["10m"],
        },
        "inputs": {
            "type": "array",
            "items": _NAME,
            "uniqueItems": True,
            "maxItems": STEPS,
            "description": "Earlier steps whose artifacts the command finds as files below ./inputs/<step>/.",
        },
    },
}

WORKFLOW_SCHEMA: dict[str, Any] = {
    "$schema": DIALECT,
    "title": "Penstock workflow",
    "description": "config/workflows/*.yaml, or a workflow that is saved through the API.",
    "type": "object",
    "required": ["steps"],
    "additionalProperties": False,
    "properties": {
        "title": {"type": "string", "maxLength": 200, "default": "", "description": "A name for people."},
        "description": {"type": "string", "maxLength": 4000, "default": "", "description": "What it does."},
        "tags": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 100},
            "uniqueItems": True,
            "maxItems": 50,
            "default": [],
            "description": "Words to find it by.",
        },
        "enabled": {"type": "boolean", "default": True, "description": "Whether it may be started."},
        "schema": {
            "type": "object",
            "default": {},
            "description": "The JSON Schema (2020-12) of the workflow's own payload; as that of a script.",
        },
        "steps": {
            "type": "array",
            "items": _STEP,
            "minItems": 1,
            "maxItems": STEPS,
            "description": "What it consists of.",
        },
    },
}
