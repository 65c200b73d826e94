"""Idempotency keys: the same key with the same content is the same task, whatever its id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from tests.worker.test_records import DONE, WORKER, claimed, new, prune, task
from worker.embedded import Embedded
from worker.model.answers import Claimed, Refusal, Refused, Registered, Registration
from worker.model.status import Status
from worker.store import InvalidName, Records

Play = Callable[[Callable[[Records], Awaitable[Any]]], Any]
KEY = "order 4711 / Übung"


def test_the_same_key_with_the_same_content_is_the_earlier_task(play: Play) -> None:
    async def scene(records: Records) -> None:
        assert await records.register(new("a", key=KEY)) == Registration(Registered.CREATED, "a")
        assert await records.register(new("b", key=KEY)) == Registration(Registered.SAME, "a")
        assert await records.get("b") is None
        assert (await task(records, "a")).key == KEY
        await records.resolve((await claimed(records, "a")).claim, DONE)
        assert await records.register(new("c", key=KEY)) == Registration(Registered.SAME, "a")
        assert (await records.list()).total == 1

    play(scene)


def test_the_same_key_with_another_content_is_a_conflict_and_the_first_is_unharmed(play: Play) -> None:
    async def scene(records: Records) -> None:
        other = new("b", b"{}", key=KEY)
        await records.register(new("a", key=KEY))
        before = await task(records, "a")
        assert await records.register(other) == Registration(Registered.CONFLICT, "a")
        assert await records.claim("b", WORKER, 60, other) == Refused(Refusal.CONFLICT, Status.PENDING)
        assert await records.get("b") is None
        assert await task(records, "a") == before

    play(scene)


def test_each_script_has_keys_of_its_own(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new("a", key=KEY))
        assert await records.register(new("b", script="other", key=KEY)) == Registration(Registered.CREATED, "b")
        assert await records.register(new("c", script="other", key=KEY)) == Registration(Registered.SAME, "b")
        # What looks like another script's is none.
        assert await records.register(new("d", script="other", key=f"sign-file:{KEY}")) == Registration(
            Registered.CREATED, "d"
        )

    play(scene)


def test_of_many_with_one_key_at_once_one_is_recorded(play: Play) -> None:
    async def scene(records: Records) -> None:
        answers = await asyncio.gather(*(records.register(new(f"t{n}", key=KEY)) for n in range(20)))
        assert [answer.outcome for answer in answers].count(Registered.CREATED) == 1
        assert len({answer.task_id for answer in answers}) == 1
        assert (await records.list()).total == 1

    play(scene)


def test_a_message_with_the_key_of_another_task_is_a_duplicate(play: Play) -> None:
    async def scene(records: Records) -> None:
        assert isinstance(await records.claim("a", WORKER, 60, new("a", key=KEY)), Claimed)
        assert await records.claim("b", WORKER, 60, new("b", key=KEY)) == Refused(Refusal.DUPLICATE, Status.RUNNING)
        assert await records.claim("a", WORKER, 60, new("a", key=KEY)) == Refused(Refusal.BUSY, Status.RUNNING)
        assert await records.get("b") is None

    play(scene)


def test_an_id_that_is_known_counts_more_than_a_key(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new("a", key="one"))
        await records.register(new("b", key="two"))
        assert await records.register(new("b", key="one")) == Registration(Registered.SAME, "b")
        assert (await task(records, "b")).key == "two"

    play(scene)


def test_a_key_is_free_again_when_its_task_was_pruned(store: Embedded, play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new("a", key=KEY))
        await records.resolve((await claimed(records, "a")).claim, DONE)
        assert await prune(records, older_than_ms=0, keep_count=None) == ("a",)
        with redis.Redis.from_url(store.url, protocol=2) as client:
            assert not client.exists("penstock:idempotency")
        assert await records.register(new("b", key=KEY)) == Registration(Registered.CREATED, "b")

    play(scene)


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", "a\x00", "a\x7f", "\u202eabc", "\ud800"])
def test_a_key_that_cannot_be_shown_is_refused(play: Play, key: str) -> None:
    async def scene(records: Records) -> None:
        with pytest.raises(InvalidName) as refused:
            await records.register(new(key=key))
        assert str(refused.value).isprintable()
        assert (await records.list()).total == 0

    play(scene)


def test_a_key_may_look_like_anything_else(play: Play) -> None:
    keys = ["x" * 200, "penstock:clock", "'; return 1 --", "*", "0"]

    async def scene(records: Records) -> None:
        for number, key in enumerate(keys):
            await records.register(new(f"t{number}", key=key))
        assert [found.key for found in (await records.list()).tasks] == keys[::-1]

    play(scene)
