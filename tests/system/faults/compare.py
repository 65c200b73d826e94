"""Compare: the same faults played to plain Celery and to Penstock, as one Markdown table.

    python -m tests.system.faults.compare [--only TEXT]

What is counted comes from the histories outside the store: how often the command started, how many outcomes were
recorded, which of its processes are left when the worker has gone, and how long it took from the fault to the outcome.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from tests.system.faults import leftovers, plain_celery
from tests.system.faults.fault_site import FaultSite
from tests.system.faults.history import END, START, read
from tests.system.faults.poison import UNREADABLE
from tests.system.faults.proxy import Proxy

_ROOT = Path(__file__).parents[3]
_LEASE_S = 3.0
# Two seconds of work, with a process that leaves the group.
_WORK = "(setsid sleep 60 &)\nfor _ in {1..40}; do mark tick; sleep 0.05; done"
_LONG_S = plain_celery.VISIBILITY_S * 1.6
_PATIENCE_S = 25.0
# After the first outcome: time for a second one to come.
_WATCH_S = 7.0


class System(ABC):
    """One of the two, on a site of its own."""

    name: ClassVar[str]

    def __init__(self, site: FaultSite) -> None:
        self.site = site
        site.script("work", _WORK, retries=1)
        site.script("long", f"for _ in {{1..{int(_LONG_S * 20)}}}; do mark tick; sleep 0.05; done", retries=1)
        site.script("good", "")

    @abstractmethod
    def worker(self, name: str, via: Proxy | None = None) -> subprocess.Popen[bytes]: ...

    @abstractmethod
    def outcomes(self, task_id: str) -> int: ...

    def started(self, task_id: str) -> int:
        return len(self.site.marks(task_id, START))


class Penstock(System):
    name = "Penstock"

    def worker(self, name: str, via: Proxy | None = None) -> subprocess.Popen[bytes]:
        return self.site.worker(name, via=via, ready=False)

    def outcomes(self, task_id: str) -> int:
        ends = [e for e in self.site.events() if e.task_id == task_id and e.status.final]
        following = [e for e in self.site.events() if e.task_id == task_id and e.kind == "registered" and e.run > 0]
        return len(ends) - len(following)


class PlainCelery(System):
    name = "plain Celery"

    def worker(self, name: str, via: Proxy | None = None) -> subprocess.Popen[bytes]:
        site = self.site
        broker = via.url if via else site.store.celery_url
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "FAULT_BROKER": broker,
            "FAULT_RESULTS": broker.replace("virtual_host=0", "virtual_host=1").replace("/0", "/1"),
            "FAULT_SCRIPTS": str(site.folder / "scripts"),
            "FAULT_HISTORY": str(site.performed),
            "FAULT_SITE": str(site.folder),
            "FAULT_OUTCOMES": str(self._outcomes),
        }
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        command = [sys.executable, "-m", "celery", "-A", plain_celery.__name__, "worker", "-c", "2", "-n", name, *quiet]
        with (site.folder / f"worker-{len(site.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=site.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        site.processes.append(process)
        return process

    @property
    def _outcomes(self) -> Path:
        return self.site.folder / "outcomes.history"

    def outcomes(self, task_id: str) -> int:
        return sum(mark.task == task_id for mark in read(self._outcomes))


@dataclass(frozen=True, slots=True)
class Played:
    """`recovered_s` is None when there was no outcome in time; `alive`: a worker still takes good tasks."""

    started: int
    finished: int
    outcomes: int
    left: int
    recovered_s: float | None
    alive: bool

    def __str__(self) -> str:
        when = f"after {self.recovered_s:.1f} s" if self.recovered_s is not None else f"none within {_PATIENCE_S:g} s"
        words = [f"started {self.started}×, finished {self.finished}×", f"outcomes: {self.outcomes} ({when})"]
        words.append(f"processes left: {self.left}")
        return "; ".join(words if self.alive else [*words, "**no worker takes tasks any more**"])


def killed(system: System, worker: subprocess.Popen[bytes], task_id: str) -> None:
    worker.kill()
    worker.wait()
    system.worker("two")


def killed_with_children(system: System, worker: subprocess.Popen[bytes], task_id: str) -> None:
    for pid in (worker.pid, *(process.pid for process in psutil.Process(worker.pid).children())):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    worker.wait()
    system.worker("two")


def frozen(system: System, worker: subprocess.Popen[bytes], task_id: str) -> None:
    system.worker("two")
    for process in [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]:
        if "scripts/" not in " ".join(process.cmdline()) and process.name() in ("python", "python3", "celery"):
            process.suspend()
    time.sleep(plain_celery.VISIBILITY_S * 2)
    for process in [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]:
        process.resume()


def store_killed(system: System, worker: subprocess.Popen[bytes], task_id: str) -> None:
    system.site.store.restart()


def nothing(system: System, worker: subprocess.Popen[bytes], task_id: str) -> None:
    """The fault is the time it takes."""


def poisoned(text: str) -> Callable[[System, subprocess.Popen[bytes], str], None]:
    def play(system: System, worker: subprocess.Popen[bytes], task_id: str) -> None:
        system.site.push(UNREADABLE[text])

    return play


def reset(system: System, worker: subprocess.Popen[bytes], task_id: str) -> None:
    assert system.site.proxies
    system.site.proxies[-1].cut(reset=True)


@dataclass(frozen=True, slots=True)
class Fault:
    what: str
    play: Callable[[System, subprocess.Popen[bytes], str], None]
    script: str = "work"
    proxied: bool = False


FAULTS = (
    Fault("kill -9 of the worker while a command runs", killed),
    Fault("kill -9 of the worker and its direct children", killed_with_children),
    Fault(f"worker frozen for {plain_celery.VISIBILITY_S * 2} s, another one alive", frozen, script="long"),
    Fault("connections reset while a command runs", reset, proxied=True),
    Fault("store killed and restarted while a command runs", store_killed),
    Fault(f"a run longer than Celery's visibility timeout ({plain_celery.VISIBILITY_S} s)", nothing, script="long"),
    Fault("a JSON number in the queue", poisoned("a JSON number")),
    Fault("bytes that are no JSON in the queue", poisoned("bytes that are no JSON")),
    Fault("a message without properties in the queue", poisoned("no properties")),
)


def play(kind: type[System], fault: Fault) -> Played:
    with _site() as site:
        system = kind(site)
        worker = system.worker("one", site.proxy() if fault.proxied else None)
        task_id = site.send(fault.script)
        _within(lambda: system.started(task_id) > 0)
        since = time.monotonic()
        fault.play(system, worker, task_id)
        recovered = _within(lambda: system.outcomes(task_id) > 0)
        recovered_s = time.monotonic() - since if recovered else None
        time.sleep(_WATCH_S)
        good = site.send("good")
        alive = _within(lambda: system.outcomes(good) > 0, 15)
        marks = [mark.kind for mark in site.marks(task_id)]
        outcomes = system.outcomes(task_id)
        _end(site)
        left = len(leftovers.processes(str(site.performed)))
        return Played(marks.count(START), marks.count(END), outcomes, left, recovered_s, alive)


@contextmanager
def _site() -> Iterator[FaultSite]:
    folder = Path(tempfile.mkdtemp(prefix="pf"))
    site = FaultSite(folder, lease_s=_LEASE_S)
    site.store.start()
    try:
        yield site
    finally:
        _end(site)
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if str(site.performed) in process.environ().values():
                    process.kill()
        site.stack.close()
        site.store.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _end(site: FaultSite) -> None:
    """End what is left of the workers, and leave what they left."""
    for worker in site.processes:
        with suppress(psutil.NoSuchProcess):
            below = [
                p for p in psutil.Process(worker.pid).children(recursive=True) if p.name() in ("python", "python3")
            ]
            worker.terminate()
            try:
                worker.wait(15)
            except subprocess.TimeoutExpired:
                worker.kill()
                for process in below:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
        worker.wait()


def _within(look: Callable[[], bool], seconds: float = _PATIENCE_S) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError):
            if look():
                return True
        time.sleep(0.05)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="only faults with this text in their names")
    chosen = parser.parse_args()
    print(
        f"Penstock: lease {_LEASE_S:g} s, one retry. Plain Celery: prefork, acks_late, reject_on_worker_lost, "
        f"visibility timeout {plain_celery.VISIBILITY_S} s, result backend.\n"
    )
    print(f"| fault | {PlainCelery.name} | {Penstock.name} |\n|---|---|---|", flush=True)
    wrong = False
    for fault in FAULTS:
        if chosen.only in fault.what:
            theirs, ours = play(PlainCelery, fault), play(Penstock, fault)
            print(f"| {fault.what} | {theirs} | {ours} |", flush=True)
            wrong |= ours.outcomes != 1 or ours.left > 0 or not ours.alive
    if wrong:
        print("faults: error: Penstock did not keep what it promises", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
