"""Document schema: JSON Schemas of what `--json` prints; exported to schemas/, compared with real output by tests."""

from __future__ import annotations

from typing import Any

from worker.model.answers import CancelOutcome
from worker.model.api_key import KEY_ID
from worker.model.audit import RESULTS
from worker.model.schedule import CATCH_UPS, OVERLAPS
from worker.model.status import FINAL, Status
from worker.model.task import TASK_ID
from worker.model.worker import WorkerState
from worker.model.workflow_run import StepStatus, WorkflowStatus

# How Python writes the end of a text, which is $ in JSON Schema.
_END = r"\Z"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}


def _object(properties: dict[str, Any], description: str = "") -> dict[str, Any]:
    """Every member is always there; what is absent is null."""
    told = {"description": description} if description else {}
    return {
        **told,
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }


def _document(title: str, description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": _DIALECT, "title": title, **_object(properties, description)}


def _nullable(kind: str, description: str) -> dict[str, Any]:
    return {"type": [kind, "null"], "description": description}


def _time(description: str) -> dict[str, Any]:
    return {**_nullable("string", f"{description} UTC, with milliseconds."), "format": "date-time"}


_ARTIFACTS: dict[str, Any] = {
    "type": "array",
    "items": _object(
        {
            "name": {"type": "string", "description": "Relative to the artifacts folder of the run."},
            "size": {**_COUNT, "description": "Bytes."},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "contentType": {"type": "string", "description": "By the extension of the name alone."},
            "public": {"type": "boolean", "description": "It stood below public/."},
        }
    ),
}
_TASK: dict[str, Any] = {
    "taskId": {"type": "string", "pattern": f"^{TASK_ID.pattern.removesuffix(_END)}$"},
    "runId": {**_COUNT, "description": "The number of the run, from 0."},
    "script": {"type": "string"},
}


def _run(statuses: list[str]) -> dict[str, Any]:
    return {
        "status": {"enum": statuses},
        "reason": _nullable("string", "Why, where the status is not completed."),
        "message": _nullable("string", "One line for people."),
        "exitCode": _nullable("integer", "How the command ended; null when a signal ended it or it never started."),
        "signal": _nullable("integer", "The number of the signal that ended the command."),
        "durationMs": _nullable("integer", "From the check of the payload to the stored artifacts."),
        "logBytes": {**_COUNT, "description": "The size of the log that is kept."},
        "logTruncated": {"type": "boolean", "description": "More was written than limits.logBytes allows."},
        "artifacts": _ARTIFACTS,
    }


_ANY_STATUS = [status.value for status in Status]
_ABOUT: dict[str, Any] = {
    "queue": {"type": "string"},
    "trigger": {"type": "string", "description": "cli, or celery for a message that was enqueued without Penstock."},
    "worker": _nullable("string", "The worker of the newest run, or the one that alone may run it."),
    "target": _nullable("string", "For whom it was submitted: a name, labels, _all; null: for any worker."),
    "parent": _nullable("string", "The id of the task that stands for it and those of other workers."),
    "tags": _TEXTS,
    "dryRun": {"type": "boolean"},
    "createdAt": _time("When the task was recorded."),
    "finishedAt": _time("When its last run ended."),
}
_SCHEDULE: dict[str, Any] = {
    "retries": {**_COUNT, "description": "Further runs that are still allowed."},
    "priority": {"type": "integer", "minimum": 0, "maximum": 9, "description": "9 is the most urgent."},
    "dueAt": _time("The newest run does not start before; null: it was not delayed."),
    "deadline": _time("When the task ends, whether it has started or not; null: no deadline."),
    "cancel": {
        "anyOf": [
            {"type": "null"},
            _object({"by": {"type": "string"}, "why": {"type": "string"}, "at": _time("When.")}),
        ],
        "description": "Who asked for its end; null: nobody.",
    },
}
_WISH: dict[str, Any] = {
    "anyOf": [{"type": "null"}, _object({"by": {"type": "string"}, "why": {"type": "string"}, "at": _time("When.")})],
    "description": "Who asked for it; null: nobody.",
}
_BYTES: dict[str, Any] = {**_COUNT, "description": "Bytes; 0 where it is not known."}
_WORKER: dict[str, Any] = {
    "name": {"type": "string"},
    "state": {"enum": [state.value for state in WorkerState]},
    "reason": {"type": "string", "description": "Why it takes nothing; empty while it takes tasks."},
    "host": {"type": "string"},
    "pid": {"type": "integer"},
    "version": {"type": "string", "description": "Of Penstock."},
    "labels": _TEXTS,
    "queues": _TEXTS,
    "concurrency": _COUNT,
    "running": {**_COUNT, "description": "How many tasks run."},
    "tasks": {**_TEXTS, "description": "Some of those that run."},
    "load": {"type": "number", "description": "Of the host, over a minute."},
    "processors": _COUNT,
    **dict.fromkeys(("memoryFree", "memoryTotal", "diskFree", "diskTotal"), _BYTES),
    "startedAt": _time("When it began."),
    "lastSeenAt": _time("When it was last heard of."),
    "beatS": {"type": "number", "description": "How often it says that it lives, in seconds."},
    "drain": _WISH,
    "pause": _WISH,
}
_CONFLICT: dict[str, Any] = {
    "queue": {"type": "string"},
    "script": {"type": "string"},
    "workers": {
        "type": "array",
        "items": _object({"name": {"type": "string"}, "digest": _nullable("string", "null: it does not have it.")}),
    },
}
_LETTER: dict[str, Any] = {
    "id": {"type": "string", "pattern": "^[0-9a-f]{24}$"},
    "queue": {"type": "string"},
    "reason": {"type": "string", "description": "Why no task could be made of it."},
    "source": {"type": "string", "description": "Who found it."},
    "receivedAt": _time("When it first came."),
    "lastReceivedAt": _time("When it last came."),
    "times": {"type": "integer", "minimum": 1, "description": "How often it came."},
    "size": {**_COUNT, "description": "Bytes of the whole message."},
    "head": {"type": "string", "description": "Its first bytes; what is no UTF-8 is written as \\xNN."},
}
_SCRIPT: dict[str, Any] = {
    **{name: {"type": "string"} for name in ("name", "title", "description", "category")},
    "tags": _TEXTS,
    "enabled": {"type": "boolean"},
    "queue": {"type": "string"},
    "command": {**_TEXTS, "description": "The argv, with absolute paths."},
    "file": {"type": "string"},
}
_TASK_IN_LIST: dict[str, Any] = {
    key: {**_TASK, **_run(_ANY_STATUS), **_ABOUT, **_SCHEDULE}[key]
    for key in (
        *("taskId", "runId", "script", "status", "reason", "message", "queue", "trigger", "worker"),
        *("target", "parent", "tags", "dryRun"),
        *("createdAt", "finishedAt", "durationMs", "retries"),
        *(key for key in _SCHEDULE if key not in _TASK),
        *(key for key in ("cancel",) if key not in _SCHEDULE),
    )
}
_IN_HISTORY: dict[str, Any] = {
    "version": {**_COUNT, "description": "From 1."},
    "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "What an approval is of."},
    "sha256": {"type": "string", "description": "Of the file when it was registered, or of the body; in hex."},
    "removed": {"type": "boolean", "description": "It was removed with this version."},
    "registeredBy": {"type": "string"},
    "registeredAt": _time("When."),
}
_WORKFLOW: dict[str, Any] = {
    **{key: {"type": "string"} for key in ("name", "title", "description")},
    "tags": _TEXTS,
    "enabled": {"type": "boolean"},
    "source": {"enum": ["file", "api"]},
    "file": _nullable("string", "Where it is declared; null: in the store."),
    "version": _nullable("integer", "How often it was saved; null: it is a file."),
    "createdAt": _time("When it was saved first; null: it is a file."),
    "createdBy": _nullable("string", "By whom."),
    "updatedAt": _time("When it was saved last; null: it is a file."),
    "updatedBy": _nullable("string", "By whom."),
    "steps": {**_TEXTS, "description": "Their names, each behind those that it needs."},
    "scripts": _TEXTS,
}
_WORKFLOW_RUN: dict[str, Any] = {
    "runId": {"type": "string", "pattern": f"^{TASK_ID.pattern.removesuffix(_END)}$"},
    "workflow": {"type": "string"},
    "status": {"enum": [status.value for status in WorkflowStatus]},
    "failedSteps": {**_TEXTS, "description": "The steps that failed, in whatever way."},
    "trigger": {"type": "string", "description": "cli, api, or schedule."},
    "createdAt": _time("When it was started."),
    "finishedAt": _time("When its last step had ended."),
    "startedBy": {"type": "string", "description": "Whose rights its steps have."},
    "startedFrom": _nullable("string", "Their address."),
    "rerunOf": _nullable("string", "The run that it repeats."),
    "cancel": {
        "anyOf": [
            {"type": "null"},
            _object({"by": {"type": "string"}, "why": {"type": "string"}, "at": _time("When.")}),
        ],
        "description": "Who asked for its end; null: nobody.",
    },
    "stepsDone": _COUNT,
    "stepsTotal": _COUNT,
}
_WORKFLOW_STEP: dict[str, Any] = {
    "name": {"type": "string"},
    "status": {"enum": [status.value for status in StepStatus]},
    "reason": _nullable("string", "Why it failed or was skipped."),
    "message": _nullable("string", "The same for people."),
    "attempt": {**_COUNT, "description": "The number of the newest task, from 0."},
    "kept": {"type": "boolean", "description": "Its task is that of the run that is repeated."},
    "taskId": _nullable("string", "Its newest task."),
    "startedAt": _time("When its first task was recorded."),
    "finishedAt": _time("When it had ended."),
    "task": {
        "anyOf": [{"type": "null"}, _object(_TASK_IN_LIST)],
        "description": "That task, as in a list; null: there is none, or it may not be read.",
    },
}
_API_KEY: dict[str, Any] = {
    "id": {"type": "string", "pattern": f"^{KEY_ID.pattern.removesuffix(_END)}$", "description": "Its public part."},
    "name": {"type": "string"},
    "state": {"enum": ["active", "revoked", "expired"]},
    "scopes": {**_TEXTS, "description": "What it may do, besides what its role may."},
    "role": _nullable("string", "Its scopes are those of the role in the settings at the time of a call."),
    "createdAt": _time("When it was made."),
    "createdBy": _nullable("string", "Who made it."),
    "expiresAt": _time("When it ends; null: when it is revoked."),
    "revokedAt": _time("When it was revoked."),
    "lastUsedAt": _time("When it was last used, rounded down to five minutes."),
    "replacedBy": _nullable("string", "The id of the key that a rotation made."),
}
_AUDIT_ENTRY: dict[str, Any] = {
    "id": {"type": "string", "description": "For --before."},
    "at": _time("When, by the store's clock."),
    "who": _nullable("string", "The name of the principal, or what was shown of it."),
    "kind": {"type": "string", "description": "How it was proved: key, jwt, basic, local; none: it was not."},
    "key": _nullable("string", "The id of the API key."),
    "from": _nullable("string", "An address; null: this machine."),
    "action": {"type": "string", "description": "Such as scripts.execute, tasks.cancel, keys.create."},
    "target": _nullable("string", "The script, task, key ... that it was about."),
    "digest": _nullable("string", "SHA-256 of the payload; null when it held secrets."),
    "result": {"enum": list(RESULTS), "description": "denied: it was not allowed. failed: it was, and did not work."},
    "status": _nullable("integer", "The HTTP status."),
    "detail": _nullable("string", "For people."),
}
_PERIODIC: dict[str, Any] = {
    "name": {"type": "string"},
    "script": _nullable("string", "What is run; null: a workflow is."),
    "workflow": _nullable("string", "What is run; null: a script is."),
    "cronExpression": {"type": "string"},
    "timezone": {"type": "string", "description": "Whose clock the expression means."},
    "payload": _nullable("object", "Secrets are masked. null: what is run is gone."),
    "enabled": {"type": "boolean"},
    "overlap": {"enum": list(OVERLAPS)},
    "catchUp": {"enum": list(CATCH_UPS)},
    "catchUpLimit": _COUNT,
    "jitter": {"type": "number", "description": "Seconds."},
    "startAt": _time("No slot is before."),
    "endAt": _time("No slot is after."),
    "description": {"type": "string"},
    "tags": _TEXTS,
    "target": _nullable("string", "For whom its tasks are; null: for any worker."),
    "source": {"enum": ["file", "store"], "description": "Of the operator's own, which is read-only, or of others."},
    "file": _nullable("string", "The operator's file that declares it; null: it is kept in the store."),
    "owner": {"type": "string", "description": "As whom it acts."},
    "createdAt": _time("null: a file."),
    "updatedAt": _time("null: a file."),
    "updatedBy": _nullable("string", "null: a file."),
    "nextRunAt": _time("The next slot; null: none is to come, or it is disabled."),
    "lastRunAt": _time("The newest slot with a task or a workflow run."),
    "lastTaskId": _nullable("string", "Its task."),
    "lastWorkflowRunId": _nullable("string", "Its run, of a schedule that starts a workflow."),
    "lastStatus": {"enum": [*(status.value for status in Status), None], "description": "What became of that."},
    "skipped": {**_COUNT, "description": "Slots that were left out because of an overlap."},
    "missed": {**_COUNT, "description": "Slots that nobody made up for; a long outage counts as some."},
    "trouble": {
        "anyOf": [{"type": "null"}, _object({"message": {"type": "string"}, "at": _time("Since when.")})],
        "description": "Why the newest slot has no task.",
    },
}
_PROBLEM = {
    "file": {"type": ["string", "null"]},
    "line": _nullable("integer", "From 1."),
    "column": _nullable("integer", "From 1."),
    "pointer": {"type": "string", "description": "A JSON Pointer into the file."},
    "message": {"type": "string"},
}

# By the name of the exported file.
DOCUMENT_SCHEMAS: dict[str, dict[str, Any]] = {
    "outcome": _document(
        "Penstock outcome",
        "What `penstock exec --json` prints.",
        {**_TASK, **_run([status for status in _ANY_STATUS if status in FINAL])},
    ),
    "task": _document(
        "Penstock task",
        "What `penstock run --json` and `penstock show --json` print: the newest run, and the rest of the record.",
        {
            **_TASK,
            **_run(_ANY_STATUS),
            **_ABOUT,
            "submittedBy": _nullable(
                "string", "Who submitted it; null for a message that was enqueued without Penstock."
            ),
            "submittedFrom": _nullable("string", "The address of who submitted it over the API."),
            "rerunOf": _nullable("string", "The id of the task that it repeats."),
            "workflow": _nullable("string", "The workflow run that it is a step of."),
            "step": _nullable("string", "The name of the step."),
            "digest": _nullable("string", "SHA-256 of the payload; null when it held secrets."),
            **_SCHEDULE,
            "startBy": _time("A run that has not started by then does not start; null: no such time."),
            "idempotencyKey": _nullable("string", "The key that it was submitted with."),
            "payload": {"description": "Secrets are masked; null for a payload that could not be read."},
            "runs": {
                "type": "array",
                "items": _object(
                    {
                        "runId": _COUNT,
                        **_run(_ANY_STATUS),
                        "worker": _nullable("string", "Who ran it."),
                        "createdAt": _time("When it became pending."),
                        "claimedAt": _time("When a worker claimed it."),
                        "startedAt": _time("Its end minus its duration."),
                        "finishedAt": _time("When its end was recorded."),
                    }
                ),
            },
            "results": {
                "type": ["array", "null"],
                "description": "Of a task for several workers the task of each; null for any other.",
                "items": _object(
                    {
                        "worker": {"type": "string"},
                        "taskId": _TASK["taskId"],
                        "status": {"enum": [*_ANY_STATUS, None], "description": "null: it is not kept any more."},
                        **{name: _run([])[name] for name in ("reason", "message", "exitCode", "signal", "durationMs")},
                        "logBytes": _nullable("integer", "The size of the log that is kept."),
                    }
                ),
            },
        },
    ),
    "tasks": _document(
        "Penstock tasks",
        "What `penstock tasks --json` prints.",
        {
            "tasks": {
                "type": "array",
                "items": _object(_TASK_IN_LIST),
            },
            "total": {**_COUNT, "description": "All that match, not only this page."},
            "next": _nullable("string", "For --before; null on the last page."),
        },
    ),
    "artifacts": _document(
        "Penstock artifacts",
        "What `penstock artifacts --json` prints.",
        {"taskId": _TASK["taskId"], "runId": _TASK["runId"], "artifacts": _ARTIFACTS},
    ),
    "cancelled": _document(
        "Penstock cancellation",
        "What `penstock cancel --json` prints.",
        {
            "tasks": {
                "type": "array",
                "items": _object(
                    {
                        "taskId": {"type": "string", "description": "As it was given, or found."},
                        "outcome": {
                            "enum": [outcome.value for outcome in CancelOutcome],
                            "description": "cancelled: it never starts. requested: its worker ends it. already: it "
                            "was asked for before. final: it had ended.",
                        },
                        "status": {"enum": [*_ANY_STATUS, None], "description": "Of the task, afterwards."},
                        "worker": _nullable("string", "Who runs it."),
                    }
                ),
            }
        },
    ),
    "dead-letters": _document(
        "Penstock dead letters",
        "What `penstock dead-letters list --json` prints.",
        {
            "letters": {"type": "array", "items": _object(_LETTER)},
            "total": {**_COUNT, "description": "All that are kept, not only this page."},
            "size": {**_COUNT, "description": "Their bytes."},
            "dropped": {**_COUNT, "description": "How many had to make room for newer ones, ever."},
            "next": _nullable("string", "For --before; null on the last page."),
        },
    ),
    "dead-letter": _document(
        "Penstock dead letter",
        "What `penstock dead-letters show --json` prints.",
        _LETTER,
    ),
    "dead-letters-done": _document(
        "Penstock dead letters, replayed or dropped",
        "What `penstock dead-letters replay --json` and `penstock dead-letters drop --json` print.",
        {
            "letters": {
                "type": "array",
                "items": _object(
                    {
                        "id": {"type": "string", "description": "As it was given."},
                        "outcome": {"enum": ["replayed", "dropped", "unknown"]},
                    }
                ),
                "description": "Those that were named; with --all, none.",
            },
            "count": {**_COUNT, "description": "How many were replayed or dropped."},
        },
    ),
    "keys": _document(
        "Penstock API keys",
        "What `penstock keys list --json` prints.",
        {"keys": {"type": "array", "items": _object(_API_KEY)}},
    ),
    "key-made": _document(
        "Penstock API key, just made",
        "What `penstock keys create --json` and `penstock keys rotate --json` print.",
        {**_API_KEY, "key": {"type": "string", "description": "The key itself, this once."}},
    ),
    "keys-revoked": _document(
        "Penstock API keys, revoked",
        "What `penstock keys revoke --json` prints.",
        {
            "keys": {
                "type": "array",
                "items": _object(
                    {
                        "id": {"type": "string", "description": "As it was given."},
                        "outcome": {"enum": ["revoked", "unknown"]},
                    }
                ),
            }
        },
    ),
    "token": _document(
        "Penstock token, just issued",
        "What `penstock tokens issue --json` prints.",
        {"token": {"type": "string"}, "header": {"type": "object"}, "claims": {"type": "object"}},
    ),
    "token-shown": _document(
        "Penstock token",
        "What `penstock tokens show --json` prints.",
        {
            "header": {"type": "object"},
            "claims": {"type": "object"},
            "valid": {"type": "boolean", "description": "Whether it is accepted here."},
            "why": _nullable("string", "Why it is not."),
            "principal": {
                "anyOf": [{"type": "null"}, _object({"name": {"type": "string"}, "scopes": _TEXTS})],
                "description": "Who it is for, and what that may do; null: it is not accepted.",
            },
        },
    ),
    "audit": _document(
        "Penstock audit",
        "What `penstock audit --json` prints; a line of --export is one of the entries.",
        {
            "entries": {"type": "array", "items": _object(_AUDIT_ENTRY)},
            "next": _nullable("string", "For --before; null on the last page."),
        },
    ),
    "schedules": _document(
        "Penstock schedules",
        "What `penstock schedules list --json` prints.",
        {"schedules": {"type": "array", "items": _object(_PERIODIC)}},
    ),
    "schedule-details": _document(
        "Penstock schedule details",
        "What `penstock schedules show --json`, `create --json` and `update --json` print.",
        _PERIODIC,
    ),
    "schedule-preview": _document(
        "Penstock schedule preview",
        "What `penstock schedules preview --json` prints.",
        {
            "timezone": {"type": "string"},
            "times": {"type": "array", "items": {"type": "string", "format": "date-time"}},
        },
    ),
    "submitted": _document(
        "Penstock submission",
        "What `penstock submit --json` prints.",
        {
            "taskId": _TASK["taskId"],
            "script": _TASK["script"],
            "created": {"type": "boolean", "description": "False: the same task was there already."},
            "published": {"type": "boolean", "description": "False: recorded, and a worker publishes it later."},
        },
    ),
    "check": _document(
        "Penstock check",
        "What `penstock check --json` prints.",
        {
            "ok": {"type": "boolean"},
            "scripts": {**_TEXTS, "description": "Their names; empty when anything is wrong."},
            "problems": {"type": "array", "items": _object(_PROBLEM)},
            "conflicts": {
                "type": "array",
                "items": _object(_CONFLICT),
                "description": "What workers of a queue that live disagree on, where the store answers.",
            },
        },
    ),
    "workflows": _document(
        "Penstock workflows",
        "What `penstock workflows list --json` prints.",
        {"workflows": {"type": "array", "items": _object(_WORKFLOW)}},
    ),
    "workflow-details": _document(
        "Penstock workflow details",
        "What `penstock workflows show NAME --json` prints.",
        {**_WORKFLOW, "definition": {"type": "object", "description": "As it was written."}},
    ),
    "workflow-runs": _document(
        "Penstock workflow runs",
        "What `penstock workflows runs --json` prints.",
        {
            "runs": {"type": "array", "items": _object(_WORKFLOW_RUN)},
            "next": _nullable("string", "The cursor of the next page; null on the last page."),
        },
    ),
    "workflow-run": _document(
        "Penstock workflow run",
        "What `penstock workflows show RUN --json` and `run --follow --json` print.",
        {
            **_WORKFLOW_RUN,
            "payload": {"description": "With secrets masked."},
            "digest": _nullable("string", "SHA-256 of the payload; null when it held secrets."),
            "steps": {"type": "array", "items": _object(_WORKFLOW_STEP)},
            "definition": {"type": "object", "description": "The workflow when the run was started."},
        },
    ),
    "workflow-cancel": _document(
        "Penstock workflow cancel",
        "What `penstock workflows cancel --json` prints.",
        {
            "runId": _WORKFLOW_RUN["runId"],
            "outcome": {
                "enum": ["requested", "already", "final"],
                "description": "requested: what runs is ended. already: it was asked for before. final: it had ended.",
            },
            "status": _WORKFLOW_RUN["status"],
        },
    ),
    "workflow-check": _document(
        "Penstock workflow check",
        "What `penstock workflows check --json` prints.",
        {
            "ok": {"type": "boolean"},
            "workflows": {**_TEXTS, "description": "Their names; empty when anything is wrong."},
            "problems": {"type": "array", "items": _object(_PROBLEM)},
        },
    ),
    "workers": _document(
        "Penstock workers",
        "What `penstock workers list --json` prints.",
        {
            "workers": {"type": "array", "items": _object(_WORKER)},
            "conflicts": {"type": "array", "items": _object(_CONFLICT)},
            "total": _COUNT,
        },
    ),
    "worker": _document(
        "Penstock worker",
        "What `penstock workers show NAME --json` prints.",
        {
            **_WORKER,
            "scripts": {
                "type": "array",
                "items": _object(
                    {
                        "script": {"type": "string"},
                        "queue": {"type": "string"},
                        "digest": {"type": "string", "description": "Of the declaration and of what it runs."},
                        "registered": {"type": "boolean"},
                    }
                ),
            },
        },
    ),
    "available-files": _document(
        "Penstock available files",
        "What `penstock scripts available --json` prints.",
        {
            "files": {
                "type": "array",
                "items": _object(
                    {
                        "path": {"type": "string", "description": "Relative to the deployment."},
                        "name": _nullable("string", "What it could be called; null: say one."),
                        "kind": {"enum": ["shell", "python", "node", "direct"]},
                        "size": {**_COUNT, "description": "Bytes."},
                        "modifiedAt": _time("When it was changed last."),
                    }
                ),
            }
        },
    ),
    "script-versions": _document(
        "Penstock script versions",
        "What `penstock scripts history NAME --json` prints.",
        {
            "name": {"type": "string"},
            "versions": {"type": "array", "items": _object(_IN_HISTORY), "description": "Newest first."},
        },
    ),
    "script-version": _document(
        "Penstock script version",
        "What `penstock scripts history NAME VERSION --json`, `register --json` and `update --json` print.",
        {
            "name": {"type": "string"},
            **_IN_HISTORY,
            "declaration": {"type": "object", "description": "What was registered, with the SHA-256 of its file."},
        },
    ),
    "scripts": _document(
        "Penstock scripts",
        "What `penstock scripts --json` prints.",
        {"scripts": {"type": "array", "items": _object(_SCRIPT)}},
    ),
    "script-details": _document(
        "Penstock script details",
        "What `penstock scripts NAME --json` prints.",
        {
            **_SCRIPT,
            "exitCodes": {"type": "string", "description": "The name of the preset, or map."},
            "maxRunTimeS": _nullable("number", "Seconds; null: no limit."),
            "killGraceS": {"type": "number", "description": "Seconds."},
            "idempotent": {"type": "boolean"},
            "retries": _COUNT,
            "retryOn": _TEXTS,
            "retryDelayS": {"type": "number", "description": "Seconds; doubled each time."},
            "concurrency": _nullable("integer", "Runs at a time in all workers together; null: no limit."),
            "rateLimit": {
                "anyOf": [{"type": "null"}, _object({"count": _COUNT, "perS": {"type": "number"}})],
                "description": "Starts in so many seconds, in all workers together; null: no limit.",
            },
            "retention": _object(
                {
                    "ageS": _nullable("number", "Seconds; null: as the settings say."),
                    "count": _nullable("integer", "null: as the settings say."),
                }
            ),
            "allowedScopes": {**_TEXTS, "description": "Who runs it needs one of them, if there are any."},
            "env": {**_TEXTS, "description": "Names only: values may be secrets."},
            "limits": _object(
                dict.fromkeys(
                    ("payloadBytes", "logBytes", "artifactCount", "artifactBytes", "artifactTotalBytes"), _COUNT
                )
            ),
            "plugins": _TEXTS,
            "schema": {"type": "object", "description": "Of the payload, with the keys of plugins."},
        },
    ),
}
