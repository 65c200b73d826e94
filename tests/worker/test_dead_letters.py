"""Dead letters: kept as they were received, once each, within bounds, whatever is in them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.embedded import Embedded
from worker.store import DeadLetters, InvalidName, StoreLimits, StoreUnavailable, connect

T = TypeVar("T")
RAW = b'\x00\xff not JSON "\r\n' * 40


@pytest.fixture
def letters(store: Embedded) -> Callable[..., Any]:
    """Runs a coroutine function with the dead letters of the empty store in an event loop of its own."""

    def run(scene: Callable[[DeadLetters], Awaitable[T]], **limits: int) -> T:
        async def with_letters() -> T:
            client = connect(store.url)
            try:
                return await scene(DeadLetters(client, StoreLimits(**limits)))
            finally:
                await client.aclose()

        return asyncio.run(with_letters())

    return run


def test_a_letter_is_kept_with_where_it_came_from_and_why(letters: Callable[..., Any]) -> None:
    async def scene(dead: DeadLetters) -> None:
        id = await dead.add("penstock", RAW, "no JSON: ü \ud800", "worker@host")
        found = await dead.get(id)
        assert found is not None
        letter, raw = found
        assert raw == RAW
        assert (letter.id, letter.queue, letter.source, letter.times) == (id, "penstock", "worker@host", 1)
        assert letter.reason == "no JSON: ü \\ud800"
        assert (letter.size, letter.head) == (len(RAW), RAW[:200])
        assert letter.at == letter.last_at > 10**12
        assert await dead.count() == 1
        page = await dead.list()
        assert (page.letters, page.total, page.size, page.dropped, page.next) == ((letter,), 1, len(RAW), 0, None)

    letters(scene)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=2000), queue=st.text(max_size=600), reason=st.text(), source=st.text())
def test_any_bytes_come_out_as_they_went_in(
    letters: Callable[..., Any], raw: bytes, queue: str, reason: str, source: str
) -> None:
    async def scene(dead: DeadLetters) -> None:
        id = await dead.add(queue, raw, reason, source)
        found = await dead.get(id)
        assert found is not None and found[1] == raw and found[0].head == raw[:200]
        assert await dead.drop(id)
        assert (await dead.list()).size == 0

    letters(scene)


def test_the_same_message_is_one_letter_that_counts(letters: Callable[..., Any]) -> None:
    async def scene(dead: DeadLetters) -> None:
        first = await dead.add("a", b"x", "why", "one")
        assert await dead.add("a", b"x", "why then", "two") == first
        other = await dead.add("b", b"x", "why", "one")
        assert other != first
        found = await dead.get(first)
        assert found is not None
        letter = found[0]
        assert (letter.times, letter.reason, letter.source) == (2, "why then", "two")
        assert letter.last_at >= letter.at
        assert ((await dead.list()).total, (await dead.list()).size) == (2, 2)

    letters(scene)


def test_pages_are_complete_and_newest_first(letters: Callable[..., Any]) -> None:
    async def scene(dead: DeadLetters) -> None:
        ids = [await dead.add("q", b"%d" % number, "r", "s") for number in range(12)]
        found: list[str] = []
        before = None
        while True:
            page = await dead.list(5, before)
            assert page.total == 12 and len(page.letters) <= 5
            found += [letter.id for letter in page.letters]
            if (before := page.next) is None:
                break
        assert found == ids[::-1]

    letters(scene)


def test_the_oldest_make_room_by_number_and_are_counted(letters: Callable[..., Any]) -> None:
    async def scene(dead: DeadLetters) -> None:
        ids = [await dead.add("q", b"%d" % number, "r", "s") for number in range(8)]
        page = await dead.list()
        assert [letter.id for letter in page.letters] == ids[:2:-1]
        assert (page.total, page.size, page.dropped) == (5, 5, 3)
        assert await dead.get(ids[0]) is None

    letters(scene, letters=5)


def test_the_oldest_make_room_by_bytes_but_the_newest_stays(letters: Callable[..., Any]) -> None:
    async def scene(dead: DeadLetters) -> None:
        for number in range(4):
            await dead.add("q", b"%d" % number * 400, "r", "s")
        page = await dead.list()
        assert (page.total, page.size, page.dropped) == (2, 800, 2)
        huge = await dead.add("q", b"x" * 5000, "r", "s")
        page = await dead.list()
        assert [letter.id for letter in page.letters] == [huge]
        assert (page.size, page.dropped) == (5000, 4)
        await dead.add("q", b"small", "r", "s")
        assert ((await dead.list()).total, (await dead.list()).size) == (1, 5)

    letters(scene, letter_bytes=1000)


def test_a_message_of_fifty_megabytes_is_kept(letters: Callable[..., Any]) -> None:
    raw = bytes(range(256)) * (200 * 1024)

    async def scene(dead: DeadLetters) -> None:
        id = await dead.add("q", raw, "too large", "s")
        found = await dead.get(id)
        assert found is not None and found[1] == raw
        # A page does not read it.
        assert len((await dead.list()).letters[0].head) == 200
        assert await dead.drop(id)

    letters(scene)


def test_what_was_dropped_is_gone_and_dropping_it_again_does_nothing(
    letters: Callable[..., Any], store: Embedded
) -> None:
    async def scene(dead: DeadLetters) -> None:
        ids = [await dead.add("q", b"%d" % number, "r", "s") for number in range(3)]
        assert await dead.drop(ids[1])
        assert not await dead.drop(ids[1])
        assert await dead.get(ids[1]) is None
        assert [letter.id for letter in (await dead.list()).letters] == [ids[2], ids[0]]
        assert await dead.drop_all() == 2
        assert await dead.drop_all() == 0
        page = await dead.list()
        assert (page.letters, page.total, page.size, page.dropped) == ((), 0, 0, 0)
        with redis.Redis.from_url(store.url, protocol=2) as client:
            assert client.keys("penstock:dead-letter:*") == []

    letters(scene)


def test_a_letter_that_came_again_since_it_was_read_is_not_dropped(letters: Callable[..., Any]) -> None:
    async def scene(dead: DeadLetters) -> None:
        id = await dead.add("q", b"x", "r", "s")
        await dead.add("q", b"x", "r", "s")
        assert not await dead.drop(id, times=1)
        assert (await dead.list()).size == 1
        assert await dead.drop(id, times=2)
        assert not await dead.drop(id, times=2)
        assert ((await dead.list()).total, (await dead.list()).size) == (0, 0)

    letters(scene)


@pytest.mark.parametrize("id", ["", "..", "a" * 23, "A" * 24, "a" * 25, "a" * 23 + "\n", "*" * 24])
def test_a_hostile_id_is_refused(letters: Callable[..., Any], id: str) -> None:
    async def scene(dead: DeadLetters) -> None:
        for call in (dead.get(id), dead.drop(id)):
            with pytest.raises(InvalidName) as refused:
                await call
            assert "\n" not in str(refused.value)

    letters(scene)


@pytest.mark.parametrize("cursor", ["", "abc", "-1", "1\n", "(1", "+inf", "１"])
def test_a_hostile_cursor_is_refused(letters: Callable[..., Any], cursor: str) -> None:
    async def scene(dead: DeadLetters) -> None:
        with pytest.raises(InvalidName):
            await dead.list(before=cursor)

    letters(scene)


def test_a_full_or_absent_store_is_unavailable_and_keeps_nothing(store: Embedded, tmp_path: Path) -> None:
    async def scene() -> None:
        nowhere = connect(f"unix://{tmp_path}/none.sock")
        with pytest.raises(StoreUnavailable):
            await DeadLetters(nowhere).add("q", b"x", "r", "s")
        await nowhere.aclose()
        client = connect(store.url)
        dead = DeadLetters(client)
        try:
            await client.config_set("maxmemory", "1mb")
            with pytest.raises(StoreUnavailable):
                await dead.add("q", b"x", "r", "s")
            assert await dead.count() == 0
        finally:
            await client.config_set("maxmemory", "0")
        await client.aclose()

    asyncio.run(scene())
