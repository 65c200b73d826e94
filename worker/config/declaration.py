"""The JSON Schema of config/penstock.yaml; checked when it is read, exported to schemas/, shown in the reference."""

from __future__ import annotations

from typing import Any

from worker.model.access import SCOPE
from worker.model.api_key import ROLE_NAME
from worker.model.command import ARGUMENTS
from worker.model.fact import FACT_CHARS, FACT_NAME
from worker.model.worker import LABEL, LABELS_MOST

_DURATION = {
    "oneOf": [
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"},
    ],
}
_SIZE = {"type": ["integer", "string"], "minimum": 0}
_QUEUE = {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"}


# As JSON Schema writes it: Python's end of a text is `$` there.
_SCOPE = {"type": "string", "maxLength": 200, "pattern": f"^{SCOPE.pattern.removesuffix(chr(92) + 'Z')}$"}
_ROLE = f"^{ROLE_NAME.pattern.removesuffix(chr(92) + 'Z')}$"
_TEXT = {"type": "string", "minLength": 1, "maxLength": 500}
_ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
]

_AUTH: dict[str, Any] = {
    "type": "object",
    "description": "Who is known to the API besides the holders of API keys, which are kept in the store.",
    "additionalProperties": False,
    "properties": {
        "jwt": {
            "type": "object",
            "description": "Tokens of one issuer (JWT, signed). Without it none is accepted.",
            "additionalProperties": False,
            "required": ["issuer", "audience"],
            "properties": {
                "issuer": {**_TEXT, "description": "What their `iss` has to be."},
                "audience": {**_TEXT, "description": "What their `aud` has to be, or to contain."},
                "keyFile": {
                    **_TEXT,
                    "description": "One public key in PEM; relative to the deployment. Read again when it changes.",
                },
                "jwksFile": {
                    **_TEXT,
                    "description": "Instead: public keys as JWKS, each with a `kid`. Read again when it changes.",
                },
                "algorithms": {
                    "type": "array",
                    "minItems": 1,
                    "uniqueItems": True,
                    "items": {"enum": _ALGORITHMS},
                    "description": "Which of those that fit the key are allowed. Default: all of them.",
                },
            },
        },
        "basic": {
            "type": "object",
            "description": "One admin with a password (HTTP Basic), to begin with. Without it none is accepted.",
            "additionalProperties": False,
            "required": ["user", "passwordHashFile"],
            "properties": {
                "user": {
                    "type": "string",
                    "pattern": r"^[^:\x00-\x1f\x7f]{1,100}$",
                    "description": "The name; a colon cannot be part of it.",
                },
                "passwordHashFile": {
                    **_TEXT,
                    "description": (
                        "What `penstock keys hash-password` printed, in a file; relative to the deployment."
                    ),
                },
            },
        },
        "roles": {
            "type": "object",
            "description": "Own roles: the scopes of each. admin, operator and reader are built in.",
            "propertyNames": {"pattern": _ROLE},
            "additionalProperties": {"type": "array", "uniqueItems": True, "items": _SCOPE},
            "examples": [{"release": ["scripts:execute:sign-file", "tasks:read", "scripts:read:sign-file"]}],
        },
    },
}

_FOLDERS: dict[str, Any] = {
    "type": "array",
    "uniqueItems": True,
    "maxItems": 200,
    "items": {"type": "string", "maxLength": 1000, "pattern": r"^/[^\x00]*$"},
}
_PROGRAM: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["path"],
    "properties": {
        "path": {"type": "string", "maxLength": 1000, "pattern": r"^/[^\x00]*$", "description": "Absolute."},
        "args": {
            "type": ["array", "object"],
            "maxItems": ARGUMENTS,
            "items": {"type": "object"},
            "description": (
                "One JSON Schema for each argument, all of which have to be there; or one of the list, by prefixItems, "
                "items, minItems, maxItems and uniqueItems. Default: no arguments."
            ),
        },
        "cwd": {**_FOLDERS, "description": "Where it may work instead of `commandFolders`."},
    },
}


def _server(what: str, variable: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": what,
        "additionalProperties": False,
        "properties": {
            "url": {"type": "string", "description": f"Its URL. {variable} in the environment comes first."},
            "urlFile": {
                "type": "string",
                "description": "A file that holds the URL, for one with a password; relative to the deployment.",
            },
        },
    }


SETTINGS_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Penstock settings",
    "description": "config/penstock.yaml of a deployment. Every key has a default; an empty file is valid.",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "stateDir": {
            "type": "string",
            "minLength": 1,
            "default": ".penstock",
            "description": "Where the embedded store, artifacts and work folders live; relative to the deployment.",
        },
        "broker": _server(
            "The message broker: Redis, Valkey or RabbitMQ. None: the embedded store.", "PENSTOCK_BROKER_URL"
        ),
        "store": _server(
            "The Redis or Valkey that keeps the records. Default: the broker, when that is one.",
            "PENSTOCK_STORE_URL",
        ),
        "queue": {**_QUEUE, "default": "penstock", "description": "The queue of scripts that name none."},
        "queues": {
            "type": "object",
            "description": "What else than Celery's messages a queue may hold, by the queue's name.",
            "propertyNames": {"pattern": _QUEUE["pattern"]},
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["plain"],
                "properties": {
                    "plain": {
                        "type": "string",
                        "minLength": 1,
                        "description": "A JSON document in it that is no message is a task of this script.",
                    },
                },
            },
            "examples": [{"uploads": {"plain": "scan-upload"}}],
        },
        "worker": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "name": {
                    "type": "string",
                    "description": (
                        "The worker's name, which no other that lives may have; default: the host's. "
                        "PENSTOCK_WORKER_NAME comes first."
                    ),
                },
                "concurrency": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 512,
                    "default": 8,
                    "description": "How many commands run at a time.",
                },
                "queues": {
                    "type": "array",
                    "items": _QUEUE,
                    "minItems": 1,
                    "uniqueItems": True,
                    "description": "What to consume. Default: the queues of the enabled scripts.",
                },
                "lease": {
                    **_DURATION,
                    "default": "15s",
                    "description": "How long a claim on a run holds without being renewed.",
                },
                "shutdownGrace": {
                    **_DURATION,
                    "default": "30s",
                    "description": "How long running commands may go on after SIGTERM.",
                },
                "allowInlineBodies": {
                    "type": "boolean",
                    "default": False,
                    "description": "Whether it runs registered scripts that are a body and no file, if approved.",
                },
                "approvalKeyFile": {
                    **_TEXT,
                    "description": (
                        "The public key (PEM) of who approves registered scripts; relative to the deployment. Without "
                        "it only config/allow.yaml admits any."
                    ),
                },
                "labels": {
                    "type": "array",
                    "maxItems": LABELS_MOST,
                    "uniqueItems": True,
                    "items": {"type": "string", "maxLength": 200, "pattern": f"^{LABEL.pattern[:-2]}$"},
                    "description": "What tasks may be addressed to, as key=value; values are hierarchical by dots.",
                    "examples": [["group=web.dev", "os=debian"]],
                },
                "programs": {
                    "type": "object",
                    "description": (
                        "What `exec` may start here, by its name. None: `exec` is off. Each argument has a schema; one "
                        "that begins with - is let in only where `enum`, `const` or a `pattern` that begins with ^- "
                        "says so."
                    ),
                    "propertyNames": {"pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$"},
                    "maxProperties": 200,
                    "additionalProperties": _PROGRAM,
                    "examples": [
                        {
                            "uptime": {"path": "/usr/bin/uptime", "args": {"items": {"enum": ["-p", "-s"]}}},
                            "unit": {
                                "path": "/usr/bin/systemctl",
                                "args": [{"enum": ["status", "restart"]}, {"pattern": r"^[a-z0-9@.-]+\.service$"}],
                            },
                        }
                    ],
                },
                "allowArbitraryShell": {
                    "type": "boolean",
                    "default": False,
                    "description": "Whether `shell` runs any text with /bin/sh here, as the user of the worker.",
                },
                "commandFolders": {
                    **_FOLDERS,
                    "description": "Where `exec` and `shell` may work, besides the folder of the run.",
                },
                "facts": {
                    "type": "object",
                    "description": "What a payload may name as ${worker.fact.NAME}, for scripts with `facts: true`.",
                    "maxProperties": 100,
                    "propertyNames": {"pattern": f"^{FACT_NAME}$"},
                    "additionalProperties": {"type": "string", "maxLength": FACT_CHARS, "pattern": r"^[^\x00]*$"},
                    "examples": [{"site": "berlin", "rack": "r12"}],
                },
                "beat": {
                    **_DURATION,
                    "default": "5s",
                    "description": "How often it says that it lives. After two missed beats it is offline.",
                },
                "minFreeMemory": {
                    "type": ["integer", "string"],
                    "minimum": 0,
                    "default": "64 MiB",
                    "description": (
                        "Nothing is taken while less memory than this can be had, on the host or in the container. "
                        "Bytes, or text such as 500MB, 1 GiB; 0 for never mind."
                    ),
                },
                "minFreeDisk": {
                    "type": ["integer", "string"],
                    "minimum": 0,
                    "default": "256 MiB",
                    "description": (
                        "Nothing is taken while the file system of stateDir has less room than this. Bytes, or text "
                        "such as 500MB, 1 GiB; 0 for never mind."
                    ),
                },
            },
        },
        "targets": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "startWithin": {
                    **_DURATION,
                    "default": "5m",
                    "description": "What is for certain workers and is not started so long after it was due ends as "
                    "no-answer.",
                },
            },
        },
        "retention": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "age": {
                    **_DURATION,
                    "default": "30d",
                    "description": "Finished tasks older than this are removed.",
                },
                "count": {
                    "type": "integer",
                    "minimum": 0,
                    "default": 100_000,
                    "description": "More finished tasks than this are removed, the oldest first.",
                },
            },
        },
        "log": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "format": {
                    "enum": ["auto", "console", "json"],
                    "default": "auto",
                    "description": "How the worker itself logs; auto: readable on a terminal, JSON otherwise.",
                },
                "level": {"enum": ["debug", "info", "warning", "error"], "default": "info"},
                "file": {
                    **_TEXT,
                    "description": "Where a worker's own log goes besides stderr; {name} is the worker's name. "
                    "Relative to the deployment.",
                },
                "fileSize": {
                    **_SIZE,
                    "default": "10MiB",
                    "description": "When it is that large it is turned over, and compressed.",
                },
                "filesKept": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 1000,
                    "default": 5,
                    "description": "So many compressed ones stay.",
                },
            },
        },
        "auth": _AUTH,
        "secrets": {
            "type": "object",
            "description": "How secrets in the payloads of schedules are encrypted at rest.",
            "additionalProperties": False,
            "required": ["keyFile"],
            "properties": {
                "keyFile": {
                    "type": "string",
                    "minLength": 1,
                    "description": "The file with their keys, mode 0600, `secrets.key` in stateDir unless named. Made "
                    "when it is needed first; every host with an API or a beat needs the same.",
                },
            },
        },
        "audit": {
            "type": "object",
            "description": "The record of who did what. About 300 bytes for each entry.",
            "additionalProperties": False,
            "properties": {
                "entries": {
                    "type": "integer",
                    "minimum": 1000,
                    "default": 100_000,
                    "description": "About so many are kept of what was done or failed, the newest.",
                },
                "refused": {
                    "type": "integer",
                    "minimum": 1000,
                    "default": 20_000,
                    "description": "About so many are kept of what was refused, the newest.",
                },
            },
        },
        "api": {
            "type": "object",
            "description": "The HTTP API, which `penstock api` and `penstock up` serve.",
            "additionalProperties": False,
            "properties": {
                "host": {
                    "type": "string",
                    "pattern": r"^[A-Za-z0-9.:_-]{1,253}$",
                    "default": "127.0.0.1",
                    "description": "The address to listen on. Put a proxy that speaks TLS before any but this.",
                },
                "port": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 65535,
                    "default": 8765,
                    "description": (
                        "The port; 0 for any free one. When none is named and 8765 is taken, `penstock up` takes a "
                        "free one."
                    ),
                },
                "maxBody": {**_SIZE, "default": "1 MiB", "description": "The largest body of a request."},
                "bodyTimeout": {
                    **_DURATION,
                    "default": "10s",
                    "description": "By when the whole body of a request must have come.",
                },
                "maxWait": {
                    **_DURATION,
                    "default": "25s",
                    "description": "The longest that `execute` waits for the end of a task.",
                },
                "maxOutput": {
                    **_SIZE,
                    "default": "1 MiB",
                    "description": "So much of a log is in the answers below `/executions`.",
                },
                "rateLimit": {
                    "type": "string",
                    "minLength": 1,
                    "default": "200/s",
                    "description": "How many requests one caller may send, such as 200/s, 1000/m; `none`: no limit.",
                },
                "folders": {
                    "type": "object",
                    "description": (
                        "Folders of this host whose text files `GET /files` reads, by the name that files are asked "
                        "for with; relative to the deployment. None: it reads nothing."
                    ),
                    "maxProperties": 100,
                    "propertyNames": {"pattern": "^[A-Za-z0-9_-]{1,63}$"},
                    "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 1000},
                    "examples": [{"reports": "/srv/reports"}],
                },
                "maxFile": {
                    "type": ["integer", "string"],
                    "minimum": 1,
                    "default": "1 MiB",
                    "description": "The largest file that `GET /files` reads.",
                },
                "origins": {
                    "type": "array",
                    "items": {"type": "string", "pattern": r"^https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$"},
                    "uniqueItems": True,
                    "description": "Origins whose pages may call the API (CORS). Default: none.",
                },
            },
        },
        "webhooks": {
            "type": "array",
            "maxItems": 50,
            "description": "Who is told of tasks that have ended, by an HTTP POST that the API server sends.",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "secretFile"],
                "oneOf": [{"required": ["url"]}, {"required": ["urlFile"]}],
                "properties": {
                    "name": {
                        "type": "string",
                        "pattern": "^[a-z0-9][a-z0-9-]{0,62}$",
                        "description": "In logs and metrics. What waits is delivered under its name.",
                    },
                    "url": {"type": "string", "minLength": 1, "maxLength": 2000},
                    "urlFile": {
                        "type": "string",
                        "minLength": 1,
                        "description": "A file with the URL, for one with a password; relative to the deployment.",
                    },
                    "secretFile": {
                        "type": "string",
                        "minLength": 1,
                        "description": (
                            "A file with the secret of the signature, at least 16 bytes; one more in each further line "
                            "while it is replaced. Relative to the deployment."
                        ),
                    },
                    "scripts": {
                        "type": "array",
                        "items": {"type": "string"},
                        "minItems": 1,
                        "uniqueItems": True,
                        "description": "Only of these. Default: of all.",
                    },
                    "statuses": {
                        "type": "array",
                        "items": {"enum": ["completed", "partial", "failed", "exception", "timeout", "cancelled"]},
                        "minItems": 1,
                        "uniqueItems": True,
                        "description": "Only with these. Default: with any.",
                    },
                    "timeout": {**_DURATION, "default": "10s", "description": "By when the receiver has to answer."},
                },
            },
            "default": [],
            "examples": [
                [
                    {
                        "name": "chat",
                        "url": "https://chat.example/hooks/42",
                        "secretFile": "config/chat.secret",
                        "scripts": ["backup-sqlite"],
                        "statuses": ["failed", "exception", "timeout"],
                    }
                ]
            ],
        },
        "plugins": {
            "type": "object",
            "description": "Settings of plugins by name, for all scripts; a script's own lie over them.",
            "properties": {
                "disabled": {
                    "type": "array",
                    "items": {"type": "string"},
                    "uniqueItems": True,
                    "description": "Plugins that are off.",
                }
            },
            "additionalProperties": {"type": "object"},
        },
    },
}
