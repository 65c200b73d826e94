"""SSE: events as text, and an answer that sends many of them at a time. Knows nothing of tasks.

FastAPI's own sends each event by itself, which is too slow for a log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing, suppress
from json import JSONEncoder
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

# Proxies close what is silent for longer.
HEARTBEAT_S = 15.0
HEARTBEAT = b":\n\n"
# What is gathered for one write. While a reader takes nothing, it costs about three of these and the socket's buffers.
CHUNK_BYTES = 64 * 1024
# A reader that takes nothing for so long is given up.
STUCK_S = 30.0
# How long a client waits before it comes again, in milliseconds.
RETRY = b"retry: 1000\n\n"

encode_json = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""One line, whatever it holds: JSON escapes the ends of lines that SSE knows."""


def event(name: str, data: dict[str, Any], event_id: str | None = None) -> bytes:
    """`name` and `event_id` are ours and have one line. A lone surrogate becomes `?`."""
    place = f"id: {event_id}\n" if event_id is not None else ""
    return f"{place}event: {name}\ndata: {encode_json(data)}\n\n".encode("utf-8", "replace")


class EventStream(Response):
    """Sends the chunks until there are no more, the reader goes, or takes nothing for `STUCK_S`."""

    media_type = "text/event-stream"

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        seat: AbstractContextManager[asyncio.Event | None],
        stuck_s: float = STUCK_S,
    ) -> None:
        """`seat` is held while it is being sent, and ends it when what that gives is set. No seat: nothing is sent."""
        super().__init__()
        self._seat = seat
        self._stuck_s = stuck_s
        self._chunks = chunks
        self.raw_headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),  # nginx would gather them
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._seat as over:
            await self._run(scope, receive, send, over or asyncio.Event())

    async def _run(self, scope: Scope, receive: Receive, send: Send, over: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        sending = loop.create_task(self._send(send, head=scope["method"] == "HEAD"))
        leaving, ending = loop.create_task(_left(receive)), loop.create_task(over.wait())
        tasks = (sending, leaving, ending)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.wait(tasks)
        if not sending.cancelled():
            sending.result()
        elif over.is_set() and not _done(leaving):
            with suppress(TimeoutError):
                async with asyncio.timeout(self._stuck_s):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, *, head: bool) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._chunks) as chunks:
            if not head:
                try:
                    async for chunk in chunks:
                        async with asyncio.timeout(self._stuck_s):
                            await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except TimeoutError:
                    return  # the connection is closed in the middle: nothing can be said to who takes nothing
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _done(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_allowed(
    chunks: AsyncGenerator[bytes, None], allowed: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[bytes, None]:
    """These, until their reader may not go on. A stream that has nothing new sends a heartbeat, so that it is asked."""
    loop = asyncio.get_running_loop()
    asked_s = loop.time()
    async with aclosing(chunks):
        async for chunk in chunks:
            if loop.time() - asked_s >= HEARTBEAT_S:
                if not await allowed():
                    return
                asked_s = loop.time()
            yield chunk
