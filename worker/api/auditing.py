"""Auditing: what a call did, or why it was refused, into the audit. Never the reason why a call fails."""

from __future__ import annotations

import structlog
from fastapi import Request

from worker.api.caller import Caller
from worker.api.context import Context
from worker.api.readable import Hidden
from worker.auth.denied import Denied
from worker.model.audit import AuditEntry
from worker.store import StoreError

_logger = structlog.get_logger("penstock.api")
# By the names of the routes' functions; what is not here only reads.
CHANGES = {
    "execute": "scripts.execute",
    "dry_run": "scripts.dry-run",
    "cancel": "tasks.cancel",
    "run_again": "tasks.rerun",
    "remove": "tasks.delete",
    "begin_session": "session.begin",
    "end_session": "session.end",
    "create_key": "keys.create",
    "rotate_key": "keys.rotate",
    "revoke_key": "keys.revoke",
    "create_schedule": "schedules.create",
    "update_schedule": "schedules.update",
    "change_schedule": "schedules.update",
    "delete_schedule": "schedules.delete",
    "enable_schedule": "schedules.enable",
    "disable_schedule": "schedules.disable",
    "trigger_schedule": "schedules.trigger",
    "create_workflow": "workflows.create",
    "replace_workflow": "workflows.replace",
    "delete_workflow": "workflows.delete",
    "execute_workflow": "workflows.execute",
    "cancel_workflow_run": "workflows.cancel",
    "rerun_workflow_run": "workflows.rerun",
    "drain_worker": "workers.drain",
    "undrain_worker": "workers.undrain",
    "pause_worker": "workers.pause",
    "resume_worker": "workers.resume",
    "read_worker_log": "workers.log",
    "remove_worker": "workers.remove",
    "register_script": "scripts.register",
    "update_script": "scripts.update",
    "unregister_script": "scripts.delete",
    "approve_script": "scripts.approve",
    "run_program": "commands.exec",
    "run_shell": "commands.shell",
}
_REFUSALS = (401, 403)


async def done(
    request: Request,
    here: Context,
    caller: Caller,
    target: str,
    *,
    status: int | None,
    digest: str | None = None,
    detail: str = "",
) -> None:
    """The call has done what it was asked for. `target`: the script or the task; `detail`: what came of it.
    `status` is None when the answer still waits for something.
    """
    entry = AuditEntry.by(
        caller.principal,
        action_of(request),
        "allowed",
        target,
        from_=caller.address or "",
        digest=digest,
        status=status,
        detail=detail,
    )
    await _append(here, entry)


async def not_done(request: Request, error: Exception, status: int, detail: str) -> None:
    """A refusal, or a change that failed; of a failed read nothing is kept."""
    here: Context = request.app.state.context
    action = action_of(request)
    refused = status in _REFUSALS or isinstance(error, Hidden)
    if not refused and action not in CHANGES.values():
        return
    address = request.client.host if request.client else ""
    target = str(next(iter(request.path_params.values()), ""))
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is not None:
        result = AuditEntry.by(
            caller.principal,
            action,
            "denied" if refused else "failed",
            target,
            from_=address,
            status=status,
            detail=detail,
        )
    elif refused:
        tried, kind = (error.tried, error.kind) if isinstance(error, Denied) else ("", "none")
        detail = error.detail if isinstance(error, Denied) else detail
        result = AuditEntry(
            who=tried,
            kind=kind,
            action=action,
            result="denied",
            target=target,
            from_=address,
            status=status,
            detail=detail,
        )
    else:
        return
    await _append(here, result)


def action_of(request: Request) -> str:
    route = request.scope.get("route")
    name = getattr(getattr(route, "endpoint", None), "__name__", "")
    if name in CHANGES:
        return CHANGES[name]
    tags = getattr(route, "tags", None) or ["api"]
    return f"{tags[0]}.read" if request.method in ("GET", "HEAD") else f"{tags[0]}.call"


async def _append(here: Context, entry: AuditEntry) -> None:
    try:
        await here.audit.append(entry)
    except StoreError as error:
        # What was done is done; to call it failed would have it done twice.
        _logger.error(
            "an entry of the audit could not be kept",
            who=entry.who,
            action=entry.action,
            target=entry.target,
            result=entry.result,
            error=str(error),
        )
