"""Recovery: how long it takes after a fault until work goes on, with the settings that each system comes with."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.measuring import Row, Table, Value, WrongCount, tree, turned
from bench.program import options, progress, report
from bench.systems import WORKERS, Script, Worker, payloads
from worker.model.task import NewTask
from worker.store import Records, connect

SYSTEMS = ("penstock", "celery prefork")
CONCURRENCY = 2
# Longer than what Penstock's defaults may take: half a minute for a lost message, and a sweep.
PATIENCE_S = 45.0
_POLL_S = 0.01
_CONNECTIONS = ("normal", "pubsub")


@dataclass(frozen=True, slots=True)
class Recovered:
    """Seconds from the fault; None: not within the patience."""

    started_s: float | None
    ended_s: float | None


class Scene:
    """A worker with one command that runs until it is killed the first time, and at once to its end the next."""

    def __init__(self, worker: Worker, folder: Path) -> None:
        self.worker = worker
        self.starts = folder / "starts"
        self.ended_before = worker.finished()

    def send(self, script: str) -> None:
        self.worker.send(script, payloads(1)[0])

    def run(self) -> None:
        """One run that waits for ever; returns when it has started."""
        self.send("first-hangs")
        if self._within(lambda: self._count() == 1, PATIENCE_S) is None:
            raise WrongCount(f"{self.worker.name}: the command did not start")

    def recovered(self, starts: int) -> Recovered:
        """Called at the time of the fault: until so many starts in all, and until one more task has ended."""
        since = time.monotonic()
        started_s = self._within(lambda: self._count() >= starts, PATIENCE_S)
        left_s = PATIENCE_S - (time.monotonic() - since)
        ended = self._within(lambda: self._ended() > self.ended_before, max(0.0, left_s))
        return Recovered(started_s, None if ended is None else time.monotonic() - since)

    def _count(self) -> int:
        return self.starts.read_bytes().count(b"\n") if self.starts.exists() else 0

    def _ended(self) -> int:
        try:
            return self.worker.finished()
        except Exception as error:  # of many kinds: the store was away a moment ago
            if not isinstance(error, OSError) and "redis" not in type(error).__module__:
                raise
            return self.ended_before

    def _within(self, look: Callable[[], bool], seconds: float) -> float | None:
        since = time.monotonic()
        while not look():
            if time.monotonic() - since > seconds:
                return None
            time.sleep(_POLL_S)
        return time.monotonic() - since


def killed(scene: Scene) -> Recovered:
    scene.run()
    scene.worker.kill()
    scene.worker.start_another()
    return scene.recovered(starts=2)


def frozen(scene: Scene) -> Recovered:
    """Its command is not: whoever wants that ended has to see to it."""
    scene.run()
    hung = [process for process in tree(scene.worker.pid) if not _runs_a_script(process.pid)]
    for process in hung:
        os.kill(process.pid, signal.SIGSTOP)
    scene.worker.start_another()
    return scene.recovered(starts=2)


def store_restarted(scene: Scene) -> Recovered:
    """Killed and started again; a task is sent as soon as it answers."""
    folder = scene.worker.store.folder
    os.kill(int((folder / "store.lock").read_text()), signal.SIGKILL)
    scene.worker.store.start()
    scene.send("works")
    return scene.recovered(starts=1)


def connections_cut(scene: Scene) -> Recovered:
    """Every connection of the worker; a task is sent at once."""
    for kind in _CONNECTIONS:
        with suppress(ConnectionError):
            scene.worker.redis.execute_command("CLIENT", "KILL", "TYPE", kind)
    scene.send("works")
    return scene.recovered(starts=1)


def message_lost(scene: Scene) -> Recovered:
    """A task that was accepted, and has no message: the broker was emptied, or the publishing failed."""
    payload = json.dumps(payloads(1)[0]).encode()

    async def register() -> None:
        redis = connect(scene.worker.store.url)
        try:
            new = NewTask(
                id=str(uuid.uuid4()),
                script="works",
                payload=payload,
                shown=payload.decode(),
                digest=hashlib.sha256(payload).hexdigest(),
                queue="penstock",
                trigger="cli",
            )
            await Records(redis).register(new)
        finally:
            await redis.aclose()

    asyncio.run(register())
    return scene.recovered(starts=1)


@dataclass(frozen=True, slots=True)
class Fault:
    what: str
    play: Callable[[Scene], Recovered]
    slow: bool = False
    plain: str = ""
    """What plain Celery does, where there is nothing to wait for."""


FAULTS = (
    Fault("worker killed while a command runs, another started at once", killed, slow=True),
    Fault("worker frozen while a command runs, another started at once", frozen, slow=True),
    Fault("store killed and restarted, then a task sent", store_restarted),
    Fault("connections of the worker cut, then a task sent", connections_cut),
    Fault("message of an accepted task lost, or the broker emptied", message_lost, slow=True, plain="never"),
)


def measure(rounds: int, *, slow: bool = True) -> list[Table]:
    found: dict[tuple[str, str], list[Recovered]] = {}
    faults = [fault for fault in FAULTS if slow or not fault.slow]
    for number in range(rounds):
        for fault in faults:
            for name in turned(SYSTEMS, number):
                results = found.setdefault((fault.what, name), [])
                if (name != "penstock" and fault.plain) or (results and results[-1].ended_s is None):
                    continue  # waiting for it once more would tell nothing new
                progress(f"recovery: round {number + 1} of {rounds}, {fault.what}, {name}")
                with _scene(name) as scene:
                    results.append(fault.play(scene))
                if name == "penstock" and results[-1].ended_s is None:
                    raise WrongCount(f"{name}: {fault.what}: no outcome within {PATIENCE_S:g} s")
    progress("")
    rows = [_row(fault, name, found[fault.what, name]) for fault in faults for name in SYSTEMS]
    raw = {f"{name}, {what}: s": [r.ended_s for r in results if r.ended_s] for (what, name), results in found.items()}
    return [Table(f"Recovery: seconds after a fault, default settings, medians of {rounds} rounds", rows, raw=raw)]


def _row(fault: Fault, name: str, results: Sequence[Recovered]) -> Row:
    none: Value = fault.plain or f"none in {PATIENCE_S:g} s"
    started = [result.started_s for result in results if result.started_s is not None]
    ended = [result.ended_s for result in results if result.ended_s is not None]
    return {
        "fault": fault.what,
        "system": name,
        "until the command starts": statistics.median(started) if started else none,
        "until its outcome": statistics.median(ended) if ended else none,
        "lowest": min(ended, default=None),
        "highest": max(ended, default=None),
    }


@contextmanager
def _scene(name: str) -> Iterator[Scene]:
    folder = Path(tempfile.mkdtemp(prefix="pbr"))
    try:
        note = f"echo >> {folder / 'starts'}"
        hangs = f"{note}; [ $(wc -l < {folder / 'starts'}) -gt 1 ] || exec sleep 600"
        scripts = {"works": Script(["/bin/sh", "-c", note]), "first-hangs": Script(["/bin/sh", "-c", hangs])}
        with WORKERS[name](scripts, CONCURRENCY) as worker:
            yield Scene(worker, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _runs_a_script(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith((b"/bin/sh\0", b"sleep\0"))
    return False


def main() -> int:
    chosen = options(__doc__).parse_args()
    parts = [lambda: measure(1, slow=False)] if chosen.quick else [lambda: measure(chosen.rounds)]
    return report(parts, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
