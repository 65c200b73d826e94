"""The register of workers: names, beats, wishes, states, and what workers disagree on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import redis as sync_redis
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins
from msgspec.structs import replace

from worker.embedded import Embedded
from worker.model.worker import (
    Admitted,
    Pulse,
    Vitals,
    Wish,
    Wishes,
    Worker,
    WorkerCard,
    WorkerProcess,
    WorkerState,
    conflicts,
    manifest_digest,
    state_of,
)
from worker.operations.presence import alive, this_process
from worker.operations.taking import Taking
from worker.operations.vitals import memory
from worker.store import InvalidName, connect
from worker.store.worker_asks import WorkerAsks
from worker.store.workers import Holder, UnknownWorker, WorkerLives, Workers

BEAT_MS = 60_000


def card(name: str = "one", instance: str = "i1", beat_ms: int = BEAT_MS, **about: object) -> WorkerCard:
    made = WorkerCard(name, instance, WorkerProcess("host", 7), "1", ("group=web.dev",), ("penstock",), 8, beat_ms)
    return replace(made, **about)  # type: ignore[arg-type]


def play(store: Embedded, scene: Callable[[Workers], Awaitable[None]]) -> None:
    async def main() -> None:
        client = connect(store.url)
        try:
            await scene(Workers(client))
        finally:
            await client.aclose()

    asyncio.run(main())


def test_a_name_has_one_worker_at_a_time(store: Embedded) -> None:
    async def scene(workers: Workers) -> None:
        assert await workers.enter(card(), (), Pulse()) == Wishes()
        assert await workers.enter(card(), (), Pulse()) == Wishes(), "the same process, asked twice"
        [first] = await workers.list()
        refused = await workers.enter(card(instance="i2"), (), Pulse())
        assert isinstance(refused, Holder) and refused.card == card()
        assert await workers.enter(card("two", "i2"), (), Pulse()) == Wishes(), "another name"
        # One that is gone for sure makes room at once, and hears that it has lost its name, should it live after all.
        assert await workers.enter(card(instance="i3"), (), Pulse(), gone="i1") == Wishes()
        assert await workers.beat(card(), Pulse()) is None
        await workers.leave(card(), Pulse())
        found = await workers.get("one")
        assert (found.card.instance, found.state) == ("i3", WorkerState.ONLINE), "what it says is not heard any more"
        # So does one that says that it ends, and it is kept with the time when it was last heard of.
        await workers.leave(card(instance="i3"), Pulse())
        gone = await workers.get("one")
        assert gone.state is WorkerState.OFFLINE and gone.last_seen_at >= first.last_seen_at
        assert await workers.enter(card(instance="i4"), (), Pulse()) == Wishes()

    play(store, scene)


def test_a_worker_that_misses_two_beats_is_offline_until_it_beats_again(store: Embedded) -> None:
    async def scene(workers: Workers) -> None:
        await workers.enter(card(beat_ms=1), (), Pulse())
        until = (await workers.get("one")).last_seen_at
        while (await workers.get("one")).live:
            pass
        assert (await workers.get("one")).last_seen_at == until
        assert await workers.enter(card(instance="i2"), (), Pulse(running=1, tasks=("t",))) == Wishes()
        found = await workers.get("one")
        assert (found.state, found.pulse.tasks) == (WorkerState.BUSY, ("t",))

    play(store, scene)


def test_what_is_asked_for_stays_until_it_is_taken_back(store: Embedded) -> None:
    async def scene(workers: Workers) -> None:
        with pytest.raises(UnknownWorker):
            await workers.wish("one", "drain", "anna")
        await workers.enter(card(), (), Pulse())
        await workers.wish("one", "drain", "anna", "new \udcff disk\n")
        await workers.wish("one", "drain", "bob")
        heard = await workers.beat(card(), Pulse())
        assert heard and heard.drain and (heard.drain.by, heard.drain.why) == ("anna", "new ? disk\n")
        await workers.wish("one", "pause", "bob")
        await workers.leave(card(), Pulse())
        again = await workers.enter(card(instance="i2"), (), Pulse())
        assert isinstance(again, Wishes) and again.drain and again.pause, "also for the one that comes after it"
        await workers.take_back("one", "drain")
        await workers.take_back("one", "drain")
        assert (await workers.wishes("one")).drain is None
        assert (await workers.get("one")).wishes.pause

    play(store, scene)


def test_only_a_worker_that_is_gone_can_be_removed(store: Embedded) -> None:
    async def scene(workers: Workers) -> None:
        await workers.enter(card(), (Admitted("a", "penstock", "d"),), Pulse())
        await workers.wish("one", "pause", "anna")
        with pytest.raises(WorkerLives):
            await workers.remove("one")
        await workers.leave(card(), Pulse())
        with pytest.raises(WorkerLives):
            await workers.remove("one", silent_ms=BEAT_MS)
        await workers.remove("one")
        for forgotten in (workers.get("one"), workers.remove("one"), workers.beat(card(), Pulse())):
            with pytest.raises(UnknownWorker):
                await forgotten
        assert await workers.enter(card(), (), Pulse()) == Wishes(), "and its wishes are gone with it"

    play(store, scene)


@pytest.mark.parametrize("name", ["", "a:drain", "../etc", "a b", "a\n", "é", "x" * 64, "-a", "a\x00"])
def test_what_is_no_name_becomes_no_key(store: Embedded, name: str) -> None:
    async def scene(workers: Workers) -> None:
        for call in (workers.get(name), workers.remove(name), workers.wish(name, "drain", "x"), workers.wishes(name)):
            with pytest.raises(InvalidName):
                await call
        with pytest.raises(InvalidName):
            await workers.enter(card(name), (), Pulse())

    play(store, scene)


def test_a_worker_that_writes_nonsense_hides_no_other(store: Embedded) -> None:
    with sync_redis.Redis.from_url(store.url, protocol=2) as client:
        for name, beat in {b"a": b"x", b"b\xff": b"i 1 2 3 + []", b"c": b"i 1 2 3 + {}", b"d": b""}.items():
            client.hset("penstock:workers", name, b'{"labels":1}' if beat else b"[]")
            client.hset("penstock:workers:beats", name, beat)

    async def scene(workers: Workers) -> None:
        await workers.enter(card(), (), Pulse())
        assert [worker.name for worker in await workers.list(admits=True)] == ["one"]
        with pytest.raises(UnknownWorker):
            await workers.get("a")
        assert isinstance(await workers.enter(card("a"), (), Pulse()), Wishes)

    play(store, scene)


def _nonsense() -> dict[str, tuple[bytes, bytes]]:
    """By what is wrong with it the card and the pulse of a worker `evil`."""
    about, pulse = to_builtins(card("evil")), to_builtins(Pulse())
    cards: dict[str, object] = {"name": "one", "labels": [1], "queues": [[1]], "beat_ms": "x", "version": {}}
    cards |= {"concurrency": 1e999, "process": {"host": 1, "pid": "x"}, "manifest": "\ud800"}
    pulses: dict[str, object] = {"tasks": [1], "running": "x", "reason": 5, "vitals": {"load": float("nan")}}
    changed = {f"card {name}": ({**about, name: value}, pulse) for name, value in cards.items()}
    changed |= {f"pulse {name}": (about, {**pulse, name: value}) for name, value in pulses.items()}
    changed |= {"no name": ({**about, "name": "a b=c"}, pulse), "label": ({**about, "labels": ["x"]}, pulse)}
    found = {name: (json.dumps(one).encode(), json.dumps(two).encode()) for name, (one, two) in changed.items()}
    deep, good = b"[" * 100_000, json.dumps(about).encode()
    return found | {"deep card": (deep, b"{}"), "deep pulse": (good, deep)}


def test_a_worker_that_speaks_for_others_or_of_another_kind_is_passed_over(store: Embedded) -> None:
    nonsense = _nonsense()
    beat = b"i 1 2 3 + "

    async def scene(workers: Workers) -> None:
        await workers.enter(card(), (), Pulse())
        with sync_redis.Redis.from_url(store.url, protocol=2) as client:
            client.hset("penstock:workers:admits", "one", b'[["\\ud800","q","d",0]]')
            client.hset("penstock:workers:wishes", "one:drain", b'99999999999999999999 {"b":"a","w":"b"}')
            client.hset("penstock:workers:wishes", "one:pause", b"1 " + b"[" * 100_000)
            for what, (text, pulse) in nonsense.items():
                client.hset("penstock:workers", "evil", text)
                client.hset("penstock:workers:beats", "evil", beat + pulse)
                found = await workers.list(admits=True)
                assert [(worker.name, worker.admits) for worker in found] == [("one", ())], what
            client.hset("penstock:workers", "evil", json.dumps(to_builtins(card("evil"))))
            for times in (b"99999999999999999 2 3", b"1 -2 3", b"1 2 99999999999999999"):
                client.hset(
                    "penstock:workers:beats", "evil", b"i %b + %b" % (times, json.dumps(to_builtins(Pulse())).encode())
                )
                assert len(await workers.list()) == 1, times
            client.hset("penstock:workers:beats", "evil", beat + json.dumps(to_builtins(Pulse())).encode())
            assert len(await workers.list()) == 2, "one that makes sense"
        assert (await workers.get("one")).wishes == Wishes(Wish("", 0), Wish("", 0))

    play(store, scene)


@given(silent_ms=st.integers(-(10**9), 10**9), running=st.integers(0, 9), rest=st.sampled_from(["draining", "paused"]))
def test_a_state_is_what_was_said_within_two_beats(silent_ms: int, running: int, rest: str) -> None:
    pulse = Pulse(running=running)
    live = abs(silent_ms) <= 2 * BEAT_MS
    for said, meant in ((pulse, "busy" if running else "online"), (replace(pulse, rest=WorkerState(rest)), rest)):
        found = state_of(said, there=True, silent_ms=silent_ms, beat_ms=BEAT_MS)
        assert found == (meant if live else "offline")
        assert state_of(said, there=False, silent_ms=silent_ms, beat_ms=BEAT_MS) == "offline"


def worker(name: str, *admits: Admitted, queues: tuple[str, ...] = ("q",), live: bool = True) -> Worker:
    state = WorkerState.ONLINE if live else WorkerState.OFFLINE
    about = card(name, queues=queues, manifest=manifest_digest(admits))
    return Worker(about, 0, 0, state, Pulse(), admits=admits)


def test_workers_of_one_queue_that_run_other_scripts_are_told() -> None:
    a, other, gpu = Admitted("a", "q", "1"), Admitted("a", "q", "2"), Admitted("g", "gpu", "1")
    assert conflicts([worker("x", a), worker("y", a), worker("z", other, live=False)]) == ()
    [found] = conflicts([worker("y", other), worker("x", a)])
    assert (found.queue, found.script, found.digests) == ("q", "a", (("x", "1"), ("y", "2")))
    [missing] = conflicts([worker("x", a), worker("y")])
    assert missing.digests == (("x", "1"), ("y", None))
    assert conflicts([worker("x", a, gpu, queues=("q", "gpu")), worker("y", a)]) == (), "it takes from another queue"
    own = replace(a, registered=True)
    assert conflicts([worker("x", own), worker("y")]) == (), "a registered one is handed on"
    assert len(conflicts([worker("x", own), worker("y", other)])) == 1


def test_a_process_is_told_from_one_that_has_its_number() -> None:
    here = this_process()
    assert alive(here) is True
    assert alive(replace(here, started=here.started + 1)) is False
    assert alive(replace(here, machine="another")) is None and alive(replace(here, started=0)) is None


def test_memory_is_that_of_the_container_where_it_is_less(tmp_path: Path) -> None:
    info = tmp_path / "meminfo"
    info.write_text("MemTotal:  4096 kB\nMemFree: 1 kB\nMemAvailable:   2048 kB\n")
    assert memory(info, tmp_path) == (2048 * 1024, 4096 * 1024)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory(info, tmp_path) == (2048 * 1024, 4096 * 1024)
    for name, text in {"max": "1000000\n", "current": "900000\n", "stat": "anon 1\ninactive_file 300000\n"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory(info, tmp_path) == (400_000, 1_000_000)
    assert memory(tmp_path / "none", tmp_path / "none") == (0, 0)


def test_too_little_room_pauses_and_ends_by_itself(tmp_path: Path) -> None:
    taking = Taking(tmp_path, min_free_disk=0, min_free_memory=0)
    taking.look()
    assert taking.rest is None and taking.reason == "" and taking.vitals != Vitals()
    starved = Taking(tmp_path, min_free_disk=1 << 60, min_free_memory=1 << 60)
    starved.look()
    assert starved.rest is WorkerState.PAUSED
    assert "too little disk" in starved.reason and "too little memory" in starved.reason
    starved.stopping = True
    assert starved.rest is WorkerState.DRAINING


@pytest.mark.parametrize(
    "ask", [b"[" * 100_000, b'["%b", 5.5]' % (b"0" * 32), b'["%b", true]' % (b"0" * 32), b"{}", b"1"]
)
def test_nonsense_that_a_worker_is_asked_does_not_end_it(store: Embedded, ask: bytes) -> None:
    async def scene(_: Workers) -> None:
        client = connect(store.url)
        try:
            await client.execute_command("RPUSH", "penstock:worker-asks:one", ask)
            assert await WorkerAsks(client).next("one") is None
        finally:
            await client.aclose()

    play(store, scene)
