"""Schedules whose payloads hold secrets: encrypted in the store, read by who has the key, no trouble to the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.worker.test_schedule_beat import ANN, MINUTE, NOON, Site, play  # noqa: F401 - a fixture
from worker.auth.sealed import Sealed, key_id
from worker.model.schedule import Schedule
from worker.model.sealing import Unsealable
from worker.schedules.amend import amended
from worker.schedules.reseal import reseal, sealed_payloads
from worker.schedules.submitting import trigger
from worker.schedules.target import NotSubmitted
from worker.schedules.view import views
from worker.store.schedules import ScheduleChanged, Schedules

SECRET = "hunter2-of-the-nightly"


class Sealing(Site):
    """A site with the keys of one host."""

    keys: Sealed

    @property
    def schedules(self) -> Schedules:
        return Schedules(self.redis, self.keys)

    async def make(self, name: str = "nightly", owner: Any = ANN, **fields: Any) -> Schedule:
        payload = {"n": 1, "token": SECRET}
        value = {"script": "work", "cronExpression": "* * * * *", "overlap": "allow", "payload": payload, **fields}
        if "workflow" in fields:
            del value["script"]
        made = await self.changing.create(await self.changing.read(name, value, owner))
        # Its slots are counted from a time that the test says.
        return await self.schedules.update(made, replace(made, start_at=NOON), NOON)

    async def payloads(self, name: str) -> list[str]:
        """What its tasks get."""
        return [(await self.records.payload(task.id) or b"").decode() for task in await self.tasks(name)]

    async def dump(self) -> bytes:
        parts = []
        for key in await self.redis.keys("*"):
            kind = await self.redis.type(key)
            match kind:
                case b"hash":
                    found: Any = await self.redis.hgetall(key)
                case b"stream":
                    found = await self.redis.xrange(key)
                case b"zset":
                    found = await self.redis.zrange(key, 0, -1)
                case b"set":
                    found = await self.redis.smembers(key)
                case b"list":
                    found = await self.redis.lrange(key, 0, -1)
                case _:
                    found = await self.redis.get(key)
            parts.append(repr((key, found)).encode())
        return b"\n".join(parts)


@pytest.fixture
def played(play: Callable[..., None], tmp_path: Path) -> Callable[..., None]:  # noqa: F811
    def run(scene: Callable[[Sealing], Any]) -> None:
        async def with_keys(site: Site) -> None:
            mine = Sealing(site.redis, site.catalog, site.files)
            mine.keys = Sealed(tmp_path / "secrets.key")
            await scene(mine)

        play(with_keys)

    return run


def test_no_secret_of_a_schedule_is_in_the_store_and_its_task_gets_it(
    played: Callable[..., None], tmp_path: Path
) -> None:
    async def scene(site: Sealing) -> None:
        await site.make("plain", payload={"n": 1})
        assert not (tmp_path / "secrets.key").exists()
        await site.make()
        await site.save()
        await site.make("flow", workflow="both")
        for name in ("nightly", "flow"):
            await site.changing.switch(name, ANN, enabled=False)
            await site.changing.switch(name, ANN, enabled=True)
            found = await site.changing.find(name)
            assert found.payload == {"n": 1, "token": SECRET} and SECRET not in repr(found)
        dump = await site.dump()
        assert b"nightly" in dump and b"v1." in dump and SECRET.encode() not in dump
        assert b'"payload":{"n":1}' in dump
        await site.beat().tick(NOON)
        await site.beat().tick(NOON + MINUTE)
        assert set(await site.payloads("nightly")) == {json.dumps({"n": 1, "token": SECRET}, separators=(",", ":"))}
        [view] = await views([await site.changing.find("nightly")], site.changing, site.submitting.launched)
        assert view.payload == {"n": 1, "token": "***"}

    played(scene)


def test_one_that_cannot_be_read_is_in_trouble_and_stops_no_other(played: Callable[..., None], tmp_path: Path) -> None:
    async def scene(site: Sealing) -> None:
        for name in ("nightly", "moved", "spoilt", "odd", "redirected"):
            await site.make(name)
        kept = {name: json.loads(await site.redis.hget("penstock:schedules", name)) for name in ("nightly", "moved")}
        hostile = {
            "moved": {**kept["moved"], "sealed": kept["nightly"]["sealed"]},
            "spoilt": {**kept["nightly"], "sealed": "\x1b[2J" + kept["nightly"]["sealed"]},
            "odd": {**kept["nightly"], "sealed": 17},
            "redirected": {**kept["nightly"], "script": "signed"},
        }
        for name, value in hostile.items():
            await site.redis.hset("penstock:schedules", name, json.dumps(value, separators=(",", ":")))
        await site.beat().tick(NOON)
        await site.beat().tick(NOON + MINUTE)
        assert len(await site.tasks()) == 1 and await site.trouble() == ""
        for name in hostile:
            assert await site.tasks(name) == []
            assert "its payload cannot be read" in await site.trouble(name) and "\x1b" not in await site.trouble(name)
        # It can be put right by giving the secret again.
        value = {"script": "work", "cronExpression": "* * * * *", "payload": {"n": 2, "token": SECRET}}
        await site.changing.update(await site.changing.read("moved", value, ANN))
        assert (await site.changing.find("moved")).payload == {"n": 2, "token": SECRET}

    played(scene)


def test_a_lost_key_is_named_with_where_it_was_looked_for(played: Callable[..., None], tmp_path: Path) -> None:
    async def scene(site: Sealing) -> None:
        made = await site.make()
        id = key_id(made.sealed or "")
        path = tmp_path / "secrets.key"
        path.rename(tmp_path / "backup")
        await site.make("plain", payload={"n": 1})
        await site.beat().tick(NOON)
        await site.beat().tick(NOON + MINUTE)
        assert len(await site.tasks("plain")) == 1 and await site.tasks() == []
        trouble = await site.trouble()
        assert f"the key {id}, which was looked for in {path}: there is no such file" in trouble
        unreadable = await site.changing.find("nightly")
        with pytest.raises(NotSubmitted, match=f"{id}"):
            await trigger(unreadable, ANN, site.catalog, site.submitting)
        [view] = await views([unreadable], site.changing, site.submitting.launched)
        assert view.payload is None
        with pytest.raises(Unsealable, match=f"{id}"):
            amended(unreadable, {"overlap": "queue"})
        assert amended(unreadable, {"payload": {"n": 3}})["payload"] == {"n": 3}
        # It stays what it is when it is switched, and no key of this host's own is made beside it.
        await site.changing.switch("nightly", ANN, enabled=False)
        with pytest.raises(Unsealable, match="copy its file"):
            await site.make("another")
        assert not path.exists()
        (tmp_path / "backup").rename(path)
        assert (await site.changing.switch("nightly", ANN, enabled=True)).payload == {"n": 1, "token": SECRET}

    played(scene)


def test_a_rotation_beside_beats_leaves_nothing_behind_and_stops_nothing(
    played: Callable[..., None], tmp_path: Path
) -> None:
    async def scene(site: Sealing) -> None:
        names = [f"s{number}" for number in range(4)]
        for name in names:
            await site.make(name)
        await site.schedules.create(replace(await site.changing.find("s0"), name="clear", sealed=None), NOON)
        beat = site.beat()
        await beat.tick(NOON)
        for minute in range(1, 3):
            # Each host has read the file before, and finds out by itself that it is another.
            other = Sealed(tmp_path / "secrets.key")
            new = other.keys.rotate()
            ticks = asyncio.gather(*(each.tick(NOON + minute * MINUTE) for each in (beat, site.beat())))
            counts = await asyncio.gather(*(reseal(site.changing, new.id, key_id) for _ in range(2)), ticks)
            assert counts[0] + counts[1] == 5
            found = await sealed_payloads(site.changing, key_id)
            assert set(found.keys.values()) == {new.id} and len(found.keys) == 5
            assert (found.clear, found.unreadable) == ((), {})
            assert await reseal(site.changing, new.id, key_id) == 0
        for name in names:
            assert await site.payloads(name) == [json.dumps({"n": 1, "token": SECRET}, separators=(",", ":"))] * 2
            assert await site.trouble(name) == ""
        assert SECRET.encode() not in repr(await site.redis.hvals("penstock:schedules")).encode()

    played(scene)


def test_resealing_changes_nothing_that_somebody_changed_meanwhile(played: Callable[..., None]) -> None:
    async def scene(site: Sealing) -> None:
        before = await site.make()
        state = (await site.schedules.states(["nightly"]))["nightly"]
        await site.schedules.settle("nightly", None, None, "")
        await site.changing.switch("nightly", ANN, enabled=False)
        with pytest.raises(ScheduleChanged):
            await site.schedules.reseal(before, NOON)
        old = await site.changing.find("nightly")
        made = await site.schedules.reseal(old, NOON + MINUTE)
        assert replace(made, sealed=old.sealed) == old and made.sealed != old.sealed
        assert (await site.schedules.states(["nightly"]))["nightly"].salt == state.salt

    played(scene)
