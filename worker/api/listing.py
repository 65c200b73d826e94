"""Listing: the filters of `GET /tasks`, each checked, as what the store is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Depends, Query

from engine.errors import Problem
from worker.api.caller import Caller
from worker.api.context import Context
from worker.api.documents import StatusName
from worker.api.problem import ApiError
from worker.model.command import COMMANDS
from worker.model.listing import Selection, TaskFilter
from worker.model.status import Status
from worker.operations.moments import moment_ms

Trigger = Literal["api", "cli", "schedule", "workflow", "celery"]
_NAME = r"^[!-~]{1,200}$"
_MANY = 20  # values of one filter
_Name = Annotated[str, Query(pattern=_NAME)]


class Filters:
    """A dependency: the query's parameters."""

    def __init__(
        self,
        script: Annotated[list[_Name] | None, Query(max_length=_MANY)] = None,
        status: Annotated[list[StatusName] | None, Query(max_length=_MANY)] = None,
        reason: Annotated[list[_Name] | None, Query(max_length=_MANY)] = None,
        trigger: Annotated[list[Trigger] | None, Query(max_length=_MANY)] = None,
        worker: Annotated[list[_Name] | None, Query(max_length=_MANY)] = None,
        workflow: Annotated[list[_Name] | None, Query(max_length=_MANY)] = None,
        parent: Annotated[list[_Name] | None, Query(max_length=_MANY)] = None,
        tag: Annotated[list[str] | None, Query(max_length=_MANY)] = None,
        since: Annotated[str | None, Query(description="Recorded then or later; ISO 8601.")] = None,
        until: Annotated[str | None, Query(description="Recorded before; ISO 8601.")] = None,
        q: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(pattern="^[0-9]{1,17}$", description="`next` of a page.")] = None,
    ) -> None:
        self.scripts = _set(script)
        self.statuses = None if status is None else frozenset(Status(each) for each in status)
        self.reasons, self.triggers, self.workers, self.workflows, self.parents, self.tags = (
            _set(values) for values in (reason, trigger, worker, workflow, parent, tag)
        )
        now = datetime.now(UTC)
        self.since, self.until = moment(since, "/since", now), moment(until, "/until", now)
        self.text, self.limit, self.cursor = q, limit, cursor


Asked = Annotated[Filters, Depends()]


async def select(here: Context, caller: Caller, asked: Filters, payload_bytes: int = 0) -> Selection:
    """What the caller may read of it. Raises ApiError (403) when that is nothing, or a script is not theirs to read."""
    caller.needs("tasks:read")
    wanted = TaskFilter(
        scripts=readable_scripts(here, caller, asked.scripts),
        statuses=asked.statuses,
        since=asked.since,
        until=asked.until,
        reasons=asked.reasons,
        triggers=asked.triggers,
        workers=asked.workers,
        workflows=asked.workflows,
        parents=asked.parents,
        tags=asked.tags,
        text=asked.text,
    )
    return await here.records.select(wanted, limit=asked.limit, before=asked.cursor, payload_bytes=payload_bytes)


def readable_scripts(here: Context, caller: Caller, asked: frozenset[str] | None = None) -> frozenset[str] | None:
    """Those asked for, or all that the caller may read; None for all that there are. Raises NotAllowed."""
    if asked is not None:
        for script in sorted(asked):
            caller.needs(f"scripts:read:{script}")
        return asked
    if caller.principal.may("scripts:read"):
        return None
    names = {*here.catalog.scripts, *COMMANDS}
    found = frozenset(name for name in names if caller.may_read_script(name))
    if not found:
        caller.needs("scripts:read")
    return found


def _set(values: Sequence[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def moment(text: str | None, place: str, now: datetime) -> int | None:
    """Raises ApiError (400) for what is no time."""
    try:
        return moment_ms(text, now)
    except (ValueError, OverflowError) as error:
        raise ApiError(
            400, "invalid-query", "the query has wrong parameters", problems=[Problem(str(error), place)]
        ) from None
