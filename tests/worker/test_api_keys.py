"""API keys: shown once, kept as a digest, and gone the moment they are revoked, expired or rotated away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from worker.embedded import Embedded
from worker.model.api_key import RANDOM_BYTES, NewKey, id_in, key_digest, key_text
from worker.store import InvalidName, connect
from worker.store.api_keys import ApiKeys, UnknownKey, fresh_text

NEW = NewKey("ci", frozenset({"tasks:read", "scripts:execute:sign-file"}), made_by="ann")


@pytest.fixture
def keys(store: Embedded) -> Callable[..., Any]:
    """Runs a coroutine function with the keys of the empty store in an event loop of its own."""

    def run(scene: Callable[[ApiKeys], Awaitable[Any]]) -> Any:
        async def with_keys() -> Any:
            client = connect(store.url)
            try:
                return await scene(ApiKeys(client))
            finally:
                await client.aclose()

        return asyncio.run(with_keys())

    return run


def test_a_key_has_a_known_beginning_a_public_id_and_256_random_bits() -> None:
    text = key_text(bytes(RANDOM_BYTES))
    assert text == "penstock_aaaaaaaa_" + "A" * 43
    assert id_in(text) == "aaaaaaaa"
    assert len({fresh_text() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "text",
    [
        "",
        "penstock_aaaaaaaa_" + "A" * 42,
        "penstock_aaaaaaaa_" + "A" * 44,
        "penstock_aaaaaaaa_" + "A" * 43 + "\n",
        "Penstock_aaaaaaaa_" + "A" * 43,
        "penstock_AAAAAAAA_" + "A" * 43,
        "penstock_aaaa*aaa_" + "A" * 43,
        "penstock_aaaaaaaа_" + "A" * 43,  # the last letter of the id is Cyrillic
        " penstock_aaaaaaaa_" + "A" * 43,
    ],
)
def test_what_is_no_key_by_its_form_has_no_id(text: str) -> None:
    assert id_in(text) is None


def test_the_store_holds_the_digest_and_never_the_key(keys: Callable[..., Any], store: Embedded) -> None:
    async def scene(keys: ApiKeys) -> Any:
        return await keys.create(NEW)

    created = keys(scene)
    assert created.key.digest == key_digest(created.text)
    assert (created.key.name, created.key.scopes, created.key.made_by) == ("ci", NEW.scopes, "ann")
    assert created.text not in repr(created) and created.text not in repr(created.key)
    secret = created.text.split("_", 2)[2].encode()
    with redis.Redis.from_url(store.url, protocol=2) as client:
        for name in client.keys("*"):
            assert secret not in client.dump(name)


def test_a_key_ends_when_it_is_revoked_and_the_first_time_stays(keys: Callable[..., Any]) -> None:
    async def scene(keys: ApiKeys) -> None:
        id = (await keys.create(NEW)).key.id
        assert await keys.revoke(id)
        key, now = await keys.look_up(id)
        assert key is not None and key.state(now) == "revoked"
        assert await keys.revoke(id)
        again = await keys.get(id)
        assert again is not None and again.revoked_at == key.revoked_at
        assert not await keys.revoke("zzzzzzzz")
        assert await keys.get("zzzzzzzz") is None

    keys(scene)


def test_a_key_ends_when_its_time_is_over(keys: Callable[..., Any]) -> None:
    async def scene(keys: ApiKeys) -> None:
        created = await keys.create(NewKey("short", NEW.scopes, ttl_s=60))
        key, now = await keys.look_up(created.key.id)
        assert key is not None and key.expires_at == key.created_at + 60_000
        assert key.works(now) and key.works(key.expires_at - 1)
        assert not key.works(key.expires_at) and key.state(key.expires_at) == "expired"

    keys(scene)


def test_a_rotated_key_works_until_the_overlap_is_over(keys: Callable[..., Any]) -> None:
    async def scene(keys: ApiKeys) -> None:
        old = (await keys.create(NEW)).key
        new = await keys.rotate(old.id, overlap_s=3600)
        assert (new.key.name, new.key.scopes, new.key.role) == (old.name, old.scopes, old.role)
        assert new.key.id != old.id and new.key.expires_at is None
        before, now = await keys.look_up(old.id)
        assert before is not None and before.replaced_by == new.key.id
        assert before.works(now) and before.expires_at is not None
        assert 3_590_000 < before.expires_at - now <= 3_600_000
        with pytest.raises(UnknownKey):
            await keys.rotate(old.id, overlap_s=3600)

    keys(scene)


def test_a_rotation_prolongs_no_key_and_hands_on_its_lifetime(keys: Callable[..., Any]) -> None:
    async def scene(keys: ApiKeys) -> None:
        old = (await keys.create(NewKey("short", NEW.scopes, "reader", ttl_s=60))).key
        new = (await keys.rotate(old.id, overlap_s=3600)).key
        before = await keys.get(old.id)
        assert before is not None and before.expires_at == old.expires_at
        assert new.expires_at == new.created_at + 60_000 and new.role == "reader"
        at_once = (await keys.rotate(new.id, overlap_s=0)).key
        gone, now = await keys.look_up(new.id)
        assert gone is not None and not gone.works(now)
        await keys.revoke(at_once.id)
        for id in (at_once.id, "zzzzzzzz"):
            with pytest.raises(UnknownKey):
                await keys.rotate(id, overlap_s=3600)

    keys(scene)


def test_the_last_use_is_rounded_and_makes_no_key(keys: Callable[..., Any]) -> None:
    async def scene(keys: ApiKeys) -> None:
        id = (await keys.create(NEW)).key.id
        await keys.touch(id)
        key, now = await keys.look_up(id)
        assert key is not None and key.last_used_at is not None
        assert key.last_used_at % 300_000 == 0 and 0 <= now - key.last_used_at <= 300_000
        await keys.touch("zzzzzzzz")
        assert await keys.get("zzzzzzzz") is None
        assert [one.id for one in await keys.list()] == [id]

    keys(scene)


def test_of_several_first_keys_at_once_one_is_made_and_none_after_it_was_revoked(keys: Callable[..., Any]) -> None:
    async def scene(keys: ApiKeys) -> None:
        first = NewKey("first", role="admin")
        made = await asyncio.gather(*(keys.create_first(first, fresh_text()) for _ in range(10)))
        [one] = [key for key in made if key]
        await keys.revoke(one.key.id)
        assert await keys.create_first(first, fresh_text()) is None

    keys(scene)


@pytest.mark.parametrize("id", ["", "*", "../x", "aaaaaaaa\n", "aaaaaaa", "aaaaaaaaa", "AAAAAAAA", "\ud800" * 8])
def test_what_is_no_id_never_becomes_part_of_a_key(keys: Callable[..., Any], id: str) -> None:
    async def scene(keys: ApiKeys) -> None:
        for call in (keys.get(id), keys.revoke(id), keys.touch(id), keys.rotate(id, overlap_s=1)):
            with pytest.raises(InvalidName):
                await call

    keys(scene)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": " "},
        {"name": "a\nb"},
        {"name": "x" * 101},
        {"name": "\ud800"},
        {"scopes": frozenset()},
        {"scopes": frozenset({"tasks:read scripts:execute"})},
        {"scopes": frozenset({"tasks:*:read"})},
        {"scopes": frozenset({"tasks:read\n"})},
        {"scopes": frozenset({"a:" + "b" * 300})},
        {"scopes": frozenset(f"tasks:read:t{n}" for n in range(101))},
        {"role": "admin operator"},
        {"role": "*"},
        {"ttl_s": 0},
        {"ttl_s": -1},
        {"ttl_s": float("nan")},
        {"ttl_s": float("inf")},
    ],
)
def test_a_key_with_wrong_words_is_not_made(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        NewKey(**{"name": "ci", "scopes": NEW.scopes, **fields})
