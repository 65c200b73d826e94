"""The store killed and started again, frozen, full, or read-only: nothing is lost or acknowledged unrecorded."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.system.faults.fault_site import LEASE_S, FaultSite
from tests.system.faults.places import DONE, PLACES, WAITS, ends, stop_at
from tests.system.faults.store_server import StoreServer
from tests.system.site import eventually, run_folder


@pytest.mark.parametrize("place", PLACES)
def test_a_store_killed_and_restarted_at_any_step_costs_nothing(site: FaultSite, place: str) -> None:
    site.script("step", "echo working", once=True)
    task_id, hold, *_ = stop_at(site, place)
    site.store.restart()
    hold.release()
    assert ends(site, task_id) == (DONE,)
    assert len(site.marks(task_id, "start")) == 1
    assert site.task_log(task_id).endswith(b"begun 0\nworking\n")
    site.check()


def test_a_command_outlives_a_restart_of_the_store(site: FaultSite) -> None:
    """And its log is whole and in order."""
    site.script("slow", f"for n in 1 2 3; do echo before $n; done\n{WAITS}\nfor n in 1 2 3; do echo after $n; done")
    site.worker("one")
    task_id = site.send("slow")
    site.started(task_id)
    site.store.restart()
    site.go()
    assert ends(site, task_id) == (DONE,)
    log = site.task_log(task_id).split(b"\n")
    assert log[-8:] == [b"begun 0", *(b"%s %d" % (w, n) for w in (b"before", b"after") for n in (1, 2, 3)), b""]
    site.check()


def test_a_store_killed_in_the_middle_of_an_upload_costs_nothing(site: FaultSite) -> None:
    site.script("big", "truncate -s 150M artifacts/big.bin", once=True)
    site.worker("one")
    task_id = site.send("big")
    files = run_folder(site.state, task_id) / "artifacts"
    eventually(lambda: files.is_dir() and any(files.iterdir()), "the upload")
    site.store.restart()
    assert ends(site, task_id) == (DONE,)
    assert [artifact.size for artifact in site.finished(task_id).runs[0].artifacts] == [150 * 1024**2]
    site.check()


def test_a_command_ends_when_the_store_is_away_for_longer_than_the_lease(site: FaultSite) -> None:
    site.script("slow", WAITS, once=True)
    site.worker("one")
    task_id = site.send("slow")
    first = site.started(task_id)
    site.store.kill()
    eventually(lambda: not psutil.pid_exists(first.pid), "the end of the command", within_s=LEASE_S + 2)
    site.store.start()
    assert site.finished(task_id).reason == "claim-expired"
    site.check()


def test_a_frozen_store_is_one_that_is_away(site: FaultSite) -> None:
    site.script("slow", WAITS, retries=1)
    site.worker("one")
    task_id = site.send("slow")
    first = site.started(task_id)
    with site.store.frozen():
        eventually(lambda: not psutil.pid_exists(first.pid), "the end of the command", within_s=LEASE_S + 2)
    site.go()
    task = site.finished(task_id)
    assert (task.status, len(task.runs)) == ("completed", 2)
    site.check()


REFUSALS = {
    "is out of memory": ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    "is read-only": ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    "misses its replicas": ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
}


def tell(store: StoreServer, command: str) -> None:
    with store.client() as server:
        server.execute_command(*command.split())


@pytest.mark.parametrize(
    ("place", "way"),
    [
        *((place, "is out of memory") for place in ("before the claim", "before the acknowledgement")),
        *(("after the exit, before resolve", way) for way in REFUSALS),
        ("before the claim", "misses its replicas"),
    ],
)
def test_a_store_that_refuses_to_write_loses_nothing(site: FaultSite, way: str, place: str) -> None:
    refuse, accept = REFUSALS[way]
    site.script("step", "echo working", once=True)
    task_id, hold, *_ = stop_at(site, place)
    said = len(site.log())
    tell(site.store, refuse)
    try:
        hold.release()
        site.complained(said)
        if (place, way) == ("after the exit, before resolve", "is out of memory"):
            assert ends(site, task_id) == (DONE,), "an end gives memory back, and a full store takes it"
        elif place != "before the acknowledgement":
            with site.store.client() as server:
                held = sum(server.llen(key) for key in server.scan_iter("penstock:inflight:*"))
            assert held == 1, "what was not recorded was acknowledged"
    finally:
        tell(site.store, accept)
    assert ends(site, task_id) == (DONE,)
    site.check()


@pytest.mark.parametrize("way", ["is out of memory", "misses its replicas"])
def test_tasks_wait_in_the_queue_while_the_store_refuses_to_write(site: FaultSite, way: str) -> None:
    refuse, accept = REFUSALS[way]
    site.script("step", "echo working", once=True)
    site.worker("one")
    said = len(site.log())
    tell(site.store, refuse)
    try:
        site.complained(said)
    finally:
        tell(site.store, accept)
    tasks = [site.send("step") for _ in range(5)]
    assert [ends(site, task_id) for task_id in tasks] == [(DONE,)] * 5
    site.check()


def test_a_store_whose_disk_is_full_loses_nothing(folder: Path, small_disk: Path) -> None:
    """Then it refuses to write, in words of its own."""
    with FaultSite(folder, store=small_disk / "store") as site:
        site.script("step", "echo working", once=True)
        task_id, hold, *_ = stop_at(site, "before the claim")
        filler = small_disk / "filler"
        fill(filler)
        said = len(site.log())
        try:
            eventually(lambda: refuses(site.store), "that the store refuses to write", within_s=10)
            hold.release()
            site.complained(said)
        finally:
            filler.unlink()
        assert ends(site, task_id) == (DONE,)
        site.check()


def fill(path: Path) -> None:
    """Until nothing more fits on the disk."""
    with path.open("wb", buffering=0) as file:
        for block in (b"\0" * 65536, b"\0"):
            try:
                while True:
                    file.write(block)
            except OSError:
                continue


def refuses(store: StoreServer) -> bool:
    with store.client() as server:
        try:
            server.set("penstock:clock:probe", "x" * 4096)
            server.delete("penstock:clock:probe")
        except Exception as error:  # of any kind: the words are the server's
            assert "MISCONF" in str(error), error
            return True
    return False
