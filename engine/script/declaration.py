"""The JSON Schema of a script file: checked when one is read, exported to schemas/, shown in the reference."""

from __future__ import annotations

from typing import Any

from engine.exits import MEANINGS, PRESETS
from engine.schema.keywords import DIALECT

# An argument of a new program is no longer on Linux (MAX_ARG_STRLEN: 32 pages, with its NUL).
_ARGUMENT_CHARS = 131_071
_NO_NUL = r"^[^\x00]*$"
# A resource and a verb or more; no `*`, because this is what somebody has to hold, not what they hold.
SCOPE = "^[a-z][a-zA-Z0-9_-]*(:[A-Za-z0-9_.-]+)*$"
_QUEUE = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
VARIABLE = "^[A-Za-z_][A-Za-z0-9_]*$"
# Ends that the command itself, or what it left, is to blame for; nobody but its author knows whether to try again.
RETRY_REASONS = ("exit-code", "malformed-payload", "internal-error", "max-run-time", "no-output", "artifact-error")

_MEANING = {"enum": list(MEANINGS)}


def _duration(description: str, *types: str, default: str) -> dict[str, Any]:
    return {
        "description": f"{description} A number of seconds, or text such as 90s, 10m, 1h30m, 250ms.",
        "type": ["number", "string", *types],
        "minimum": 0,
        "default": default,
        "examples": [90, "10m", "1h30m"],
    }


def _size(description: str, default: str) -> dict[str, Any]:
    return {
        "description": f"{description} Bytes, or text: 64k and 10MB count by 1000, 64Ki and 10 MiB by 1024.",
        "type": ["integer", "string"],
        "minimum": 0,
        "default": default,
        "examples": [4096, "10 MiB"],
    }


_FROM_PAYLOAD = {
    "type": "object",
    "required": ["fromPayload"],
    "additionalProperties": False,
    "properties": {
        "fromPayload": {
            "description": (
                "A JSON Pointer that starts at a declared property of the schema. A string is handed over "
                "as it is, a number or boolean as JSON; an absent value leaves the variable unset."
            ),
            "type": "string",
            "minLength": 2,
            "format": "json-pointer",
        }
    },
}

_OPTION = {"type": ["string", "number"], "maxLength": 500}
_PARAMETER: dict[str, Any] = {
    "type": "object",
    "required": ["name", "type"],
    "additionalProperties": False,
    "properties": {
        "name": {
            "description": "The member of the payload; with `as: env` the variable, too.",
            "type": "string",
            "pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,62}$",
        },
        "label": {"description": "What a form calls it.", "type": "string", "maxLength": 200},
        "description": {"type": "string", "maxLength": 2000},
        "type": {
            "description": "A password is masked wherever a payload is kept or shown.",
            "enum": ["text", "password", "number", "boolean", "select"],
        },
        "required": {
            "description": "Whether it has to be there; a text or password then is not empty.",
            "type": "boolean",
            "default": False,
        },
        "default": {
            "description": "What it is when a payload leaves it out; filled in before the payload is checked.",
            "type": ["string", "number", "boolean"],
        },
        "options": {
            "description": "The values that it may have; of a select needed, of a text or number possible.",
            "type": "array",
            "minItems": 1,
            "maxItems": 1000,
            "items": {
                "anyOf": [
                    _OPTION,
                    {
                        "type": "object",
                        "required": ["value"],
                        "additionalProperties": False,
                        "properties": {"value": _OPTION, "label": {"type": "string", "maxLength": 200}},
                    },
                ]
            },
        },
        "validation": {
            "description": "A pattern that the whole text has to fit, or bounds.",
            "anyOf": [
                {"type": "string", "maxLength": 1000},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "pattern": {"type": "string", "maxLength": 1000},
                        "minLength": {"type": "integer", "minimum": 0},
                        "maxLength": {"type": "integer", "minimum": 0},
                        "min": {"type": "number"},
                        "max": {"type": "number"},
                        "integer": {"type": "boolean"},
                    },
                },
            ],
        },
        "as": {
            "description": "`env`: the command gets it as a variable of that name, besides stdin.",
            "enum": ["env", "stdin"],
            "default": "stdin",
        },
    },
}

_RUN: dict[str, Any] = {
    "command": {
        "description": (
            "The argv of the fixed command. A relative path is relative to the deployment folder; a bare "
            "name is looked up once, beside the interpreter that runs Penstock and on PATH, when the "
            "worker starts."
        ),
        "type": "array",
        "minItems": 1,
        "maxItems": 256,
        "items": {"type": "string", "minLength": 1, "maxLength": _ARGUMENT_CHARS, "pattern": _NO_NUL},
        "examples": [["python3", "scripts/sign-file.py"]],
    },
    "schema": {
        "description": (
            "The JSON Schema (2020-12) of the payload. Its root is an object, and closed when it is silent "
            "on further properties. Formats are asserted; references stay inside the document. This or `parameters`."
        ),
        "type": "object",
    },
    "parameters": {
        "description": (
            "Instead of `schema`: a list of what the payload may hold. It becomes a closed schema, in which patterns "
            "fit the whole text."
        ),
        "type": "array",
        "maxItems": 200,
        "items": _PARAMETER,
        "examples": [[{"name": "target", "type": "select", "options": ["staging", "production"], "required": True}]],
    },
    "dryRunCommand": {
        "description": "Arguments that follow those of `command` in a dry run, besides DRY_RUN=true.",
        "type": "array",
        "maxItems": 256,
        "items": {"type": "string", "maxLength": _ARGUMENT_CHARS, "pattern": _NO_NUL},
        "examples": [["--check", "--no-write"]],
    },
    "env": {
        "description": (
            "Variables of the command besides TASK_ID and RUN_ID. A text is taken literally; "
            "`{fromPayload: /pointer}` hands over a value of the payload. Nothing is inherited."
        ),
        "type": "object",
        "propertyNames": {"pattern": VARIABLE, "maxLength": 255},
        "additionalProperties": {"anyOf": [{"type": "string", "pattern": _NO_NUL}, _FROM_PAYLOAD]},
        "examples": [{"SIGN_ROOT": "data", "VERBOSE": {"fromPayload": "/verbose"}}],
    },
    "exitCodes": {
        "description": (
            "What the exit codes of the command mean: a preset, or a map from code to meaning. In a map, 0 "
            "is completed unless it is named; `other` is for every code that is not named, and is "
            "internal-error when it is absent."
        ),
        "type": ["string", "object"],
        "if": {"type": "string"},
        "then": {"enum": list(PRESETS)},
        "else": {
            "properties": {"other": _MEANING},
            "patternProperties": {"^([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])$": _MEANING},
            "additionalProperties": False,
        },
        "default": "declarative",
        "examples": ["plain", {"0": "completed", "75": "internal-error", "other": "failed"}],
    },
    "maxRunTime": _duration("The longest that a run may take; null or `unlimited` for no limit.", "null", default="1h"),
    "killGrace": _duration(
        "How long the command has between SIGTERM and SIGKILL; 0 for SIGKILL at once.", default="5s"
    ),
    "limits": {
        "description": "Bounds of one run.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "payloadBytes": _size("The largest payload.", "1 MiB"),
            "logBytes": _size("The largest log; more is drained, counted and not kept.", "64 MiB"),
            "artifactCount": {
                "description": "The most files below ./artifacts/.",
                "type": "integer",
                "minimum": 0,
                "maximum": 1_000_000,
                "default": 1000,
            },
            "artifactBytes": _size("The largest artifact.", "1 GiB"),
            "artifactTotalBytes": _size("All artifacts of a run together.", "4 GiB"),
        },
    },
    "queue": {
        "description": "The queue that its tasks go to; the deployment's default when absent.",
        "type": "string",
        "pattern": _QUEUE,
    },
    "idempotent": {
        "description": (
            "Whether it does no harm when a run that may have begun is repeated. If not, nothing is ever run twice "
            "unless `retries` says so."
        ),
        "type": "boolean",
        "default": True,
    },
    "retries": {
        "description": (
            "Further runs after a failure that is not the command's (a worker that was stopped or lost, a missing "
            "resource), or that `retryOn` names. Default: 2, or 0 when `idempotent` is false."
        ),
        "type": "integer",
        "minimum": 0,
        "maximum": 100,
    },
    "retryOn": {
        "description": "Reasons of the command's own after which it is run again, too, as often as `retries` say.",
        "type": "array",
        "uniqueItems": True,
        "items": {"enum": list(RETRY_REASONS)},
        "default": [],
        "examples": [["exit-code", "max-run-time"]],
    },
    "retryDelay": _duration(
        "The pause before a run that `retryOn` asks for; doubled each time, at most 5 minutes.", default="1s"
    ),
    "concurrency": {
        "description": "How many runs of it there may be at a time, in all workers together; no limit when absent.",
        "type": "integer",
        "minimum": 1,
        "maximum": 100_000,
    },
    "rateLimit": {
        "description": (
            "How many runs of it may start in a time, in all workers together: a number, a slash and s, m, h or d, "
            "or a duration; no limit when absent."
        ),
        "type": "string",
        "examples": ["10/m", "1/30s"],
    },
    "retention": {
        "description": (
            "How long finished tasks of it are kept, with logs and artifacts; what is absent is as in the settings."
        ),
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {
            "age": {
                "description": "Those older than this are removed. Seconds, or text such as 12h, 90d.",
                "type": ["number", "string"],
                "minimum": 0,
                "examples": ["90d"],
            },
            "count": {
                "description": "More than this are removed, the oldest first.",
                "type": "integer",
                "minimum": 0,
                "maximum": 100_000_000,
            },
        },
    },
    "allowedScopes": {
        "description": (
            "Besides `scripts:execute` for it, one of these scopes is needed to run it. A message that was enqueued "
            "without Penstock has none, and is refused."
        ),
        "type": "array",
        "minItems": 1,
        "maxItems": 50,
        "uniqueItems": True,
        "items": {"type": "string", "maxLength": 200, "pattern": SCOPE},
        "examples": [["release:sign", "deploy:production"]],
    },
    "facts": {
        "description": (
            "Whether texts of a payload may name what the worker knows of itself: ${worker.hostname}, ${worker.name}, "
            "${worker.label.group}, ${worker.fact.NAME}. It is put in on the worker, after the check, for stdin only, "
            "and then checked again."
        ),
        "type": "boolean",
        "default": False,
    },
    "enabled": {"description": "Whether tasks of it are taken and run.", "type": "boolean", "default": True},
    "plugins": {
        "description": "Plugins that are switched off by name, and the settings of others by plugin name.",
        "type": "object",
        "properties": {
            "disabled": {
                "description": "Names of plugins that take no part in runs of this script.",
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": 100},
            }
        },
        "additionalProperties": {"type": "object"},
        "examples": [{"disabled": ["watchdog"], "maxRunTime": {"policy": "require"}}],
    },
}

_SHOWN: dict[str, Any] = {
    "title": {"description": "What people read in lists.", "type": "string", "maxLength": 200},
    "description": {"description": "What it does, for people.", "type": "string", "maxLength": 20_000},
    "category": {"description": "A heading for lists.", "type": "string", "maxLength": 100},
    "tags": {
        "description": "Words to find it by.",
        "type": "array",
        "maxItems": 50,
        "uniqueItems": True,
        "items": {"type": "string", "minLength": 1, "maxLength": 100},
    },
}

SCRIPT_SCHEMA: dict[str, Any] = {
    "$schema": DIALECT,
    "title": "Penstock script",
    "description": "config/scripts/*.yaml: one script of a deployment, a fixed command and its schema.",
    "type": "object",
    "required": ["command"],
    "additionalProperties": False,
    "properties": {**_RUN, **_SHOWN},
}
