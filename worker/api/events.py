"""Events: what becomes of all tasks that the caller may read, as server-sent events."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator

from fastapi import APIRouter, Request
from msgspec import Struct, field
from starlette.responses import Response

from worker.api.caller import Asker, Caller
from worker.api.context import Here
from worker.api.documents import known_time
from worker.api.feed import order
from worker.api.problem import ApiError, documented
from worker.api.sse import HEARTBEAT, HEARTBEAT_S, RETRY, EventStream, event, while_allowed
from worker.api.stream import SSE_ANSWERS, Since, still_allowed
from worker.api.streams import Streams
from worker.api.woken import woken
from worker.model.listing import Event
from worker.store import Records, StoreError

router = APIRouter(tags=["streams"])
_ID = re.compile(r"[0-9]{1,16}(-[0-9]{1,16})?\Z")
_COUNT = 200
_AWAY_S = 1.0


@router.get(
    "/events",
    responses={200: SSE_ANSWERS[200], **documented(400, 401, 403, 429, 503)},
    response_class=Response,
)
async def events(request: Request, here: Here, caller: Asker, since: Since = None) -> Response:
    """Every change of every task that the caller may read, from now on, or behind `Last-Event-ID` or `since`.

    `since=0` begins with the oldest that is kept, of about ten thousand. A `gap` comes first when some that followed
    the given one are not kept any more.
    """
    caller.needs("tasks:read")
    after = request.headers.get("last-event-id") or since
    if after is not None and not _ID.match(after):
        raise ApiError(400, "invalid-event-id", "not the id of an event of this stream")
    following = EventsStream(here.streams, here.records, caller, after)
    return EventStream(
        while_allowed(following.chunks(), still_allowed(request, here)),
        here.streams.seat("events", caller.identity, caller.proofs),
    )


class EventsStream(Struct):
    """`after` moves along with what was sent. None: from now on."""

    streams: Streams
    records: Records
    caller: Caller
    after: str | None
    _readable: dict[str, bool] = field(default_factory=dict)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        feed, loop = self.streams.feed, asyncio.get_running_loop()
        with feed.watch() as changed:
            at = await self._start() if self.after is None else self.after
            # With a place at once: who is cut off before the first event misses none.
            yield RETRY + event("hello", {"after": at}, at)
            gap_after = None
            if self.after is not None and await self._gap(at):
                yield event("gap", {"after": at})
                gap_after = at
            beat_s = loop.time() + HEARTBEAT_S
            while not feed.stopped:
                changed.clear()
                try:
                    found = await feed.after(at, _COUNT)
                except StoreError:
                    await asyncio.sleep(_AWAY_S)
                    continue
                if found.gap and gap_after != at:
                    yield event("gap", {"after": at})
                    gap_after = at
                if found.events:
                    at = found.events[-1].id
                    chunk = b"".join(_told(each) for each in found.events if self._may_read(each.script))
                    if chunk:
                        yield chunk
                else:
                    await woken(changed, beat_s - loop.time())
                if loop.time() >= beat_s:
                    # The id tells a reader who may read little how far it is.
                    yield f"id: {at}\n".encode() + HEARTBEAT
                    beat_s = loop.time() + HEARTBEAT_S
                    self._readable.clear()

    async def _start(self) -> str:
        try:
            return await self.records.newest_event()
        except StoreError:
            return self.streams.feed.newest

    async def _gap(self, at: str) -> bool:
        """Whether events behind that one may be lost: it is not kept itself."""
        if order(at) == (0, 0):
            return False
        try:
            return not await self.records.event_kept(at)
        except StoreError:
            return False

    def _may_read(self, script: str) -> bool:
        if script not in self._readable:
            self._readable[script] = self.caller.may_read_script(script)
        return self._readable[script]


def _told(each: Event) -> bytes:
    data = {
        "kind": each.kind,
        "taskId": each.task_id,
        "script": each.script,
        "runId": each.run,
        "status": each.status.value,
        "reason": each.reason,
        "worker": each.worker,
        "time": known_time(order(each.id)[0]),
    }
    return event("task", data, each.id)
