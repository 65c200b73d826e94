"""The consumer of kombu's lists: nothing is lost, whoever dies, and nothing that lies in a queue stops it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import celery
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from worker.broker import Delivery, RedisPublisher, Unreadable
from worker.broker.envelope import NotAMessage, open_envelope, seal
from worker.broker.kombu_redis import list_key, list_keys
from worker.broker.redis_queues import RedisQueues, Taken
from worker.broker.redis_source import RedisSource
from worker.embedded import Embedded
from worker.model.target import queue_of
from worker.store import connect

DEADLINE_S = 20

Scene = Callable[[Redis], Awaitable[None]]


@pytest.fixture
def watch(store: Embedded) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        async def main() -> None:
            redis = connect(store.url)
            try:
                await asyncio.wait_for(scene(redis), DEADLINE_S)
            finally:
                await redis.aclose()

        asyncio.run(main())

    return run


async def some(queues: RedisQueues, room: int) -> list[Taken]:
    """Take until there is something; the caller's deadline ends it."""
    while True:
        if taken := await queues.take(room):
            return taken


async def held(redis: Redis) -> list[bytes]:
    keys = [key async for key in redis.scan_iter("penstock:inflight:*")]
    lists: list[list[Any]] = [await redis.lrange(key, 0, -1) for key in keys]
    return [raw for found in lists for raw in found]


def test_what_is_taken_stays_in_flight_until_it_is_acknowledged(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        await redis.lpush("q", b"one", b"two")
        queues = RedisQueues(redis, "me", ["q"])
        await queues.open()
        taken = await queues.take(8)
        assert [one.raw for one in taken] == [b"one", b"two"]
        assert sorted(await held(redis)) == [b"one", b"two"] and await redis.llen("q") == 0
        tending = asyncio.create_task(queues.keep_acknowledging())
        queues.acknowledge(taken[0])
        while await held(redis) != [b"two"]:
            await asyncio.sleep(0)
        tending.cancel()
        await queues.close()
        assert await redis.lrange("q", 0, -1) == [b"two"]
        assert await held(redis) == []

    watch(scene)


def test_no_more_is_taken_than_there_is_room_for(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        await redis.lpush("q", *(b"%d" % n for n in range(10)))
        queues = RedisQueues(redis, "me", ["q"])
        assert [one.raw for one in await queues.take(3)] == [b"0", b"1", b"2"]
        assert await redis.llen("q") == 7
        await queues.close()
        assert await redis.lrange("q", 0, -1) == [b"%d" % n for n in reversed(range(10))], "and the order is kept"

    watch(scene)


def test_a_message_that_comes_later_is_not_waited_for_long(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        queues = RedisQueues(redis, "me", ["a", "b"])
        assert await queues.take(1) == []
        for queue in ("a", "b", list_key("b", 9)):
            waiting = asyncio.create_task(some(queues, 1))
            await redis.lpush(queue, b"late in " + queue.encode())
            assert [one.raw for one in await waiting] == [b"late in " + queue.encode()]
        await queues.close()

    watch(scene)


def test_urgent_messages_come_first_and_queues_take_turns(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        await redis.lpush(list_key("a", 9), b"a9")
        await redis.lpush(list_key("a", 0), b"a0")
        await redis.lpush("a", b"a0 too")
        for number in range(50):
            await redis.lpush("flood", b"f%d" % number)
        queues = RedisQueues(redis, "me", ["flood", "a"])
        taken = [one.raw for one in await queues.take(6)]
        assert [raw for raw in taken if raw.startswith(b"a")] == [b"a0", b"a0 too", b"a9"]
        await queues.close()

    watch(scene)


def test_what_a_dead_consumer_held_comes_back(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        await redis.lpush("q", b"one", b"two", b"three")
        dead, alive = RedisQueues(redis, "dead", ["q"]), RedisQueues(redis, "alive", ["q"])
        await dead.open()
        await alive.open()
        assert len(await dead.take(2)) == 2
        assert await alive.beat() == 0, "it has just been heard of"
        await redis.zadd("penstock:consumers", {"dead": 1})  # its last sign of life was long ago
        assert await alive.beat() == 2
        assert [one.raw for one in await alive.take(8)] == [b"one", b"two", b"three"]
        await alive.close()

    watch(scene)


def test_a_queue_that_is_closed_to_our_account_keeps_nothing_else_from_coming_back(
    store: Embedded, watch: Callable[[Scene], None]
) -> None:
    async def scene(redis: Redis) -> None:
        await redis.execute_command("ACL", "SETUSER", "narrow", "on", ">x", "+@all", "~q", "~penstock:*", "~_kombu*")
        ours = connect(store.url.replace("unix://", "unix://narrow:x@"))
        try:
            await redis.lpush("other", b"theirs")
            await redis.lpush("q", b"ours")
            long_dead = RedisQueues(redis, "dead", ["other", "q"])
            await long_dead.open()
            assert len(await long_dead.take(2)) == 2
            await redis.zadd("penstock:consumers", {"dead": 1})
            narrow = RedisQueues(ours, "narrow", ["q"])
            assert await narrow.beat() == 1
            assert await redis.lrange("q", 0, -1) == [b"ours"]
            wide = RedisQueues(redis, "wide", ["other"])
            assert await wide.beat() == 1
            assert await redis.lrange("other", 0, -1) == [b"theirs"]
        finally:
            await ours.aclose()
            await redis.execute_command("ACL", "DELUSER", "narrow")

    watch(scene)


def test_a_message_whose_delivery_was_lost_on_the_way_is_found_again(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        queues = RedisQueues(redis, "me", ["q"])
        await redis.lpush("q", b"known", b"stray")
        [known] = await queues.take(1)
        await redis.lmove("q", "penstock:inflight:me:q", "RIGHT", "LEFT")  # the reply never reached us
        await queues.beat()
        assert await redis.llen("q") == 0, "one look is not enough: it may be on its way"
        await queues.beat()
        assert await redis.lrange("q", 0, -1) == [b"stray"]
        assert await held(redis) == [known.raw]
        await queues.close()

    watch(scene)


def test_a_consumer_that_was_taken_for_dead_is_known_again_as_soon_as_it_takes(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        slept, other = RedisQueues(redis, "slept", ["q"]), RedisQueues(redis, "other", ["q"])
        await slept.open()
        await redis.zadd("penstock:consumers", {"slept": 1})
        await other.beat()
        await redis.lpush("q", b"precious")
        assert len(await slept.take(1)) == 1  # and now it dies, before it beats again
        await redis.zadd("penstock:consumers", {"slept": 1})
        assert await other.beat() == 1
        assert await redis.lrange("q", 0, -1) == [b"precious"]
        await other.close()

    watch(scene)


def test_what_is_given_back_keeps_its_priority(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        await redis.lpush(list_key("q", 9), b"not urgent")
        queues = RedisQueues(redis, "me", ["q"])
        assert len(await queues.take(1)) == 1
        await queues.close()
        assert await redis.lrange(list_key("q", 9), 0, -1) == [b"not urgent"]

    watch(scene)


def test_a_message_that_a_blocked_call_brings_beside_others_is_not_kept(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        one, other = RedisQueues(redis, "one", ["q"]), RedisQueues(redis, "other", ["q"])
        assert await one.take(1) == []
        for number in range(200):
            taking = asyncio.create_task(one.take(1))
            await redis.lpush("q", b"a%d" % number, b"b%d" % number)
            got = [*await taking]
            while len(got) < 2:
                got += await some(other, 1)
            assert {taken.raw for taken in got} == {b"a%d" % number, b"b%d" % number}
        await one.close()
        await other.close()

    watch(scene)


def test_what_a_blocked_call_brings_while_nobody_takes_goes_back(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        busy, idle = RedisQueues(redis, "busy", ["q"]), RedisQueues(redis, "idle", ["q"])
        assert await busy.take(1) == []  # a call of it goes on waiting
        await redis.lpush("q", b"one")
        assert [one.raw for one in await some(idle, 1)] == [b"one"]
        await busy.close()
        await idle.close()

    watch(scene)


def test_a_plain_celery_program_and_ours_write_the_same_queue(store: Embedded, watch: Callable[[Scene], None]) -> None:
    with celery.Celery("p", broker=store.celery_url, set_as_current=False) as app:
        app.send_task("penstock.echo", kwargs={"n": 1}, queue="q", task_id="theirs", priority=5)

    async def scene(redis: Redis) -> None:
        await RedisPublisher(redis).publish("echo", "ours", "q")
        source = RedisSource(redis, "me", ["q"])
        await source.open()
        taken = list(await source.take(8))
        assert [(one.task_id, one.script, one.hint) for one in taken if isinstance(one, Delivery)] == [
            ("theirs", "echo", False),
            ("ours", "echo", True),
        ]
        theirs = taken[0]
        assert isinstance(theirs, Delivery) and theirs.read(1000).payload == b'{"n":1}'
        await source.close()

    watch(scene)


HOSTILE = [
    b"",
    b"no json",
    b"7",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe",
    b"{}",
    b'{"headers": {}, "properties": {}}',
    b'{"headers": 1, "properties": {}, "body": ""}',
    b'{"headers": {"task": 1, "id": "a"}, "properties": {}, "body": ""}',
    b'{"headers": {"task": "penstock.echo", "id": 7}, "properties": {}, "body": ""}',
    b'{"headers": {"task": "penstock.echo", "id": "../../x"}, "properties": {}, "body": ""}',
    b'{"headers": {"task": "penstock.echo", "id": "a\\nb"}, "properties": {}, "body": ""}',
    b'{"headers": {"task": "penstock.echo", "id": "a"}, "properties": {"body_encoding": "base64"}, "body": "%%%"}',
    b'{"headers": {"task": "penstock.echo", "id": "a"}, "properties": {}, "body": {}}',
    b'{"headers": {"task": "celery.map", "id": "a"}, "properties": {}, "body": ""}',
    b'{"headers": {"task": "penstock.Unknown", "id": "a"}, "properties": {}, "body": ""}',
    b'{"headers": {"task": "penstock.a/../b", "id": "a"}, "properties": {}, "body": ""}',
    b'{"headers": {"task": "penstock.", "id": "a"}, "properties": {}, "body": ""}',
    b"[" * 10_000,
    b'{"a": 1, "a": 2}',
]


def test_whatever_lies_in_the_queue_is_handed_over_as_unreadable(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        source = RedisSource(redis, "me", ["q"])
        await source.open()
        await redis.lpush("q", *HOSTILE)
        taken: list[Delivery | Unreadable] = []
        while len(taken) < len(HOSTILE):
            taken += await source.take(3)
        assert [one.raw for one in taken if isinstance(one, Unreadable)] == HOSTILE
        assert all(one.reason.isprintable() and len(one.reason) < 500 for one in taken if isinstance(one, Unreadable))
        await source.close()

    watch(scene)


def test_a_document_in_a_queue_opened_for_it_gets_an_id_that_survives_us(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        await redis.lpush("open", b'{"n": 1}', b"no json")
        source = RedisSource(redis, "me", ["open"], {"open": "echo"})
        await source.open()
        first, second = await source.take(8)
        assert isinstance(first, Delivery) and first.read(100).payload == b'{"n": 1}'
        assert isinstance(second, Delivery) and second.read(100).payload == b"no json"
        await source.close()
        again = RedisSource(redis, "other", ["open"], {"open": "echo"})
        assert [one.task_id for one in await again.take(8) if isinstance(one, Delivery)] == [
            first.task_id,
            second.task_id,
        ]
        await again.close()

    watch(scene)


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda s: (
            st.lists(s) | st.dictionaries(st.sampled_from(["headers", "properties", "body", "task", "id", "x"]), s)
        ),
    ).map(lambda v: json.dumps(v).encode())
)
def test_no_bytes_do_more_than_be_refused(raw: bytes) -> None:
    try:
        open_envelope(raw)
    except NotAMessage as error:
        assert str(error)


def test_what_is_sealed_can_be_opened() -> None:
    envelope = open_envelope(seal("penstock.a-b", "id-1", "q", {"x": 1}))
    assert (envelope.script, envelope.task_id, envelope.headers["x"]) == ("a-b", "id-1", 1)


def test_priorities_share_kombus_steps() -> None:
    assert [list_key("q", n) for n in range(-1, 11)] == [
        list_keys("q")[step] for step in (0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3)
    ]


def test_what_is_for_one_worker_comes_first_and_to_nobody_else(watch: Callable[[Scene], None]) -> None:
    async def scene(redis: Redis) -> None:
        own = queue_of("w1")
        await redis.lpush("q", b"flood", b"flood")
        await RedisPublisher(redis).publish("echo", "t1", own, 9)
        other = RedisQueues(redis, "w2", ["q"], queue_of("w2"))
        assert [taken.raw for taken in await other.take(1)] == [b"flood"]
        queues = RedisQueues(redis, "w1", ["q"], own)
        await queues.open()
        taken = await queues.take(2)
        assert [one.queue for one in taken] == [own, "q"]
        await redis.lpush(list_keys(own)[2], b"of a producer that gives it a priority")
        await queues.beat()
        assert [one.queue for one in await some(queues, 1)] == [own]
        waits = asyncio.create_task(some(queues, 1))
        await redis.lpush(own, b"later")
        assert [one.raw for one in await waits] == [b"later"]
        await queues.close()
        await other.close()
        assert await redis.llen(own) == 3, "and goes back there"

    watch(scene)
