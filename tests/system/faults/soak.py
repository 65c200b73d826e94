"""Soak: producers, beats, workers and the store, killed and frozen at random, and the checker in the end.

    PENSTOCK_SOAK_SEED=7 PENSTOCK_SOAK_S=600 python -m tests.system.faults.soak

The seed decides which faults come in which order after which pauses; what they hit is up to the machine.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.system.faults import addresser, beat, producer
from tests.system.faults.checker import summary
from tests.system.faults.fault_site import FaultSite
from tests.system.faults.history import START, Histories, read

_ROOT = Path(__file__).parents[3]
_NAMES = ("one", "two", "three")
# Beyond most pauses of a worker, so that some answer late and some not at all.
_START_WITHIN = "4s"
_LEASE_S = 3.0
# Not more wait at a time: what is proved is what happens to tasks, not how many there are.
_MOST_WAITING = 60
_END_S = 90.0
SIDE_EFFECT = 'echo "$TASK_ID" >> "$SITE/side-effects"'
# What producers choose from, by weight.
SCRIPTS = {"quick": 6, "once": 4, "slow": 2, "fails": 1, "artifact": 2, "lively": 1, "slow-once": 1}


class Soak:
    def __init__(self, site: FaultSite, seed: int, seconds: float) -> None:
        self._site = site
        self._random = random.Random(seed)
        self._seconds = seconds
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._producers: list[subprocess.Popen[bytes]] = []
        self._beats: list[subprocess.Popen[bytes]] = []
        self._addressers: list[subprocess.Popen[bytes]] = []
        # Each worker reaches the store by a way of its own, which can be cut.
        self._ways = {name: site.proxy() for name in _NAMES}
        self._cut: dict[str, float] = {}
        self._frozen: dict[str, float] = {}
        self._started = 0
        self.faults: Counter[str] = Counter()

    def run(self) -> Histories:
        """Until the time is over; then everything has to come to its end. Raises AssertionError with what is wrong."""
        for name in _NAMES:
            self._start_worker(name, ready=True)
        for _ in range(2):
            self._start_producer()
            self._start_beat()
        self._start_addresser()
        try:
            until = time.monotonic() + self._seconds
            while time.monotonic() < until:
                time.sleep(self._random.uniform(0.3, 1.5))  # the pause is the experiment; nothing is waited for
                self._thaw()
                self._mend()
                self._one_fault()
                self._site.events()
        finally:
            self._end([*self._producers, *self._beats, *self._addressers])
            for name in _NAMES:
                self._thaw(name)
                self._mend(name)
        for name, worker in list(self._workers.items()):
            if worker.poll() is not None:
                self._start_worker(name)
        self._site.pass_time_for_the_dead()
        histories = self._site.check(within_s=_END_S)
        self._check_side_effects(histories)
        return histories

    def _one_fault(self) -> None:
        faults = {
            "worker killed": 5,
            "worker and its children killed": 2,
            "worker frozen": 3,
            "worker cut off": 3,
            "worker stopped": 2,
            "command killed": 2,
            "store killed": 2,
            "store killed for a while": 1,
            "store frozen": 1,
            "producer killed": 1,
            "beat killed": 1,
            "addresser killed": 1,
        }
        what = self._random.choices(list(faults), list(faults.values()))[0]
        name = self._random.choice(_NAMES)
        pause_s = self._random.uniform(0.1, 1.6 * _LEASE_S)
        pick = self._random.random()
        self.faults[what] += 1
        worker = self._workers[name]
        if what.startswith("worker") and worker.poll() is not None:
            self._start_worker(name)
            return
        match what:
            case "worker killed":
                worker.kill()
                self._restart(name)
            case "worker and its children killed":
                self._kill_tree(worker)
                self._restart(name)
            case "worker frozen":
                if name not in self._frozen:
                    worker.send_signal(signal.SIGSTOP)
                    self._frozen[name] = time.monotonic() + pause_s
            case "worker cut off":
                if name not in self._cut:
                    # Half of the time nobody tells the worker that it is.
                    (self._ways[name].refuse if pick < 0.5 else self._ways[name].swallow)()
                    self._cut[name] = time.monotonic() + pause_s
            case "worker stopped":
                self._thaw(name)
                self._mend(name)
                worker.terminate()
                self._start_worker(name, wait_for=worker)
            case "command killed":
                self._kill_command(pick)
            case "store killed":
                self._site.store.restart()
            case "store killed for a while":
                self._site.store.kill()
                time.sleep(pause_s)
                self._site.store.start()
            case "store frozen":
                with self._site.store.frozen():
                    time.sleep(pause_s / 2)
            case "producer killed":
                self._end([self._producers.pop(0)])
                self._start_producer()
            case "beat killed":
                self._end([self._beats.pop(0)])
                self._start_beat()
            case "addresser killed":
                self._end([self._addressers.pop(0)])
                self._start_addresser()

    def _start_worker(self, name: str, *, ready: bool = False, wait_for: subprocess.Popen[bytes] | None = None) -> None:
        if wait_for:
            try:
                wait_for.wait(20)
            except subprocess.TimeoutExpired:
                raise AssertionError("a worker did not stop within 20 s of SIGTERM") from None
        self._mend(name)
        self._workers[name] = self._site.worker(name, via=self._ways[name], ready=ready)

    def _restart(self, name: str) -> None:
        self._frozen.pop(name, None)
        self._workers[name].wait()
        self._site.pass_time_for_the_dead()
        self._start_worker(name)

    def _thaw(self, name: str | None = None) -> None:
        for each, until in list(self._frozen.items()):
            if each == name or (name is None and time.monotonic() > until):
                del self._frozen[each]
                if self._workers[each].poll() is None:
                    self._workers[each].send_signal(signal.SIGCONT)

    def _mend(self, name: str | None = None) -> None:
        for each, until in list(self._cut.items()):
            if each == name or (name is None and time.monotonic() > until):
                del self._cut[each]
                # What was swallowed is a hole, which no connection has that lives on.
                self._ways[each].refuse()
                self._ways[each].swallow(False)
                self._ways[each].accept()

    def _kill_tree(self, worker: subprocess.Popen[bytes]) -> None:
        import psutil

        try:
            below = psutil.Process(worker.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            below = []
        for pid in (*(process.pid for process in below), worker.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _kill_command(self, pick: float) -> None:
        """One that runs, if there is one: it is a failure of the command itself then."""
        import psutil

        alive = [mark.pid for mark in read(self._site.performed) if mark.kind == START and psutil.pid_exists(mark.pid)]
        if alive:
            pid = alive[int(pick * len(alive))]
            try:
                if str(self._site.performed) in psutil.Process(pid).environ().values():
                    os.kill(pid, signal.SIGKILL)
            except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
                pass

    def _start_producer(self) -> None:
        self._started += 1
        seed = str(self._random.randrange(2**32))
        site = self._site
        arguments = [str(site.produced), site.store.celery_url, str(site.store.socket), seed, str(_MOST_WAITING)]
        self._producers.append(self._python(producer.__name__, *arguments))

    def _start_addresser(self) -> None:
        self._started += 1
        arguments = [str(self._site.folder), str(self._site.produced), str(self._random.randrange(2**32))]
        self._addressers.append(self._python(addresser.__name__, *arguments))

    def _start_beat(self) -> None:
        self._started += 1
        schedule = self._site.folder / f"schedule-{self._started}"
        env = {"BEAT_HISTORY": str(self._site.produced), "BEAT_BROKER": self._site.store.celery_url}
        options = ["-A", beat.__name__, "beat", "-S", f"{beat.__name__}:Scheduler", "-s", str(schedule), "--pidfile="]
        self._beats.append(self._python("celery", *options, **env))

    def _python(self, module: str, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        with (self._site.folder / f"{module.rpartition('.')[2]}-{self._started}.out").open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=_ROOT,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _end(self, processes: list[subprocess.Popen[bytes]]) -> None:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()

    def _check_side_effects(self, histories: Histories) -> None:
        path = self._site.folder / "side-effects"
        effects = Counter(path.read_text().split()) if path.exists() else Counter()
        twice = {task_id: times for task_id, times in effects.items() if times > 1}
        assert not twice, f"side effects of scripts that must not run twice: {twice}"
        unknown = set(effects) - set(histories.tasks)
        assert not unknown, f"side effects of no task: {unknown}"


def declare(site: FaultSite) -> None:
    site.script("quick", "cat")
    site.script("once", f"cat; {SIDE_EFFECT}", once=True)
    site.script("slow-once", f"{SIDE_EFFECT}; for _ in {{1..30}}; do mark tick; sleep 0.05; done", once=True)
    site.script("slow", "for _ in {1..40}; do mark tick; sleep 0.05; done")
    site.script("fails", "code=1")
    site.script("artifact", "head -c 2000000 /dev/zero > artifacts/zeros.bin; echo done > artifacts/done.txt")
    site.script("for-workers", "sleep 0.2")
    site.script("for-workers-once", f"{SIDE_EFFECT}; sleep 0.2", once=True)
    site.script("lively", "(setsid sleep 30 &) ; sleep 0.3")


def soak(folder: Path, seed: int, seconds: float) -> tuple[Counter[str], Histories]:
    # A kill of the server may cost what it has not written yet; with `always` it has written what it acknowledged.
    worker = {"concurrency": 4, "labels": [addresser.LABEL], "beat": "1s"}
    targets = {"startWithin": _START_WITHIN}
    with FaultSite(folder, lease_s=_LEASE_S, fsync="always", worker=worker, targets=targets) as site:
        declare(site)
        play = Soak(site, seed, seconds)
        return play.faults, play.run()


def chosen() -> tuple[int, float]:
    """Seed and seconds, from the environment where they are given there."""
    seed = os.environ.get("PENSTOCK_SOAK_SEED") or str(random.SystemRandom().randrange(10**6))
    return int(seed), float(os.environ.get("PENSTOCK_SOAK_S", "12"))


def main() -> int:
    seed, seconds = chosen()
    print(f"soak: PENSTOCK_SOAK_SEED={seed} PENSTOCK_SOAK_S={seconds:g}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="pf"))
    try:
        faults, histories = soak(folder, seed, seconds)
    except AssertionError as error:
        print(f"soak: {error}\nsoak: seed {seed}; what is left is in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    print("soak: " + ", ".join(f"{number} {what}" for what, number in faults.most_common()))
    print(f"soak: {len(histories.ids('accepted'))} accepted; {summary(histories.tasks)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
