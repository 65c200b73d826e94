"""Audit: who did what, and what was refused, for who may read that. Nothing here writes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import Field

from engine.errors import Problem
from worker.api.caller import Asker
from worker.api.context import Context, Here
from worker.api.documents import Document
from worker.api.listing import moment
from worker.api.problem import ApiError, documented
from worker.model.audit import ACTION, ENTRY_ID, AuditFilter, AuditPage, Result

router = APIRouter(prefix="/audit", tags=["audit"])
_LIMIT = 50
_EXPORT_PAGE = 1000
_LINES = "application/jsonl"
_ACTION = "^" + ACTION.pattern.removesuffix(r"\Z") + "$"
_CURSOR = "^" + ENTRY_ID.pattern.removesuffix(r"\Z") + "$"
_Text = Annotated[str | None, Query(min_length=1, max_length=200)]


class AuditDocument(Document):
    """One call. `key`: the public id of an API key; `digest`: SHA-256 of a payload; `status`: of HTTP."""

    id: str
    at: str
    who: str | None
    kind: str
    key: str | None
    from_: Annotated[str | None, Field(alias="from")]
    action: str
    target: str | None
    digest: str | None
    result: Result
    status: int | None
    detail: str | None


class AuditPageDocument(Document):
    """Newest first. `next` continues with what follows: a page may be short, or empty, and still have one."""

    entries: list[AuditDocument]
    next: str | None


class Filters:
    """A dependency: the query's parameters."""

    def __init__(
        self,
        who: _Text = None,
        action: Annotated[
            str | None, Query(max_length=64, pattern=_ACTION, description="A whole one, or its first part: `keys`.")
        ] = None,
        target: _Text = None,
        result: Result | None = None,
        since: Annotated[str | None, Query(description="Then or later; ISO 8601.")] = None,
        until: Annotated[str | None, Query(description="Then or earlier; ISO 8601.")] = None,
        limit: Annotated[int | None, Query(ge=1, le=1000, description=f"{_LIMIT} unless given.")] = None,
        cursor: Annotated[str | None, Query(pattern=_CURSOR, description="`next` of a page.")] = None,
        form: Annotated[Literal["json", "jsonl"], Query(alias="format")] = "json",
    ) -> None:
        now = datetime.now(UTC)
        self.wanted = AuditFilter(
            who=who,
            action=action,
            target=target,
            result=result,
            since=moment(since, "/since", now),
            until=moment(until, "/until", now),
        )
        self.limit, self.cursor, self.lines = limit or _LIMIT, cursor, form == "jsonl"
        if self.lines:
            paged = [name for name, value in (("limit", limit), ("cursor", cursor)) if value is not None]
            if paged:
                problems = [Problem("an export has no pages", f"/{name}") for name in paged]
                raise ApiError(400, "invalid-query", "the query has wrong parameters", problems=problems)


@router.get(
    "",
    response_model=None,
    responses={
        200: {
            "model": AuditPageDocument,
            "content": {_LINES: {"schema": {"type": "string"}}},
            "description": "A page; with `format=jsonl` all entries that match, one JSON object a line.",
        },
        **documented(400, 401, 403, 429),
    },
)
async def read_audit(here: Here, caller: Asker, asked: Annotated[Filters, Depends()]) -> Response:
    """What was done and what was refused, newest first. The oldest entries go when there are too many."""
    caller.needs("audit:read")
    if not asked.lines:
        page = await here.audit.read(asked.wanted, limit=asked.limit, before=asked.cursor)
        return JSONResponse({"entries": [entry.document() for entry in page.entries], "next": page.next})
    # Before the answer begins, so that a store that is away can still be told.
    first = await here.audit.read(asked.wanted, limit=_EXPORT_PAGE)
    headers = {"Content-Disposition": 'attachment; filename="audit.jsonl"'}
    return StreamingResponse(_lines(here, asked.wanted, first), media_type=_LINES, headers=headers)


async def _lines(here: Context, wanted: AuditFilter, page: AuditPage) -> AsyncIterator[str]:
    """A page at a time: an export needs no more memory than that."""
    while True:
        if page.entries:
            yield "".join(json.dumps(entry.document(), ensure_ascii=True) + "\n" for entry in page.entries)
        if page.next is None:
            return
        page = await here.audit.read(wanted, limit=_EXPORT_PAGE, before=page.next)
