"""Full disks: no run passes for a good one, and the worker waits until there is room again."""

from __future__ import annotations

from pathlib import Path

from tests.system.faults.fault_site import FaultSite
from tests.system.faults.places import DONE, ends
from tests.system.faults.test_store_faults import fill
from tests.system.site import eventually, run_folder


def test_an_artifact_that_does_not_fit_is_an_artifact_error_with_a_log(folder: Path, small_disk: Path) -> None:
    with FaultSite(folder, state=small_disk / "state") as site:
        site.script("big", "truncate -s 100M artifacts/big.bin; echo made", once=True)
        site.script("small", "echo hello > artifacts/small.txt")
        site.worker("one")
        task_id = site.send("big")
        task = site.finished(task_id)
        assert (task.status, task.reason) == ("exception", "artifact-error")
        assert task.runs[0].artifacts == ()
        log = (run_folder(site.state, task_id) / "log.txt").read_bytes()
        assert b"made\n" in log and b"[worker:error] " in log
        assert len(site.finished(site.send("small")).runs[0].artifacts) == 1
        site.check()


def test_a_command_that_fills_the_disk_does_not_complete(folder: Path, small_disk: Path) -> None:
    """Work folder, log and artifacts are on one disk, so that not even the log fits."""
    with FaultSite(folder, state=small_disk / "state") as site:
        noise = "head -c 9M /dev/zero | tr '\\0' x | fold -w 1000"
        site.script("fill", f"head -c 60M /dev/zero > filler; {noise}", once=True)
        site.worker("one")
        task_id = site.send("fill")
        task = site.finished(task_id)
        assert (task.status, task.reason) == ("exception", "internal-error")
        assert "the log could not be written: No space left on device" in task.message
        log = (run_folder(site.state, task_id) / "log.txt").read_bytes()
        assert b"begun 0\n" in log
        assert log.endswith(b"[worker:error] the log is not whole: No space left on device\n")
        assert task.runs[0].log_bytes == len(log)
        site.check()


def test_below_its_least_free_disk_a_worker_pauses_and_resumes_by_itself(folder: Path, small_disk: Path) -> None:
    with FaultSite(folder, state=small_disk / "state", worker={"minFreeDisk": "4 MiB"}) as site:
        site.script("step", "echo working", once=True)
        site.worker("one")
        said = len(site.log())
        filler = small_disk / "filler"
        fill(filler)
        assert "disk" in site.complained(said)
        tasks = [site.send("step") for _ in range(3)]
        with site.store.client() as server:
            assert server.llen("penstock") == 3, "nothing is taken"
        filler.unlink()
        assert [ends(site, task_id) for task_id in tasks] == [(DONE,)] * 3
        eventually(lambda: "enough disk again" in site.log()[said:], "the word that it goes on")
        site.check()
