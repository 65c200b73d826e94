"""Who falls behind with the events of all tasks is told so, or recovers; nobody misses any silently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from worker.api import feed as feed_module
from worker.api.caller import Caller
from worker.api.events import EventsStream
from worker.api.feed import Feed
from worker.api.streams import Streams
from worker.config.webhooks import WebhookSettings
from worker.daemons.webhooks import WebhookSender
from worker.embedded import Embedded
from worker.model.access import Principal
from worker.model.task import NewTask
from worker.store import LiveLog, Records, connect
from worker.store.script import StoreLimits
from worker.store.webhooks import Webhooks

DEADLINE_S = 20.0
KEPT = 100
MANY = 400


async def record(records: Records, first: int, count: int) -> None:
    for number in range(first, first + count):
        await records.register(NewTask(f"t{number}", "one", b"{}", "{}", "d", "q", "api"))


@asynccontextmanager
async def stored(store: Embedded) -> AsyncIterator[tuple[Redis, Records]]:
    """With a store that keeps few events."""
    redis = connect(store.url)
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield redis, Records(redis, StoreLimits(events_kept=KEPT))
    finally:
        await redis.aclose()


@asynccontextmanager
async def following(store: Embedded) -> AsyncIterator[tuple[Redis, Records, Feed]]:
    async with stored(store) as (redis, records):
        feed = Feed(records)
        async with feed.follow():
            yield redis, records, feed


async def heard(feed: Feed, records: Records) -> None:
    newest = await records.newest_event()
    with feed.watch() as changed:
        while feed.newest != newest:
            changed.clear()
            await changed.wait()


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def test_a_reader_of_events_that_falls_behind_is_told_of_the_gap(
    store: Embedded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(feed_module, "_KEPT", 10)

    async def scene() -> None:
        async with following(store) as (redis, records, feed):
            streams = Streams(feed, LiveLog(redis), tmp_path)
            anyone = Caller(Principal("me", "local", frozenset({"*"})), None)
            await record(records, 0, 1)
            reading = EventsStream(streams, records, anyone, None)
            async with aclosing(reading.chunks()) as chunks:
                assert b"event: hello" in await anext(chunks)
                await record(records, 1, MANY)  # the reader takes nothing meanwhile
                await heard(feed, records)
                assert b"event: gap" in await anext(chunks)
                told = b""
                while b'"t%d"' % MANY not in told:
                    told += await anext(chunks)
                assert b"event: gap" not in told

    play(scene)


def test_the_feed_itself_may_come_too_late(store: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "_COUNT", 50)

    async def scene() -> None:
        async with stored(store) as (_, records):
            await record(records, 0, 1)
            feed = Feed(records)
            feed.newest = at = await records.newest_event()
            await record(records, 1, MANY)  # while it reads nothing
            reading = asyncio.create_task(feed._read())
            try:
                await heard(feed, records)
            finally:
                reading.cancel()
                await asyncio.wait([reading])
            found = await feed.after(at, 10)
            assert found.gap
            assert len(found.events) == 10
            assert not (await feed.after(found.events[-1].id, 10)).gap
            assert not (await feed.after("0-0", 10)).gap

    play(scene)


def test_ends_that_the_sender_of_webhooks_came_too_late_for_are_found_among_the_finished(store: Embedded) -> None:
    async def scene() -> None:
        async with stored(store) as (redis, records):
            feed, queue = Feed(records), Webhooks(redis)
            sender = WebhookSender([WebhookSettings("hook", Path("none"))], queue, records, feed)
            await record(records, 0, 1)
            collecting = asyncio.create_task(sender._collect())
            try:
                while await queue.cursor() is None:
                    assert not collecting.done()
                # Nothing is heard of these: nobody follows the events yet.
                await records.cancel("t0", "me")
                await record(records, 1, MANY)
                async with feed.follow():
                    await record(records, MANY + 1, 1)
                    while not await queue.due("hook", 10**15, 10):
                        assert not collecting.done()
            finally:
                collecting.cancel()
                await asyncio.wait([collecting])

    play(scene)
