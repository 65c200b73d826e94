"""Audit: who did what, and what was refused. There is nothing that changes an entry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from engine.errors import Problem
from worker.api.caller import Asker
from worker.api.context import Here
from worker.api.documents import Document, known_time
from worker.api.problem import ApiError, documented
from worker.model.audit import AuditEntry, AuditFilter
from worker.operations.moments import moment_ms

router = APIRouter(tags=["audit"])
_Text = Annotated[str | None, Query(min_length=1, max_length=200)]


class AuditDocument(Document):
    """`who` proved it by `kind`, with the key of that public id, from that address. `digest` is of a payload."""

    id: str
    at: str
    who: str | None
    kind: str
    key: str | None
    from_: Annotated[str | None, Field(alias="from")]
    action: str
    target: str | None
    digest: str | None
    result: Literal["allowed", "denied", "failed"]
    status: int | None
    detail: str | None


class AuditPageDocument(Document):
    """Newest first. A page may be short, or empty, and not be the last: `next` continues, and is null at the end."""

    entries: list[AuditDocument]
    next: str | None


@router.get("/audit", responses=documented(400, 401, 403, 429, 503))
async def read_audit(
    here: Here,
    caller: Asker,
    who: _Text = None,
    action: Annotated[str | None, Query(pattern="^[a-z][a-z0-9.-]{0,63}$", description="Or its first parts.")] = None,
    target: _Text = None,
    result: Literal["allowed", "denied", "failed"] | None = None,
    since: Annotated[str | None, Query(description="Then or later; ISO 8601.")] = None,
    until: Annotated[str | None, Query(description="Then or before; ISO 8601.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,15}-[0-9]{1,19}r?$", description="`next` of a page.")] = None,
) -> AuditPageDocument:
    """Who did what, and what was refused."""
    caller.needs("audit:read")
    wanted = AuditFilter(
        who=who,
        action=action,
        target=target,
        result=result,
        since=_moment(since, "/since"),
        until=_moment(until, "/until"),
    )
    page = await here.audit.read(wanted, limit=limit, before=cursor)
    return AuditPageDocument(entries=[_document(entry) for entry in page.entries], next=page.next)


def _document(entry: AuditEntry) -> AuditDocument:
    return AuditDocument(
        id=entry.id,
        at=known_time(entry.at),
        who=entry.who or None,
        kind=entry.kind,
        key=entry.key or None,
        from_=entry.from_ or None,
        action=entry.action,
        target=entry.target or None,
        digest=entry.digest,
        result=entry.result,
        status=entry.status,
        detail=entry.detail or None,
    )


def _moment(text: str | None, place: str) -> int | None:
    try:
        return moment_ms(text, datetime.now(UTC))
    except (ValueError, OverflowError) as error:
        problems = [Problem(str(error), place)]
        raise ApiError(400, "invalid-query", "the query has wrong parameters", problems=problems) from None
