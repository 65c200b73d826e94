"""Connections that are cut, reset, half closed, slow or silent, between a worker and the store that is its broker."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest

from tests.system.faults.fault_site import LEASE_S, FaultSite
from tests.system.faults.places import DONE, EXPIRED, PLACES, WAITS, ends, stop_at
from tests.system.faults.proxy import Proxy
from tests.system.site import eventually

SHORT: dict[str, Callable[[Proxy], object]] = {
    "cut": lambda proxy: proxy.cut(),
    "reset": lambda proxy: proxy.cut(reset=True),
    "half closed at the server": lambda proxy: proxy.half_close("server"),
    "half closed at the worker": lambda proxy: proxy.half_close("client"),
}


@pytest.mark.parametrize(
    ("place", "way"),
    [*((place, "cut") for place in PLACES), ("before the acknowledgement", "reset"), ("before the claim", "reset")],
)
def test_a_connection_lost_at_any_step_repeats_nothing(site: FaultSite, place: str, way: str) -> None:
    site.script("step", "echo working", once=True)
    task_id, hold, _, proxy = stop_at(site, place)
    SHORT[way](proxy)
    hold.drop()
    assert ends(site, task_id) == (DONE,)
    site.check()


def test_whatever_happens_to_connections_a_running_command_goes_on(site: FaultSite) -> None:
    """Its messages are not delivered to it or to anybody else again."""
    site.script("slow", WAITS, once=True)
    proxy = site.proxy()
    site.worker("one", via=proxy)
    site.worker("two")
    tasks = [site.send("slow") for _ in range(4)]
    for task_id in tasks:
        site.started(task_id)
    for way in SHORT.values():
        way(proxy)
        seen = [len(site.marks(task_id, "tick")) for task_id in tasks]
        eventually(
            lambda seen=seen: all(len(site.marks(t, "tick")) > n for t, n in zip(tasks, seen, strict=True)), "ticks"
        )
    site.go()
    assert [ends(site, task_id) for task_id in tasks] == [(DONE,)] * 4
    site.check()


@pytest.mark.parametrize("way", ["refused", "silent"])
def test_a_worker_that_is_cut_off_ends_its_command_before_another_may_run_it(site: FaultSite, way: str) -> None:
    site.script("slow", WAITS, retries=1)
    proxy = site.proxy()
    site.worker("one", via=proxy)
    task_id = site.send("slow")
    first = site.started(task_id)
    if way == "refused":
        proxy.refuse()
    else:
        proxy.swallow()
    site.worker("two", ready=False)  # a probe might go to the other one
    eventually(lambda: not psutil.pid_exists(first.pid), "the end of the command", within_s=LEASE_S + 1)
    site.started(task_id, run=1)
    if way == "refused":
        proxy.accept()
    else:
        proxy.swallow(False)
        proxy.cut()
    site.go()
    assert ends(site, task_id) == (EXPIRED, DONE)
    site.check()


def test_a_slow_connection_is_no_fault(site: FaultSite) -> None:
    site.script("step", "echo working", once=True)
    proxy = site.proxy()
    site.worker("one", via=proxy)
    proxy.delay(0.15)
    tasks = [site.send("step") for _ in range(5)]
    assert [ends(site, task_id) for task_id in tasks] == [(DONE,)] * 5
    proxy.delay(0)
    site.check()


def test_a_worker_finds_a_store_that_came_late(site: FaultSite) -> None:
    """It was there at the start, then for a while it was not."""
    site.script("step", "echo working", once=True)
    site.worker("one")
    site.store.kill()
    said = len(site.log())
    site.complained(said)
    site.store.start()
    assert ends(site, site.send("step")) == (DONE,)
    site.check()
