"""Write a run's live log.

The log that counts is a file elsewhere: what cannot be sent in time is left out here.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from functools import cached_property
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from engine.log.record import Chunk
from worker.store.errors import StoreError, StoreUnavailable, store_errors
from worker.store.keys import log_key
from worker.store.live_log_entry import ENTRY_BYTES, Entry, pack
from worker.store.tally import Tally

# What the stream keeps for readers who come late, and what waits here while the store is slow or away.
STREAM_BYTES = 4 * 1024 * 1024
BUFFER_BYTES = 1024 * 1024
# One pipeline; small enough for other calls of the same worker to get through.
BATCH_BYTES = 256 * 1024
# What an entry or a chunk costs besides its bytes, roughly.
OVERHEAD_BYTES = 128
# A reader sees a line this much later at most, and a fast log is sent this often.
GATHER_S = 0.02
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
CLOSE_S = 1.0
# So that a stream whose worker was lost goes by itself.
EXPIRE_S = 24 * 3600
EXPIRE_AGAIN_S = 600.0


class LiveLogWriter:
    """The one writer of one run's stream.

    Made and closed in the event loop that sends; `append` from any thread. Nothing is sent before `go_live`: most runs
    are over by then, and what such a run has said goes with its record.
    """

    def __init__(self, redis: Redis, task_id: str, run: int) -> None:
        self._redis = redis
        self._task_id = task_id
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._live = False
        self._lock = threading.Lock()
        self._waiting: deque[Chunk] = deque()
        self._waiting_bytes = 0
        # Of the first byte that waits; bytes that were left out count, so that readers see the jump.
        self._offset = 0
        self._tally = Tally()
        self._awake = False
        self._closed = False
        self._sending: asyncio.Task[None] | None = None
        # Numbers of our own and not the server's, so that a batch that is sent twice is recorded once.
        self._number = 0
        self._kept: deque[tuple[int, int]] = deque()
        self._kept_bytes = 0
        self._expire_at = 0.0

    @cached_property
    def _key(self) -> str:
        return log_key(self._task_id, self._run)

    def append(self, chunk: Chunk) -> None:
        """Take a chunk and return at once. When too much waits, the oldest is left out of the live view."""
        if not chunk.data:
            return
        with self._lock:
            if self._closed:
                return
            self._waiting.append(chunk)
            self._waiting_bytes += len(chunk.data) + OVERHEAD_BYTES
            while self._waiting_bytes > BUFFER_BYTES:
                left_out = self._waiting.popleft()
                self._waiting_bytes -= len(left_out.data) + OVERHEAD_BYTES
                self._offset += len(left_out.data)
                self._tally.add(left_out)
            if self._awake:
                return
            self._awake = True
        if threading.get_ident() == self._thread:
            self._wake()
        else:
            self._loop.call_soon_threadsafe(self._wake)

    async def close(self, deadline_s: float = CLOSE_S, *, recorded: bool = False) -> Entry | None:
        """Send what waits, for so long and no longer. Then nothing more is taken; twice is fine.

        The end of the run is not written here but with its record, so that a reader who sees it finds the
        record. So is what is returned: the whole log, when it is short and nothing of it was sent. `recorded`: the
        record has it all, where readers find it too.
        """
        with self._lock:
            self._closed = True
            awake = self._awake
            if recorded and not self._live:
                self._waiting.clear()
                return None
        if not self._live and self._offset == 0 and self._waiting_bytes <= ENTRY_BYTES:
            return self._whole()
        if awake:
            # The wake-up of a last append may still be on its way through the loop.
            self._wake()
        if self._sending is not None and not self._sending.done():
            await asyncio.wait((self._sending,), timeout=deadline_s)
            self._sending.cancel()
            await asyncio.wait((self._sending,))
        return None

    def _whole(self) -> Entry | None:
        with self._lock:
            entries = pack(self._waiting, 0, self._tally)
            self._waiting.clear()
            self._waiting_bytes = 0
        return entries[0] if entries else None

    def go_live(self) -> None:
        """The run lasts: send what waits, and from now on what comes. In the loop's thread."""
        self._live = True
        if self._awake:
            self._wake()

    def _wake(self) -> None:
        if (self._live or self._closed) and (self._sending is None or self._sending.done()):
            self._sending = self._loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        while True:
            if not self._closed and self._number:
                await asyncio.sleep(GATHER_S)
            entries = self._take()
            if not entries:
                return
            try:
                await self._send_until_taken(entries)
            except StoreError:
                # The stream cannot be written, by rights or by type. The file has the log.
                with self._lock:
                    self._closed = True
                    self._waiting.clear()
                return

    def _take(self) -> list[Entry]:
        """Up to a batch of what waits; when nothing does, the next append wakes a new sender."""
        with self._lock:
            chunks: list[Chunk] = []
            size = 0
            while self._waiting and size < BATCH_BYTES:
                chunk = self._waiting.popleft()
                self._waiting_bytes -= len(chunk.data) + OVERHEAD_BYTES
                size += len(chunk.data)
                chunks.append(chunk)
            offset = self._offset
            self._offset += size
            if not chunks:
                self._awake = False
            # Under the lock, because what is left out is counted too.
            return pack(chunks, offset, self._tally)

    async def _send_until_taken(self, entries: list[Entry]) -> None:
        first = self._number + 1
        self._number += len(entries)
        oldest = self._make_room(first, entries)
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._send(first, entries, oldest)
                return
            except StoreUnavailable:
                await asyncio.sleep(pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    def _make_room(self, first: int, entries: list[Entry]) -> int:
        """The number of the oldest entry that stays when these are added."""
        for number, entry in enumerate(entries, first):
            size = entry.size + len(entry.header) + OVERHEAD_BYTES
            self._kept.append((number, size))
            self._kept_bytes += size
        while self._kept_bytes > STREAM_BYTES:
            self._kept_bytes -= self._kept.popleft()[1]
        return self._kept[0][0]

    async def _send(self, first: int, entries: list[Entry], oldest: int) -> None:
        now = self._loop.time()
        async with self._redis.pipeline(transaction=False) as batch:
            for number, entry in enumerate(entries, first):
                fields: Any = entry.fields()
                batch.xadd(self._key, fields, id=f"{number}-0", minid=f"{oldest}-0", approximate=False)
            if now >= self._expire_at:
                batch.expire(self._key, EXPIRE_S)
            with store_errors():
                answers = await batch.execute(raise_on_error=False)
                for answer in answers:
                    # What is there already was taken the first time, or the run has been ended by someone
                    # else.
                    if isinstance(answer, ResponseError) and "equal or smaller" not in str(answer):
                        raise answer
        if now >= self._expire_at:
            self._expire_at = now + EXPIRE_AGAIN_S
