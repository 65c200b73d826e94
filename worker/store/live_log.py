"""The live view of a run's log: write it while it runs, follow it from the beginning or from anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from io import BytesIO
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from engine.log.index import read_index
from engine.log.record import Chunk
from worker.model.live_log import LiveEnd, LiveGap, LiveLines, LiveLogPart
from worker.model.status import FINAL, Status
from worker.store.connect import BLOCK_MS
from worker.store.errors import InvalidName, UnknownTask, store_errors
from worker.store.keys import FIELDS, RUN_FIELDS, log_key, task_key
from worker.store.live_log_entry import unpack
from worker.store.live_log_writer import EXPIRE_S, LiveLogWriter

START = "0"
# An entry has up to 64 KiB; this bounds what a reader holds.
_ENTRIES = 16
_CURSOR = re.compile(r"([0-9]{1,20}-[0-9]{1,20})\.([0-9]{1,20})\Z")


class LiveLog:
    """The live logs of all runs in one store."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def writer(self, task_id: str, run: int) -> LiveLogWriter:
        """The writer of one run, for its worker. Costs nothing until something is written."""
        return LiveLogWriter(self._redis, task_id, run)

    async def follow(self, task_id: str, run: int, after: str = START) -> AsyncIterator[LiveLogPart]:
        """The log as it comes, until the run has ended; a run that has not started yet is waited for.

        `after` is the id of the last part that was seen. A LiveGap says that bytes between two parts are not
        there (any more). Some minutes after the end of the run only the LiveEnd is left, and a short log that went with
        the record. Raises UnknownTask, InvalidName for another `after`, StoreUnavailable: then go on from the last id.
        """
        entry, offset = _position(after)
        key = log_key(task_id, run)
        ended = await self._ended(task_id, run)
        if ended is None:
            await self._say_that_we_read(key)
            ended = await self._ended(task_id, run)
        entries = await self._again(key, entry) if entry != START else []
        while True:
            for entry, fields in entries:
                if b"e" in fields:
                    for last in await self._ending(task_id, run, entry, offset, Status(fields[b"e"].decode())):
                        yield last
                    return
                for part in _parts(entry, fields, offset):
                    yield part
                    offset = int(part.id.rpartition(".")[2])
            entries = await self._read(key, entry, wait=ended is None)
            if entries:
                continue
            if ended is not None:
                for last in await self._ending(task_id, run, entry if "-" in entry else "0-0", offset, ended):
                    yield last
                return
            ended = await self._ended(task_id, run)

    async def so_far(self, task_id: str, run: int) -> tuple[LiveLines | LiveGap, ...]:
        """What the live log has now, which is its newest part; waits for nothing."""
        key, entry, offset = log_key(task_id, run), START, 0
        parts: list[LiveLines | LiveGap] = []
        while entries := await self._read(key, entry, wait=False):
            for entry, fields in entries:
                for part in _parts(entry, fields, offset):
                    parts.append(part)
                    offset = int(part.id.rpartition(".")[2])
        return tuple(parts)

    async def _read(self, key: str, after: str, *, wait: bool) -> list[tuple[str, Mapping[bytes, bytes]]]:
        with store_errors():
            streams: Any = await self._redis.xread({key: after}, count=_ENTRIES, block=BLOCK_MS if wait else None)
        return [(entry.decode(), fields) for _, entries in streams or () for entry, fields in entries]

    async def _again(self, key: str, entry: str) -> list[tuple[str, Mapping[bytes, bytes]]]:
        """The entry that a reader has seen in part or in whole, if it is still there."""
        with store_errors():
            found: Any = await self._redis.xrange(key, entry, entry)
        return [(number.decode(), fields) for number, fields in found]

    async def _say_that_we_read(self, key: str) -> None:
        """Make the stream if there is none: the end of a run is written only where there is a stream.

        So a run that prints nothing and that nobody follows costs no key.
        """
        with store_errors():
            try:
                await self._redis.xadd(key, {"r": 1}, id="0-1")
            except ResponseError as error:
                if "equal or smaller" not in str(error):
                    raise
            else:
                await self._redis.expire(key, EXPIRE_S)

    async def _ending(
        self, task_id: str, run: int, entry: str, offset: int, status: Status
    ) -> list[LiveLines | LiveEnd]:
        """The end for a reader who has seen everything before `offset`. Before it, of a run whose log went with its
        record and never here, what is left of that."""
        with store_errors():
            ended: Any = await self._redis.hget(task_key(task_id), f"{run:d}")
        text, index = (json.loads(ended).get(RUN_FIELDS["log"]) if ended else None) or ("", "")
        data, end = text.encode(), 0
        parts: list[LiveLines | LiveEnd] = []
        for stretch in read_index(BytesIO(bytes.fromhex(index))):
            start, end = max(end, offset), end + stretch.length
            if end > start:
                parts.append(LiveLines(f"{entry}.{end}", Chunk(stretch.source, stretch.time_ms, data[start:end])))
        return [*parts, LiveEnd(f"{entry}.{max(end, offset)}", status)]

    async def _ended(self, task_id: str, run: int) -> Status | None:
        """The status of a run that has ended, or will never be because its task is final."""
        with store_errors():
            found: Any = await self._redis.hmget(task_key(task_id), FIELDS["status"], FIELDS["run"], f"{run:d}")
        status, newest, ended = found
        if status is None:
            raise UnknownTask(f"no task {task_id}")
        if ended is not None:
            return Status(json.loads(ended)[RUN_FIELDS["status"]])
        task_status = Status(status.decode())
        return task_status if task_status in FINAL and run > int(newest) else None


def _parts(entry: str, fields: Mapping[bytes, bytes], offset: int) -> list[LiveGap | LiveLines]:
    """What an entry has for a reader who has seen everything before `offset`."""
    if b"d" not in fields:
        return []
    parts: list[LiveGap | LiveLines] = []
    start = int(fields[b"o"])
    if start > offset:
        parts.append(LiveGap(f"{entry}.{start}", start - offset, start, fields.get(b"n", b"").decode()))
    parts.extend(LiveLines(f"{entry}.{end}", chunk) for end, chunk in unpack(fields) if end > offset)
    return parts


def _position(after: str) -> tuple[str, int]:
    if after == START:
        return START, 0
    found = _CURSOR.match(after)
    if not found:
        raise InvalidName(f"not a place in a live log: {after[:40]!a}")
    return found[1], int(found[2])
