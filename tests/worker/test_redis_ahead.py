"""Messages that are taken ahead: in order, each once, and not kept from others for longer than a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from worker.broker.redis_ahead import RedisAhead
from worker.broker.redis_queues import RedisQueues
from worker.embedded import Embedded
from worker.store import connect
from worker.store.piped import PipedRedis

DEADLINE_S = 20
MANY = 200

Scene = Callable[[Redis, RedisQueues, RedisAhead], Awaitable[None]]


@pytest.fixture
def play(store: Embedded) -> Callable[[Scene], None]:
    """Numbers in a queue, and one consumer of it."""

    def run(scene: Scene) -> None:
        async def main() -> None:
            redis = connect(store.url, kind=PipedRedis)
            try:
                await redis.lpush("q", *range(MANY))
                queues = RedisQueues(redis, "me", ["q"])
                await queues.open()
                await asyncio.wait_for(scene(redis, queues, RedisAhead(queues)), DEADLINE_S)
            finally:
                await redis.aclose()

        asyncio.run(main())

    return run


async def ahead_of(redis: Redis, ahead: RedisAhead) -> int:
    """Take one by one, quickly, until others were taken ahead; how many were taken, without those."""
    for taken in range(1, MANY):
        assert [int(one.raw) for one in await ahead.take(1)] == [taken - 1]
        if await redis.llen("q") < MANY - taken:
            return taken
    raise AssertionError("nothing was taken ahead")


def test_all_come_in_their_order_and_each_once(play: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis, queues: RedisQueues, ahead: RedisAhead) -> None:
        came: list[int] = []
        while len(came) < MANY:
            came += [int(one.raw) for one in await ahead.take(3)]
        assert came == list(range(MANY))
        await ahead.close()

    play(scene)


def test_what_is_not_wanted_soon_is_at_the_front_of_its_queue_again(play: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis, queues: RedisQueues, ahead: RedisAhead) -> None:
        taken = await ahead_of(redis, ahead)
        while await redis.llen("q") < MANY - taken:
            await asyncio.sleep(0)
        other = RedisQueues(redis, "other", ["q"])
        await other.open()
        assert [int(one.raw) for one in await other.take(3)] == [taken, taken + 1, taken + 2]

    play(scene)


def test_who_closes_has_given_back_what_was_taken_ahead(play: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis, queues: RedisQueues, ahead: RedisAhead) -> None:
        taken = await ahead_of(redis, ahead)
        await ahead.close()
        await queues.close()
        assert [int(raw) for raw in await redis.lrange("q", 0, -1)] == list(range(MANY))[::-1]
        assert taken

    play(scene)


def test_slow_takers_get_nothing_ahead(play: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis, queues: RedisQueues, ahead: RedisAhead) -> None:
        loop = asyncio.get_running_loop()
        for taken in range(1, 6):
            assert len(await ahead.take(1)) == 1
            assert await redis.llen("q") == MANY - taken
            slow = loop.create_future()
            loop.call_later(0.03, slow.set_result, None)
            await slow
        await ahead.close()

    play(scene)


def test_who_pauses_gives_back_what_was_taken_ahead_and_what_is_being_taken(play: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis, queues: RedisQueues, ahead: RedisAhead) -> None:
        taken = await ahead_of(redis, ahead)
        ahead.pause()
        while await redis.llen("q") < MANY - taken:
            await asyncio.sleep(0)
        taking = asyncio.create_task(ahead.take(2))
        await asyncio.sleep(0)
        ahead.pause()
        assert await taking == []
        while await redis.llen("q") < MANY - taken:
            await asyncio.sleep(0)
        came: list[int] = []
        while len(came) < MANY - taken:
            came += [int(one.raw) for one in await ahead.take(2)]
        assert sorted(came) == list(range(taken, MANY))

    play(scene)
