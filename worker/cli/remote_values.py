"""Remote values: what a server answers, as the values that the store would have given.

A server's answer is outside data: what the local records promise by construction is checked here, field by field, so
that a name can be shown on a terminal and a number counted with. Raises ValueError for anything else.
"""

from __future__ import annotations

import re
from typing import Any

from engine.artifacts import names
from engine.script.load import NAME
from worker.cli.answer_fields import Object, quantity
from worker.cli.answer_fields import flag as _flag
from worker.cli.answer_fields import items as _list
from worker.cli.answer_fields import matching as _matching
from worker.cli.answer_fields import maybe_number as _maybe_number
from worker.cli.answer_fields import moment as _moment
from worker.cli.answer_fields import number as _number
from worker.cli.answer_fields import object_of as _object
from worker.cli.answer_fields import printable_text as _printable
from worker.cli.answer_fields import short as _short
from worker.cli.answer_fields import text as _text
from worker.cli.answer_fields import word as _word
from worker.cli.keyring import MadeKey, SeenKey
from worker.model.answers import Cancelled, CancelOutcome
from worker.model.api_key import KEY_ID, KEY_TEXT, ApiKey, id_in
from worker.model.audit import ACTION, ENTRY_ID, RESULTS, AuditEntry, AuditPage
from worker.model.listing import TaskPage
from worker.model.overview import Overview, SeenQueue, SeenWorker
from worker.model.status import Status
from worker.model.target import read_target
from worker.model.task import TASK_ID, ArtifactRecord, CancelRequest, ChildTask, Run, StepTask, Task
from worker.model.worker import WORKER_NAME, WorkerState
from worker.model.workflow_run import WORKFLOW_NAME

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_CURSOR = re.compile(r"[!-~]{1,200}\Z")
_SUMMARY = ("name", "title", "description", "category", "tags", "enabled", "queue", "command", "file")
_DETAILS = (
    "exitCodes",
    "maxRunTimeS",
    "killGraceS",
    "idempotent",
    "retries",
    "retryOn",
    "retryDelayS",
    "concurrency",
    "rateLimit",
    "retention",
    "allowedScopes",
    "env",
    "limits",
    "plugins",
)


def task(found: Any) -> Task:
    """Of the document of one task."""
    found = _object(found)
    runs = _list(found, "runs", _run)
    if not runs:
        raise ValueError("a task without runs")
    return Task(
        **_about(found),
        payload=found.get("payload"),
        digest="" if found.get("digest") is None else _matching(found, "digest", _DIGEST),
        start_by=_moment(found, "startBy"),
        key=_short(found, "idempotencyKey"),
        runs=runs,
        children=() if found.get("results") is None else _list(found, "results", _child),
    )


def page(found: Any) -> TaskPage:
    """Of a listing: each task has one run, the newest."""
    found = _object(found)
    tasks = _list(found, "tasks", _listed)
    following = found.get("next")
    if following is not None:
        following = _matching(found, "next", _CURSOR)
    total = found.get("total")
    return TaskPage(tasks, len(tasks) if total is None else _number(found, "total"), following)


def cancelled(found: Any) -> Cancelled:
    found = _object(found)
    outcome, status = CancelOutcome(_text(found, "outcome")), Status(_text(found, "status"))
    return Cancelled(outcome, status, _short(found, "worker"))


def overview(found: Any) -> Overview:
    found = _object(found)
    tasks = {Status(name): _number(_object(found.get("tasks")), name) for name in _object(found.get("tasks"))}
    workers = _list(found, "workers", _worker)
    return Overview(_list(found, "queues", _queue), workers, _flag(found, "broker"), tasks, _number(found, "scripts"))


def audit_page(found: Any) -> AuditPage:
    found = _object(found)
    following = found.get("next")
    if following is not None:
        following = _matching(found, "next", ENTRY_ID)
    return AuditPage(_list(found, "entries", _audit_entry), following)


def keys(found: Any) -> tuple[SeenKey, ...]:
    return _list(_object(found), "keys", _key)


def made_key(found: Any) -> MadeKey:
    """Of the one answer that has its text."""
    found = _object(found)
    key, text = _key(found).key, _matching(found, "key", KEY_TEXT)
    if id_in(text) != key.id:
        raise ValueError("the text of another key")
    return MadeKey(key, text)


def me(found: Any) -> tuple[str, tuple[str, ...]]:
    """Whose proof it is, and their scopes."""
    found = _object(found)
    return _text(found, "name"), _list(found, "scopes", _printable)


def accepted(found: Any) -> tuple[str, bool]:
    """The id of a recorded task, and whether it is new."""
    found = _object(found)
    return _matching(found, "taskId", TASK_ID), _flag(found, "created")


def identifier(found: Any, *names: str) -> str:
    """The id of a task or a workflow run, by the first of the names that has one."""
    found = _object(found)
    return _matching(found, next((name for name in names if found.get(name) is not None), names[0]), TASK_ID)


def flag(found: Any, name: str) -> bool:
    return _flag(_object(found), name)


def scripts(found: Any) -> list[dict[str, Any]]:
    """What `scripts` lists of each."""
    return list(_list(_object(found), "scripts", _summary))


def script(found: Any, schema: Any) -> dict[str, Any]:
    """What `scripts SCRIPT` shows."""
    found = _object(found)
    return {**_summary(found), **{name: found.get(name) for name in _DETAILS}, "schema": _object(schema)}


def shared_files(found: Any) -> tuple[list[dict[str, Any]], bool]:
    """What `files list` shows, and whether it is all."""
    found = _object(found)
    return list(_list(found, "files", _shared_file)), found["complete"] is True


def _shared_file(found: Any) -> dict[str, Any]:
    found = _object(found)
    name, size, modified = found["name"], found["size"], found["modifiedAt"]
    if not isinstance(name, str) or type(size) is not int or not isinstance(modified, str):
        raise ValueError("not a file")
    return {"name": name[:1024], "size": size, "modifiedAt": modified[:40]}


def _summary(found: Any) -> dict[str, Any]:
    found = _object(found)
    if not NAME.fullmatch(_text(found, "name")):
        raise ValueError("not the name of a script")
    _flag(found, "enabled")
    for name in ("category", "queue"):
        if not _text(found, name).isprintable():
            raise ValueError(f"{name} is not printable")
    _text(found, "title")
    return {name: found.get(name) for name in _SUMMARY}


def _about(found: Object) -> dict[str, Any]:
    """What a listing says of a task too."""
    return {
        "id": _matching(found, "taskId", TASK_ID),
        "script": _script(found),
        "status": Status(_text(found, "status")),
        "reason": _word(found, "reason"),
        "message": _text(found, "message", default=""),
        "queue": _short(found, "queue") or "",
        "trigger": _word(found, "trigger") or "",
        "tags": _list(found, "tags", _printable),
        "dry_run": _flag(found, "dryRun"),
        "created_at": _moment(found, "createdAt") or 0,
        "finished_at": _moment(found, "finishedAt"),
        "retries": _number(found, "retries"),
        "priority": _number(found, "priority"),
        "due_at": _moment(found, "dueAt"),
        "deadline": _moment(found, "deadline"),
        "cancel": _cancel(found.get("cancel")),
        "rerun_of": None if found.get("rerunOf") is None else _matching(found, "rerunOf", TASK_ID),
        "submitted_by": _short(found, "submittedBy"),
        "submitted_from": _short(found, "submittedFrom"),
        "workflow": _step(found),
        "target": _target(found),
        "parent": None if found.get("parent") is None else _matching(found, "parent", TASK_ID),
    }


def _target(found: Object) -> str | None:
    text = found.get("target")
    return None if text is None else str(read_target(_text(found, "target")))


def _child(found: Any) -> ChildTask:
    found = _object(found)
    return ChildTask(_matching(found, "worker", WORKER_NAME), _matching(found, "taskId", TASK_ID))


def _step(found: Object) -> StepTask | None:
    if found.get("workflow") is None:
        return None
    return StepTask(_matching(found, "workflow", TASK_ID), _matching(found, "step", WORKFLOW_NAME), 0)


def _listed(found: Any) -> Task:
    found = _object(found)
    about = _about(found)
    run = Run(
        _number(found, "runId"),
        about["status"],
        worker=_short(found, "worker"),
        duration_ms=_maybe_number(found, "durationMs"),
    )
    return Task(**about, payload=None, digest="", runs=(run,))


def _run(found: Any) -> Run:
    found = _object(found)
    return Run(
        _number(found, "runId"),
        Status(_text(found, "status")),
        reason=_word(found, "reason"),
        message=_text(found, "message", default=""),
        worker=_short(found, "worker"),
        exit_code=_maybe_number(found, "exitCode"),
        signal=_maybe_number(found, "signal"),
        created_at=_moment(found, "createdAt"),
        claimed_at=_moment(found, "claimedAt"),
        started_at=_moment(found, "startedAt"),
        finished_at=_moment(found, "finishedAt"),
        duration_ms=_maybe_number(found, "durationMs"),
        log_bytes=_number(found, "logBytes"),
        log_truncated=_flag(found, "logTruncated"),
        artifacts=_list(found, "artifacts", _artifact),
    )


def _artifact(found: Any) -> ArtifactRecord:
    found = _object(found)
    name = _text(found, "name")
    if names.fault(name) is not None:
        raise ValueError("not the name of an artifact")
    return ArtifactRecord(
        name,
        _number(found, "size"),
        _matching(found, "sha256", _DIGEST),
        _short(found, "contentType") or "",
        _flag(found, "public"),
    )


def _cancel(found: Any) -> CancelRequest | None:
    if found is None:
        return None
    found = _object(found)
    return CancelRequest(_text(found, "by"), _text(found, "why", default=""), _moment(found, "at") or 0)


def _audit_entry(found: Any) -> AuditEntry:
    found = _object(found)
    result = next((known for known in RESULTS if known == _text(found, "result")), None)
    if result is None:
        raise ValueError("no such result")
    return AuditEntry(
        id=_matching(found, "id", ENTRY_ID),
        at=_moment(found, "at") or 0,
        who=_text(found, "who", default=""),
        kind=_short(found, "kind") or "",
        key=_short(found, "key") or "",
        from_=_text(found, "from", default=""),
        action=_matching(found, "action", ACTION),
        target=_text(found, "target", default=""),
        digest=None if found.get("digest") is None else _matching(found, "digest", _DIGEST),
        result=result,
        status=_maybe_number(found, "status"),
        detail=_text(found, "detail", default=""),
    )


def _key(found: Any) -> SeenKey:
    found = _object(found)
    state = _text(found, "state")
    if state not in ("active", "revoked", "expired"):
        raise ValueError("no such state of a key")
    key = ApiKey(
        id=_matching(found, "id", KEY_ID),
        name=_printable(found.get("name")),
        digest="",
        created_at=_moment(found, "createdAt") or 0,
        scopes=frozenset(_list(found, "scopes", _printable)),
        role=_short(found, "role"),
        expires_at=_moment(found, "expiresAt"),
        revoked_at=_moment(found, "revokedAt"),
        last_used_at=_moment(found, "lastUsedAt"),
        replaced_by=None if found.get("replacedBy") is None else _matching(found, "replacedBy", KEY_ID),
        made_by=_text(found, "createdBy", default=""),
    )
    return SeenKey(key, state)


def _queue(found: Any) -> SeenQueue:
    found = _object(found)
    return SeenQueue(_printable(found.get("name")), _maybe_number(found, "waiting"))


def _worker(found: Any) -> SeenWorker:
    found = _object(found)
    return SeenWorker(
        _printable(found.get("name")),
        _printable(found.get("host")),
        _number(found, "pid"),
        quantity(found, "silentS"),
        WorkerState(_text(found, "state")),
        _number(found, "running"),
    )


def _script(found: Object) -> str:
    value = _text(found, "script")
    if not NAME.fullmatch(value):
        raise ValueError("not the name of a script")
    return value
