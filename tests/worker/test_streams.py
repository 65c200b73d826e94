"""Streams: room for everybody, and an end for who may not read any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from starlette.types import Message, Receive, Scope, Send

from worker.api import sse, streams
from worker.api.feed import Feed
from worker.api.guard import Guard
from worker.api.place import Place
from worker.api.problem import ApiError
from worker.api.sse import while_allowed
from worker.api.stream import TaskStream
from worker.api.streams import Streams
from worker.config import ApiSettings
from worker.embedded import Embedded
from worker.model.answers import Claimed
from worker.model.status import Status
from worker.model.task import NewTask, Resolution
from worker.store import Files, LiveLog, Records, connect

DEADLINE_S = 20.0


@asynccontextmanager
async def stored(store: Embedded, folder: Path) -> AsyncIterator[tuple[Records, Streams]]:
    redis = connect(store.url)
    try:
        records = Records(redis)
        feed = Feed(records)
        async with asyncio.timeout(DEADLINE_S), feed.follow():
            yield records, Streams(feed, LiveLog(redis), folder)
    finally:
        await redis.aclose()


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


async def record(records: Records, task_id: str) -> None:
    await records.register(NewTask(task_id, "one", b"{}", "{}", "d", "q", "api"))


async def reading(records: Records, among: Streams, folder: Path, task_id: str, who: str = "me") -> TaskStream:
    task = await records.get(task_id)
    assert task
    return TaskStream(among, records, Files(folder), task, Place(), who)


def test_one_caller_leaves_room_for_all_others(
    store: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "READERS", 16)
    monkeypatch.setattr(streams, "TAILS", 16)

    async def scene() -> None:
        async with stored(store, tmp_path) as (_, among), AsyncExitStack() as open_tails:
            with ExitStack() as open_seats:
                for who, room in (("greedy", 8), ("second", 4), ("third", 2), ("last", 1)):
                    for number in range(room):
                        open_seats.enter_context(among.seat("task", who))
                        run = (f"{who}{number}", 0, asyncio.Event())
                        await open_tails.enter_async_context(among.tail(*run, who))
                    with pytest.raises(ApiError) as refused, among.seat("events", who):
                        pass
                    assert (refused.value.status, refused.value.code) == (503, "too-many-streams")
                    with pytest.raises(ApiError):
                        among.check_tail("another", 0, who)
                    # What is followed already can be read by anybody.
                    async with among.tail("greedy0", 0, asyncio.Event(), who):
                        pass
            with among.seat("events", "greedy"):
                assert among.open == {"task": 0, "events": 1}
            await open_tails.aclose()
            among.check_tail("another", 0, "greedy")

    play(scene)


def test_a_task_that_waits_takes_no_tail(store: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "TAILS", 2)

    async def scene() -> None:
        async with stored(store, tmp_path) as (records, among), AsyncExitStack() as stack:
            waiting = []
            for number in range(5):
                await record(records, f"t{number}")
                following = await reading(records, among, tmp_path, f"t{number}")
                chunks = await stack.enter_async_context(aclosing(following.chunks()))
                assert [await anext(chunks), b'"pending"' in await anext(chunks)] == [sse.RETRY, True]
                waiting.append(asyncio.create_task(_all(chunks)))
            await asyncio.sleep(0)
            claimed = await records.claim("t0", "w", 10)
            assert isinstance(claimed, Claimed)
            await records.resolve(claimed.claim, Resolution(Status.COMPLETED))
            await records.cancel("t1", "me")
            assert b"event: done" in await waiting[0]
            assert b"event: done" in await waiting[1]
            for each in waiting[2:]:
                each.cancel()
            await asyncio.wait(waiting)

    play(scene)


def test_who_may_not_read_any_more_is_cut_off_in_the_middle_of_what_never_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.0)
    asked = 0

    async def allowed() -> bool:
        nonlocal asked
        asked += 1
        return asked < 3

    async def flood() -> Any:
        while True:
            yield b"x"

    async def scene() -> None:
        async with asyncio.timeout(DEADLINE_S):
            assert await _all(while_allowed(flood(), allowed)) == b"xx"

    play(scene)


def test_a_fault_in_the_middle_of_an_answer_is_logged_once_with_the_id_of_the_request() -> None:
    async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise OSError("the disk")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    request_id = "8d3ac1f0-5a0e-4a2b-9b1a-0e7c2f5d6a10"
    scope = {
        "type": "http",
        "http_version": "1.1",
        "query_string": b"",
        "raw_path": b"/",
        "headers": [(b"x-request-id", request_id.encode())],
    }
    with structlog.testing.capture_logs() as logged:
        asyncio.run(Guard(faulty, ApiSettings())(scope, receive, send))
    assert [(entry["event"], entry["request_id"]) for entry in logged] == [("a request failed", request_id)]
    assert [message["type"] for message in sent] == ["http.response.start"]


async def _all(chunks: Any) -> bytes:
    return b"".join([chunk async for chunk in chunks])
