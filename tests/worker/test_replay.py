"""Replaying a dead letter: the message is in its queue as it came, and never lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from worker.broker import BrokerAway
from worker.broker.republish import RedisRepublisher
from worker.embedded import Embedded
from worker.operations.dead_letters import replay
from worker.store import InvalidName, connect
from worker.store.dead_letters import DeadLetters

RAW = b'\xff\x00 no message at all \n{"a": 1'


def play(store: Embedded, scene: Callable[[Redis, DeadLetters], Awaitable[Any]]) -> None:
    async def main() -> None:
        client = connect(store.url)
        try:
            await scene(client, DeadLetters(client))
        finally:
            await client.aclose()

    asyncio.run(main())


class ReadAtOnce:
    """A broker whose consumer is faster than we are, and can read the message as little as before."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    async def republish(self, queue: str, raw: bytes) -> None:
        await self._letters.add(queue, raw, "still no message", "worker")


class ReadAtLast(DeadLetters):
    """Letters that a consumer cannot read as little as before, in the last moment before they would be dropped."""

    async def drop(self, id: str, *, times: int | None = None) -> bool:
        await self.add("work", RAW, "still no message", "worker")
        return await super().drop(id, times=times)


def test_a_replayed_letter_is_in_its_queue_byte_for_byte_and_no_letter_any_more(store: Embedded) -> None:
    async def scene(client: Redis, letters: DeadLetters) -> None:
        letter_id = await letters.add("work", RAW, "it is no JSON", "worker")
        assert await replay(letters, RedisRepublisher(client), letter_id)
        assert await client.lrange("work", 0, -1) == [RAW]
        assert await letters.count() == 0
        assert not await replay(letters, RedisRepublisher(client), letter_id)
        assert await client.llen("work") == 1

    play(store, scene)


def test_a_letter_that_comes_back_at_once_is_kept(store: Embedded) -> None:
    async def scene(client: Redis, letters: DeadLetters) -> None:
        letter_id = await letters.add("work", RAW, "it is no JSON", "worker")
        assert await replay(letters, ReadAtOnce(letters), letter_id)
        kept = await letters.get(letter_id)
        assert kept and kept[1] == RAW and kept[0].reason == "still no message"

    play(store, scene)


def test_a_letter_that_comes_back_while_it_would_be_dropped_is_kept(store: Embedded) -> None:
    async def scene(client: Redis, letters: DeadLetters) -> None:
        letter_id = await letters.add("work", RAW, "it is no JSON", "worker")
        assert await replay(ReadAtLast(client), RedisRepublisher(client), letter_id)
        kept = await letters.get(letter_id)
        assert kept and kept[1] == RAW and kept[0].times == 2

    play(store, scene)


def test_a_letter_stays_when_the_broker_is_away(store: Embedded) -> None:
    async def scene(client: Redis, letters: DeadLetters) -> None:
        letter_id = await letters.add("work", RAW, "it is no JSON", "worker")
        nobody = connect("redis://127.0.0.1:1/0")
        with pytest.raises(BrokerAway):
            await replay(letters, RedisRepublisher(nobody), letter_id)
        await nobody.aclose()
        assert await letters.count() == 1

    play(store, scene)


@pytest.mark.parametrize("letter_id", ["", "../x", "A" * 24, "0" * 25])
def test_what_is_no_id_of_a_letter_is_refused(store: Embedded, letter_id: str) -> None:
    async def scene(client: Redis, letters: DeadLetters) -> None:
        with pytest.raises(InvalidName):
            await replay(letters, RedisRepublisher(client), letter_id)

    play(store, scene)
