"""Read the records: one task, pages of tasks, counts. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from worker.model.listing import Event, TaskPage
from worker.model.status import Status
from worker.model.task import Task
from worker.store import decoding
from worker.store.connect import BLOCK_MS
from worker.store.errors import InvalidName, store_errors
from worker.store.hashes import read_hashes
from worker.store.keys import EVENT, EVENT_FIELDS, EVENTS, FIELDS, script_key, status_key, task_key
from worker.store.summaries import read_summaries

PAGE_LIMIT = 1000

POSITION = re.compile(r"[0-9]{1,17}\Z")
_STREAM_ID = re.compile(r"[0-9]{1,20}(-[0-9]{1,20})?\Z")


async def read_task(redis: Redis, task_id: str) -> Task | None:
    (values,) = await read_hashes(redis, [task_key(task_id)])
    return decoding.task(task_id, values) if values else None


async def read_page(
    redis: Redis, script: str | None, status: Status | None, limit: int, before: str | None
) -> TaskPage:
    """At most `limit` tasks, newest first. Each status has its own list, so at most seven are merged."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise ValueError(f"a page has 1 to {PAGE_LIMIT} tasks, not {limit}")
    if before is not None and not POSITION.match(before):
        raise InvalidName(f"not a cursor: {before[:40]!a}")
    statuses = [status] if status else list(Status)
    keys = [script_key(script, each) if script is not None else status_key(each) for each in statuses]
    newest = f"({before}" if before is not None else "+inf"
    async with redis.pipeline(transaction=True) as indexes:
        for key in keys:
            indexes.zcard(key)
            indexes.zrevrangebyscore(key, newest, "-inf", start=0, num=limit + 1, withscores=True)
        with store_errors():
            answers: list[Any] = await indexes.execute()
    found = sorted(
        ((int(position), member.decode()) for entries in answers[1::2] for member, position in entries),
        reverse=True,
    )
    summaries = await read_summaries(redis, [task_id for _, task_id in found[:limit]])
    tasks = [summary.task for summary in summaries if summary]
    return TaskPage(
        # A task may have moved on since the lists were read.
        tasks=tuple(task for task in tasks if status is None or task.status is status),
        total=sum(answers[0::2]),
        next=str(found[limit - 1][0]) if len(found) > limit else None,
    )


async def read_pending(redis: Redis, script: str | None, after: str | None, limit: int) -> tuple[str, ...]:
    """Ids, newest first. With `after` those that were recorded before that task; all, when it is not kept any more."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise ValueError(f"a page has 1 to {PAGE_LIMIT} tasks, not {limit}")
    key = status_key(Status.PENDING) if script is None else script_key(script, Status.PENDING)
    position: Any = None
    with store_errors():
        if after is not None:
            position = await redis.hget(task_key(after), FIELDS["position"])
        newest = "+inf" if position is None else f"({int(position)}"
        found: Any = await redis.zrevrangebyscore(key, newest, "-inf", start=0, num=limit)
    return tuple(task_id.decode() for task_id in found)


async def read_counts(redis: Redis) -> dict[Status, int]:
    async with redis.pipeline(transaction=True) as indexes:
        for status in Status:
            indexes.zcard(status_key(status))
        with store_errors():
            return dict(zip(Status, await indexes.execute(), strict=True))


async def read_counts_of_scripts(redis: Redis, scripts: Sequence[str]) -> dict[str, dict[Status, int]]:
    async with redis.pipeline(transaction=False) as indexes:
        for script in scripts:
            for status in Status:
                indexes.zcard(script_key(script, status))
        with store_errors():
            answers = iter(await indexes.execute() if scripts else ())
    return {script: {status: next(answers) for status in Status} for script in scripts}


async def newest_event(redis: Redis) -> str:
    with store_errors():
        newest: Any = await redis.xrevrange(EVENTS.name, count=1)
    return newest[0][0].decode() if newest else "0-0"


async def event_kept(redis: Redis, event_id: str) -> bool:
    """Whether that event, or one before it, is kept: then so are all that follow."""
    if not _STREAM_ID.match(event_id):
        raise InvalidName(f"not the id of an event: {event_id[:40]!a}")
    with store_errors():
        found: Any = await redis.xrange(EVENTS.name, "-", event_id, count=1)
    return bool(found)


async def read_events(redis: Redis, after: str, block_ms: int | None, count: int) -> tuple[Event, ...]:
    if not _STREAM_ID.match(after):
        raise InvalidName(f"not the id of an event: {after[:40]!a}")
    block = None if block_ms is None else max(1, min(block_ms, BLOCK_MS))
    with store_errors():
        streams: Any = await redis.xread({EVENTS.name: after}, count=count, block=block)
    return tuple(_event(entry_id, fields) for _, entries in streams or () for entry_id, fields in entries)


def _event(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Event:
    if (text := fields.get(EVENT.encode())) is not None:
        parts = text.decode("utf-8", "replace").split(" ", len(EVENT_FIELDS) - 1)
        found = dict(zip(EVENT_FIELDS, parts, strict=True))
    else:  # of an older version
        found = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
    return Event(
        id=entry_id.decode(),
        kind=found["kind"],
        task_id=found["task"],
        script=found["script"],
        run=int(found["run"]),
        status=Status(found["status"]),
        reason=found["reason"] or None,
        worker=found["worker"] or None,
    )
