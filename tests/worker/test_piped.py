"""Calls that share one connection: answers find who asked, and a connection that breaks is made anew."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, NoScriptError, ResponseError, TimeoutError

from worker.embedded import Embedded
from worker.store import connect
from worker.store.piped import PipedRedis

DEADLINE_S = 60
Scene = Callable[[PipedRedis], Awaitable[None]]


def play(store: Embedded, scene: Scene) -> None:
    async def with_client() -> None:
        client = connect(store.url, kind=PipedRedis)
        assert isinstance(client, PipedRedis)
        try:
            await asyncio.wait_for(scene(client), DEADLINE_S)
        finally:
            await client.aclose()

    asyncio.run(with_client())


def echo(redis: PipedRedis, text: str) -> Awaitable[object]:
    return redis.execute_command("EVAL", "return ARGV[1]", 0, text)


def clients(listed: list[dict[str, str]]) -> int:
    return sum(client["name"] == "penstock" for client in listed)


def test_many_calls_share_one_connection_and_each_gets_its_answer(store: Embedded) -> None:
    async def scene(redis: PipedRedis) -> None:
        answers = await asyncio.gather(*(echo(redis, str(number)) for number in range(500)))
        assert answers == [str(number).encode() for number in range(500)]
        assert clients(await redis.client_list()) == 2  # ours, and the one that asks this

    play(store, scene)


def test_what_the_server_refuses_is_raised_where_it_was_asked(store: Embedded) -> None:
    async def scene(redis: PipedRedis) -> None:
        good, bad, unknown, after = await asyncio.gather(
            echo(redis, "a"),
            redis.execute_command("EVAL", "return redis.error_reply('MINE no')", 0),
            redis.execute_command("EVALSHA", "0" * 40, 0),
            echo(redis, "b"),
            return_exceptions=True,
        )
        assert (good, after) == (b"a", b"b")
        assert isinstance(bad, ResponseError)
        assert str(bad) == "MINE no"
        assert isinstance(unknown, NoScriptError)

    play(store, scene)


def test_who_gave_up_waiting_takes_no_answer_from_others(store: Embedded) -> None:
    async def scene(redis: PipedRedis) -> None:
        await echo(redis, "warm")
        asked = [asyncio.ensure_future(echo(redis, str(number))) for number in range(20)]
        await asyncio.sleep(0)
        for task in asked[::2]:
            task.cancel()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert answers[1::2] == [str(number).encode() for number in range(1, 20, 2)]
        assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])

    play(store, scene)


def test_a_connection_that_the_server_closes_is_made_anew(store: Embedded) -> None:
    async def scene(redis: PipedRedis) -> None:
        assert await echo(redis, "a") == b"a"
        await redis.client_kill_filter(_type="normal", skipme=True)
        assert await asyncio.gather(*(echo(redis, str(number)) for number in range(5))) == [
            b"0",
            b"1",
            b"2",
            b"3",
            b"4",
        ]

    play(store, scene)


def test_a_server_that_is_away_or_silent_is_an_error_and_then_back() -> None:
    async def scene(folder: Path) -> None:
        with Embedded(folder) as server:
            client = connect(server.url, kind=PipedRedis)
            assert isinstance(client, PipedRedis)
            assert await echo(client, "a") == b"a"
            pid = (await client.info("server"))["process_id"]
            os.kill(pid, signal.SIGSTOP)
            try:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client._pipe.ask(b"*1\r\n$4\r\nPING\r\n"), DEADLINE_S)  # type: ignore[union-attr]
            finally:
                os.kill(pid, signal.SIGCONT)
            assert await echo(client, "b") == b"b"
        with pytest.raises((ConnectionError, OSError)):
            await echo(client, "c")
        with Embedded(folder):
            assert await echo(client, "d") == b"d"
            await client.aclose()

    with tempfile.TemporaryDirectory(prefix="pp") as folder:
        asyncio.run(scene(Path(folder)))


@pytest.mark.parametrize("kind", [Redis, PipedRedis])
def test_a_call_can_be_cancelled_at_any_moment(store: Embedded, kind: type[Redis]) -> None:
    async def scene() -> None:
        client = connect(store.url, kind=kind)

        async def for_ever() -> None:
            while True:
                await client.ping()

        try:
            for steps in range(60):
                task = asyncio.ensure_future(for_ever())
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                done, _ = await asyncio.wait({task}, timeout=10)
                assert done, f"a cancellation after {steps} steps was lost"
        finally:
            await client.aclose()

    asyncio.run(scene())


def test_a_closed_client_leaves_no_connection(store: Embedded) -> None:
    async def scene(redis: PipedRedis) -> None:
        other = connect(store.url, kind=PipedRedis, client_name="other")
        assert isinstance(other, PipedRedis)
        await echo(other, "a")
        await other.aclose()
        while any(client["name"] == "other" for client in await redis.client_list()):
            await asyncio.sleep(0.001)

    play(store, scene)
