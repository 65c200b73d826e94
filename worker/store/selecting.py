"""Select tasks: by indexes where there are some, and by a bounded look at the records where there are none."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from typing import Any

from msgspec.structs import replace
from redis.asyncio import Redis

from worker.model.listing import Selection, TaskFilter
from worker.model.status import Status
from worker.model.task import Task
from worker.store.errors import InvalidName, store_errors
from worker.store.keys import script_key, status_key
from worker.store.reading import PAGE_LIMIT, POSITION
from worker.store.summaries import Summary, read_payloads, read_summaries

# Records that one selection looks at, at most, and bytes of payloads: some tenths of a second of this process, in which
# others have their turn.
LOOKED_AT = 2000
LOOKED_AT_BYTES = 16 * 1024 * 1024
_BATCH = 200


async def read_selection(
    redis: Redis, wanted: TaskFilter, limit: int, before: str | None, payload_bytes: int = 0
) -> Selection:
    """With the payloads that are not larger than `payload_bytes`."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise ValueError(f"a page has 1 to {PAGE_LIMIT} tasks, not {limit}")
    if before is not None and not POSITION.match(before):
        raise InvalidName(f"not a cursor: {before[:40]!a}")
    counts = await _counts(redis, wanted)
    found: list[Summary] = []
    statuses: Counter[Status] = Counter()
    at, looked_at, end = before, 0, False
    looked_at_bytes = 0
    while len(found) < limit and looked_at < LOOKED_AT and looked_at_bytes < LOOKED_AT_BYTES and not end:
        room = limit - len(found) if wanted.indexed else _BATCH
        places = await _places(redis, wanted, at, room + 1)
        more, places = len(places) > room, places[:room]
        summaries = await read_summaries(redis, [task_id for _, task_id in places])
        async with aclosing(
            read_payloads(redis, [each for each in summaries if each and _unsure(wanted, each)])
        ) as payloads:
            for number, ((position, _), summary) in enumerate(zip(places, summaries, strict=True), 1):
                at, looked_at = str(position), looked_at + 1
                if summary is None or not wanted.admits(summary.task):
                    continue
                if _unsure(wanted, summary):
                    looked_at_bytes += summary.payload_bytes
                    matches = wanted.mentioned_in(await anext(payloads))
                else:
                    matches = True
                if matches:
                    found.append(summary)
                    statuses[summary.task.status] += 1
                if len(found) == limit or looked_at_bytes >= LOOKED_AT_BYTES:
                    more = more or number < len(places)
                    break
        end = not more
    tasks = await _with_payloads(redis, found, payload_bytes)
    total: int | None = None
    if wanted.indexed:
        total = sum(count for status, count in counts.items() if wanted.statuses is None or status in wanted.statuses)
        return Selection(tasks, total, counts, None if end else at)
    if end and before is None:
        total = len(tasks)
    known = total is not None and wanted.statuses is None
    return Selection(
        tasks, total, {status: statuses[status] for status in Status} if known else None, None if end else at
    )


async def _places(redis: Redis, wanted: TaskFilter, before: str | None, count: int) -> list[tuple[int, str]]:
    """Positions and ids, newest first."""
    statuses = [status for status in Status if wanted.statuses is None or status in wanted.statuses]
    keys = [key for status in statuses for key in _keys(wanted, status)]
    oldest, newest = _bounds(wanted)
    if before is not None and (wanted.until is None or int(before) < wanted.until * 1000):
        newest = f"({before}"
    if not keys:
        return []
    async with redis.pipeline(transaction=True) as indexes:
        for key in keys:
            indexes.zrevrangebyscore(key, newest, oldest, start=0, num=count, withscores=True)
        with store_errors():
            answers: list[Any] = await indexes.execute()
    found = {member.decode(): int(position) for entries in answers for member, position in entries}
    return sorted(((position, task_id) for task_id, position in found.items()), reverse=True)[:count]


def _unsure(wanted: TaskFilter, summary: Summary) -> bool:
    """Whether only the payload can tell."""
    return wanted.admits(summary.task) and not wanted.mentioned_by(summary.task)


async def _with_payloads(redis: Redis, found: list[Summary], payload_bytes: int) -> tuple[Task, ...]:
    small = [summary for summary in found if summary.payload_bytes <= payload_bytes]
    payloads = dict(zip([each.task.id for each in small], [p async for p in read_payloads(redis, small)], strict=True))
    return tuple(replace(each.task, payload=payloads.get(each.task.id)) for each in found)


async def _counts(redis: Redis, wanted: TaskFilter) -> dict[Status, int]:
    if not wanted.indexed:
        return {}
    lists = [(status, key) for status in Status for key in _keys(wanted, status)]
    counts = dict.fromkeys(Status, 0)
    if not lists:
        return counts
    oldest, newest = _bounds(wanted)
    async with redis.pipeline(transaction=True) as indexes:
        for _, key in lists:
            indexes.zcount(key, oldest, newest)
        with store_errors():
            answers: list[Any] = await indexes.execute()
    for (status, _), count in zip(lists, answers, strict=True):
        counts[status] += count
    return counts


def _keys(wanted: TaskFilter, status: Status) -> list[str]:
    if wanted.scripts is None:
        return [status_key(status)]
    return [script_key(script, status) for script in sorted(wanted.scripts)]


def _bounds(wanted: TaskFilter) -> tuple[str, str]:
    """Of positions, which are microseconds."""
    oldest = "-inf" if wanted.since is None else str(wanted.since * 1000)
    newest = "+inf" if wanted.until is None else f"({wanted.until * 1000}"
    return oldest, newest
