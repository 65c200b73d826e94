"""Summaries: tasks without their payloads, which may be large; and payloads, some bytes of them at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis

from worker.model.task import Task
from worker.store import decoding
from worker.store.hashes import Hash, ask
from worker.store.keys import FIELDS, task_key

# Of all records: most tasks have no more runs; the others are asked for theirs once more.
_RUNS = 2
# So much is decoded before others have their turn: some milliseconds.
_RECORDS = 50
_BYTES = 1024 * 1024
_NAMES = [*(short for name, short in FIELDS.items() if name != "shown"), *map(str, range(_RUNS))]


class Summary(Struct, frozen=True):
    """`task` has no payload; `payload_bytes` is how large it is."""

    task: Task
    payload_bytes: int


async def read_summaries(redis: Redis, task_ids: Sequence[str]) -> list[Summary | None]:
    """None for one that was pruned. Lets others have their turn now and then. Raises StoreUnavailable."""
    found: list[Summary | None] = []
    for start in range(0, len(task_ids), _RECORDS):
        some = task_ids[start : start + _RECORDS]
        hashes, sizes = await _hashes(redis, some)
        for task_id, fields, size in zip(some, hashes, sizes, strict=True):
            found.append(Summary(decoding.task(task_id, fields), size) if fields else None)
        await asyncio.sleep(0)
    return found


async def read_payloads(redis: Redis, wanted: Sequence[Summary]) -> AsyncGenerator[Any, None]:
    """The payload of each as it is shown, in their order; None for one that was pruned meanwhile."""
    start = 0
    while start < len(wanted):
        end, size = start + 1, wanted[start].payload_bytes
        while end < len(wanted) and size + wanted[end].payload_bytes <= _BYTES:
            size += wanted[end].payload_bytes
            end += 1
        some = [summary.task.id for summary in wanted[start:end]]
        start = end
        texts = await ask(redis, [("HGET", task_key(task_id), FIELDS["shown"]) for task_id in some])
        while texts:  # none is held longer than needed
            text = texts.pop(0)
            yield None if text is None else decoding.shown(text.decode("utf-8", "replace"))
        await asyncio.sleep(0)


async def _hashes(redis: Redis, task_ids: Sequence[str]) -> tuple[list[Hash], list[int]]:
    """Their fields but the payload, and how large that is."""
    keys = [task_key(task_id) for task_id in task_ids]
    answers = await ask(
        redis,
        [("HMGET", key, *_NAMES) for key in keys] + [("HSTRLEN", key, FIELDS["shown"]) for key in keys],
    )
    found = [_present(_NAMES, values) for values in answers[: len(keys)]]
    longer = [
        (key, fields, [str(run) for run in range(_RUNS, int(fields[FIELDS["run"].encode()]) + 1)])
        for key, fields in zip(keys, found, strict=True)
        if fields and int(fields[FIELDS["run"].encode()]) >= _RUNS
    ]
    more = await ask(redis, [("HMGET", key, *runs) for key, _, runs in longer])
    for (_, fields, runs), values in zip(longer, more, strict=True):
        fields.update(_present(runs, values))
    return found, answers[len(keys) :]


def _present(names: Sequence[str], values: Sequence[bytes | None]) -> Hash:
    return {name.encode(): value for name, value in zip(names, values, strict=True) if value is not None}
