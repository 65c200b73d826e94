"""Stream: one task as server-sent events, from its beginning or from any place to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from worker.api.caller import Asker, Caller
from worker.api.context import Context, Here
from worker.api.documents import time
from worker.api.kept import open_kept, open_running
from worker.api.log_lines import Batch, LiveLines
from worker.api.place import Place, Step
from worker.api.problem import ApiError, documented
from worker.api.readable import readable_task
from worker.api.sse import CHUNK_BYTES, HEARTBEAT, HEARTBEAT_S, RETRY, EventStream, event, while_allowed
from worker.api.streams import Streams
from worker.api.tail import LiveReader, Tail, until
from worker.api.woken import woken
from worker.model.status import FINAL
from worker.model.task import Run, Task
from worker.store import Files, Records, StoreUnavailable

router = APIRouter(tags=["streams"])
_PAUSE_S = 1.0
_BEHIND_S = 0.25
Since = Annotated[
    str | None, Query(max_length=100, description="As the header `Last-Event-ID`: the id of the last event seen.")
]
# Of one event, as OpenAPI 3.2 and its tools read it; in the words of 3.1 there is no schema for a stream.
EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "For `Last-Event-ID`."},
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "retry": {"type": "integer"},
    },
}
SSE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": EVENT}}},
    204: {"description": "The last event was seen already; do not come again."},
    **documented(400, 401, 403, 404, 429, 503),
}


@router.get("/{task_id}/stream", responses=SSE_ANSWERS, response_class=Response)
async def stream(task_id: str, request: Request, here: Here, caller: Asker, since: Since = None) -> Response:
    """The task as it happens: `status`, `log`, `artifact`, one last `done`; then the stream ends.

    Every event has an id, and `Last-Event-ID` or `since` goes on behind it, at any server, at any time.
    """
    task = await readable_task(task_id, here, caller)
    place = _place(request.headers.get("last-event-id") or since, task)
    if place.step is Step.DONE and task.status in FINAL:
        return Response(status_code=204)
    run = _run_of(task, place)
    if run.claimed_at and run.status not in FINAL:
        here.streams.check_tail(task.id, run.number, caller.identity)
    following = TaskStream(here.streams, here.records, here.files, task, place, caller.identity)
    return EventStream(
        while_allowed(following.chunks(), still_allowed(request, here, task.script)),
        here.streams.seat("task", caller.identity, caller.proofs),
    )


def still_allowed(request: Request, here: Context, script: str | None = None) -> Callable[[], Awaitable[bool]]:
    """Whether the caller may go on reading: a key may have been revoked while a stream was open."""
    headers = dict(request.headers)

    async def ask() -> bool:
        try:
            caller = Caller(await here.authenticator.authenticate(headers), None)
            caller.needs("tasks:read")
        except StoreUnavailable:
            return True  # nothing new is sent meanwhile
        except Exception:  # noqa: BLE001 - refused, for whatever reason: the next request is told which
            return False
        return script is None or caller.may_read_script(script)

    return ask


def _place(text: str | None, task: Task) -> Place:
    try:
        place = Place.parse(text) if text else Place()
    except ValueError as error:
        raise ApiError(400, "invalid-event-id", str(error)) from None
    if place.run > task.runs[-1].number:
        raise ApiError(400, "invalid-event-id", "the task has no such run")
    return place


def _run_of(task: Task, place: Place) -> Run:
    return next(run for run in task.runs if run.number == place.run)


class TaskStream(Struct):
    """`place` moves along with what was sent."""

    streams: Streams
    records: Records
    files: Files
    task: Task
    place: Place
    who: str

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Many events in each. Ends early when the server ends, the task is removed, or there is no room to follow it.

        Who comes again behind the last event is told which of these it was.
        """
        yield RETRY
        while True:
            if self.place.step < Step.PENDING:
                yield self._status("pending", self._run.created_at)
                self.place = replace(self.place, step=Step.PENDING)
            if self.place.step < Step.ENDED:
                try:
                    async with aclosing(self._log()) as log:
                        async for chunk in log:
                            yield chunk
                except ApiError:
                    return
                if not self._over:
                    return
            yield b"".join(self._end())
            if self.place.step is Step.DONE:
                return
            self.place = Place(self.place.run + 1)

    @property
    def _run(self) -> Run:
        return _run_of(self.task, self.place)

    @property
    def _over(self) -> bool:
        return self._run.status in FINAL

    def _has_begun(self) -> bool:
        return self._over or self._run.claimed_at is not None

    async def _log(self) -> AsyncGenerator[bytes, None]:
        """Until the run has ended and all of its log was sent, or nothing more can come.

        Raises ApiError when it cannot be followed.
        """
        with self.streams.feed.watch(self.task.id) as changed:
            async with aclosing(self._waiting(changed)) as waiting:
                async for chunk in waiting:
                    yield chunk
        if not self._has_begun():
            return
        if self._over:
            for chunk in self._running():
                yield chunk
            async with aclosing(self._kept(complete=True)) as kept:
                async for chunk in kept:
                    yield chunk
            if self.place.log.bytes >= self._run.log_bytes:
                return
        with self.streams.feed.watch(self.task.id) as changed:
            async with (
                self.streams.tail(self.task.id, self.place.run, changed, self.who) as tail,
                aclosing(self._live(tail, changed)) as live,
            ):
                async for chunk in live:
                    yield chunk
        if self._over:
            async with aclosing(self._kept(complete=True)) as kept:
                async for chunk in kept:
                    yield chunk
            missing = self._run.log_bytes - self.place.log.bytes
            if missing > 0:
                yield event("gap", {"runId": self.place.run, "lostBytes": missing})

    async def _waiting(self, changed: asyncio.Event) -> AsyncGenerator[bytes, None]:
        """Until the run is claimed. It is not followed before: that takes a connection to the store."""
        loop = asyncio.get_running_loop()
        beat_s = loop.time() + HEARTBEAT_S
        while not self._has_begun() and not self.streams.feed.stopped:
            changed.clear()
            if not await self._look() or self._has_begun():
                return
            await woken(changed, beat_s - loop.time())
            if loop.time() >= beat_s:
                yield HEARTBEAT
                beat_s = loop.time() + HEARTBEAT_S

    async def _live(self, tail: Tail, changed: asyncio.Event) -> AsyncGenerator[bytes, None]:
        """Follow the live view to the end of the run."""
        loop = asyncio.get_running_loop()
        beat_s = loop.time() + HEARTBEAT_S
        behind: LiveReader | None = None
        told, look = False, True
        while not self.streams.feed.stopped:
            changed.clear()
            if look and not await self._look():
                return
            for chunk in self._running():
                yield chunk
            look = False
            found = tail.after(self.place.log)
            if found is None:
                behind = behind or LiveReader(
                    self.streams.live_log, self.task.id, self.place.run, LiveLines(self.place.run)
                )
                found = await self._catch_up(behind)
            else:
                behind = None
            if found and self.place.step < Step.RUNNING:
                look = True  # it was claimed
                continue
            if found:
                chunk = self._advance(found)
                found = None  # not to be held while the chunk waits for its reader
                yield chunk
                continue
            if found is None:
                # Not in the live view (any more). A worker on this machine has it in its file.
                before = self.place.log
                async with aclosing(self._kept(complete=False)) as running:
                    async for chunk in running:
                        yield chunk
                if self.place.log != before:
                    continue
                if not told:
                    told = True
                    yield event("behind", {"runId": self.place.run, "seq": self.place.log.lines + 1})
                await asyncio.sleep(_BEHIND_S)
            if tail.ended and (not await self._look() or self._over):
                return
            wait_s = beat_s - loop.time()
            look = await woken(changed, min(wait_s, _PAUSE_S) if tail.ended else wait_s)
            if loop.time() >= beat_s:
                yield HEARTBEAT
                beat_s = loop.time() + HEARTBEAT_S

    async def _catch_up(self, reader: LiveReader) -> tuple[Batch, ...] | None:
        """From the store, what this process does not hold any more. None: the store has not got it either."""
        if reader.ended or reader.behind:
            return None
        try:
            async with self.streams.behind, asyncio.timeout(_PAUSE_S), aclosing(reader.batches()) as batches:
                async for batch in batches:
                    if batch.end.bytes <= self.place.log.bytes:
                        continue
                    if batch.start > self.place.log.bytes:
                        break
                    return (batch, *await until(batches, CHUNK_BYTES - batch.size))
        except (TimeoutError, StoreUnavailable):
            pass
        reader.behind = True
        return None

    async def _kept(self, *, complete: bool) -> AsyncGenerator[bytes, None]:
        """What the log that is kept, or still being written, has behind our place."""
        if complete:
            opened = await asyncio.to_thread(open_kept, self.files, self.task.id, self._run)
        else:
            opened = await asyncio.to_thread(open_running, self.streams.spool, self.task.id, self.place.run)
        if opened is None:
            return
        with closing(opened) as log:
            batches = log.batches(self.place.run, self.place.log, complete=complete)
            while not self.streams.feed.stopped and (batch := await asyncio.to_thread(next, batches, None)) is not None:
                yield self._advance((batch,))

    def _advance(self, found: tuple[Batch, ...]) -> bytes:
        events: list[bytes] = []
        for batch in found:
            events.extend(batch.after(self.place.log.bytes))
        self.place = replace(self.place, step=Step.LOG, log=found[-1].end)
        return b"".join(events)

    async def _look(self) -> bool:
        """Read the record again; False when the task is gone."""
        try:
            task = await self.records.get(self.task.id)
        except StoreUnavailable:
            return True  # the feed wakes us when the store is back
        if task is None or task.created_at != self.task.created_at:
            return False
        self.task = task
        return True

    def _running(self) -> Iterator[bytes]:
        run = self._run
        if self.place.step < Step.RUNNING and run.claimed_at:
            self.place = replace(self.place, step=Step.RUNNING)
            yield self._status("running", run.claimed_at)

    def _end(self) -> Iterator[bytes]:
        """What comes after the log: how the run ended, what it left, and after the last run the end of the task."""
        run = self._run
        if self.place.step < Step.ENDED:
            yield self._status("ended", run.finished_at)
            self.place = replace(self.place, step=Step.ENDED)
        seen = self.place.artifact
        for number, artifact in enumerate(run.artifacts[seen:], seen + 1):
            data = {
                "runId": run.number,
                "name": artifact.name,
                "size": artifact.size,
                "sha256": artifact.sha256,
                "contentType": artifact.content_type,
                "public": artifact.public,
            }
            yield event("artifact", data, f"{run.number}.artifact.{number}")
        self.place = replace(self.place, step=Step.ARTIFACT, artifact=len(run.artifacts))
        if run.number == self.task.runs[-1].number:
            data = {**self._end_of(run), "taskId": self.task.id}
            yield event("done", data, f"{run.number}.done")
            self.place = replace(self.place, step=Step.DONE)

    def _status(self, step: str, at: int | None) -> bytes:
        run = self._run
        data: dict[str, Any] = {"runId": run.number, "status": step, "time": time(at)}
        if step == "running":
            data["worker"] = run.worker
        elif step == "ended":
            data = self._end_of(run)
        return event("status", data, f"{run.number}.{step}")

    def _end_of(self, run: Run) -> dict[str, Any]:
        return {
            "runId": run.number,
            "status": run.status.value,
            "reason": run.reason,
            "message": run.message or None,
            "exitCode": run.exit_code,
            "signal": run.signal,
            "time": time(run.finished_at),
        }
