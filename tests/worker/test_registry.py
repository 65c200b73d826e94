"""The registry keeps every version, counts every change, and forgets no removed script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from worker.embedded import Embedded
from worker.model.registration import Admission, declaration_digest
from worker.store import InvalidName, StoreError, connect
from worker.store.registry import (
    MOST_APPROVALS,
    AlreadyRegistered,
    NotRegistered,
    Registry,
    TooManyApprovals,
    VersionReplaced,
)

ONE: dict[str, Any] = {"path": "scripts/a.sh", "sha256": "ab", "parameters": [], "env": {}, "n": 1.5, "big": 2**60}
HOSTILE = "$(touch x) '; redis.call('FLUSHALL') -- \u2028 \" : + -"


@pytest.fixture
def registry(store: Embedded) -> Callable[..., Any]:
    def run(scene: Callable[[Registry], Awaitable[Any]]) -> Any:
        async def with_registry() -> Any:
            client = connect(store.url)
            try:
                return await scene(Registry(client))
            finally:
                await client.aclose()

        return asyncio.run(with_registry())

    return run


def test_every_change_is_a_version_that_can_be_read_later(registry: Callable[..., Any]) -> None:
    async def scene(r: Registry) -> None:
        before = await r.state()
        assert (await r.create("a", ONE, "ann")).version == 1
        with pytest.raises(AlreadyRegistered):
            await r.create("a", ONE, "ann")
        assert (await r.update("a", {**ONE, "title": HOSTILE}, HOSTILE)).version == 2
        assert (await r.remove("a", "bob")).version == 3
        for gone in (r.get("a"), r.update("a", ONE, "x"), r.remove("a", "x"), r.version("a", 9), r.get("never")):
            with pytest.raises(NotRegistered):
                await gone
        assert (await r.create("a", ONE, "ann")).version == 4
        history = await r.history("a")
        assert [(v.version, v.by, v.removed) for v in history] == [
            *((4, "ann", False), (3, "bob", True), (2, HOSTILE, False), (1, "ann", False))
        ]
        assert history[3].declaration == ONE and history[2].declaration["title"] == HOSTILE
        assert (await r.version("a", 2)).declaration == {**ONE, "title": HOSTILE}
        assert [(v.name, v.version) for v in await r.all()] == [("a", 4)]
        assert await r.state() == before + 4

    registry(scene)


def test_approvals_are_kept_for_the_version_that_was_looked_at(registry: Callable[..., Any]) -> None:
    async def scene(r: Registry) -> None:
        first = await r.create("a", ONE, "ann")
        await r.approve(first, "x.y.z")
        await r.approve(first, "x.y.z")
        assert (await r.get("a")).approvals == ("x.y.z",) == (await r.all())[0].approvals
        await r.update("a", ONE, "ann")
        with pytest.raises(VersionReplaced):
            await r.approve(first, "a.b.c")
        with pytest.raises(StoreError):
            await r.approve(await r.get("a"), "x" * 10_000)

    registry(scene)


def test_more_approvals_than_are_kept_are_refused_and_push_none_out(registry: Callable[..., Any]) -> None:
    async def scene(r: Registry) -> None:
        made = await r.create("a", ONE, "ann")
        for number in range(MOST_APPROVALS):
            await r.approve(made, f"x.y.{number}")
        with pytest.raises(TooManyApprovals):
            await r.approve(made, "one.more.z")
        await r.approve(made, "x.y.0")
        assert len((await r.get("a")).approvals) == MOST_APPROVALS

    registry(scene)


def test_a_worker_is_believed_for_as_long_as_it_says_so(registry: Callable[..., Any]) -> None:
    async def scene(r: Registry) -> None:
        word = Admission("w", 3, True, HOSTILE)
        await r.say("w-1", {"a": word})
        assert await r.said() == {"a": [word]}
        await r.unsay("w-1")
        assert await r.said() == {}

    registry(scene)


@pytest.mark.parametrize("name", ["", "a:b", "../a", "a\n", "A", "*"])
def test_what_is_no_name_is_no_key(name: str, registry: Callable[..., Any]) -> None:
    async def scene(r: Registry) -> None:
        for call in (r.create(name, ONE, ""), r.get(name), r.history(name), r.version(name, 1)):
            with pytest.raises(InvalidName):
                await call

    registry(scene)


def test_the_digest_is_of_all_that_is_declared_but_whether_it_is_enabled() -> None:
    digest = declaration_digest("a", ONE)
    assert digest == declaration_digest("a", {**dict(reversed(ONE.items())), "enabled": False})
    for other in ({**ONE, "sha256": "ac"}, {**ONE, "args": ["x"]}, {**ONE, "env": {"A": ""}}):
        assert declaration_digest("a", other) != digest
    assert declaration_digest("b", ONE) != digest
