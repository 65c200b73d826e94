"""Latency: how long after `send_task` the command of an idle worker shows its first effect."""

from __future__ import annotations

import json
import os
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measuring import Row, Table, WrongCount, percentile, turned
from bench.peer_systems import ALL_WORKERS, peers_there
from bench.program import options, positive, progress, report
from bench.systems import Script, Worker, payloads

BARE = "bare subprocess"
PLAIN = ("celery prefork", "celery threads")
_QUICK_TASKS = 5
_EFFECT_S = 30.0
# Between two tasks, so that the worker is back at its waiting place.
_IDLE_S = 0.01
_POLL_S = 0.002


def measure(tasks: int, rounds: int, concurrency: int = 8, *, install: bool = True) -> list[Table]:
    """The time includes what the producer needs to send, and the start of the command itself (see the bare row)."""
    names = ("penstock", BARE, *peers_there(install=install), *PLAIN)
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for number in range(rounds):
        for name in turned(names, number):
            progress(f"latency: round {number + 1} of {rounds}, {name}")
            found[name].append(_bare(tasks) if name == BARE else idle_times(ALL_WORKERS[name], tasks, concurrency))
    progress("")
    together = {name: [ms for one in found[name] for ms in one] for name in names}
    ours = percentile(together["penstock"], 50)
    rows: list[Row] = [
        {
            "system": name,
            "p50 ms": percentile(together[name], 50),
            "p99 ms": percentile(together[name], 99),
            "lowest p50": min(statistics.median(one) for one in found[name]),
            "highest p50": max(statistics.median(one) for one in found[name]),
            "penstock's p50 is times": ours / percentile(together[name], 50),
        }
        for name in names
    ]
    title = f"Latency of an idle worker: {tasks} tasks, one at a time, in each of {rounds} rounds"
    return [
        Table(
            title,
            rows,
            raw={f"{name} p50 ms": [statistics.median(one) for one in found[name]] for name in names},
            found={"latency p50": ours, "latency p99": percentile(together["penstock"], 99)},
        )
    ]


def idle_times(kind: type[Worker], tasks: int, concurrency: int) -> list[float]:
    """Milliseconds from sending to the first byte, of each task."""
    with effects() as (command, arrived), kind({"mark": Script(command)}, concurrency) as worker:
        for number, payload in enumerate(payloads(concurrency)):  # to warm up
            worker.send("mark", payload)
            arrived(number)
        worker.wait(concurrency, _POLL_S)
        found, ids = one_by_one(worker, arrived, tasks, first=concurrency, poll_s=_POLL_S)
        worker.check(ids)
        return found


def one_by_one(
    worker: Worker, arrived: Callable[[int], float], tasks: int, *, first: int, poll_s: float
) -> tuple[list[float], list[str]]:
    """Send one task after the other, numbered from `first`: milliseconds to the effect of each, and their ids."""
    took, ids = [], []
    for number, payload in enumerate(payloads(tasks, first=first), first):
        time.sleep(_IDLE_S)
        task_id, begun = worker.send_timed("mark", payload)
        ids.append(task_id)
        took.append((arrived(number) - begun) * 1000)
        worker.wait(number + 1, poll_s)
    return took, ids


def _bare(tasks: int) -> list[float]:
    """Started directly by this program: what the command costs alone."""
    with effects() as (command, arrived):
        found = []
        for number, payload in enumerate(payloads(tasks)):
            time.sleep(_IDLE_S)
            stdin = json.dumps(payload).encode()
            begun = time.perf_counter()
            with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
                process.communicate(stdin)
                found.append((arrived(number) - begun) * 1000)
        return found


@contextmanager
def effects() -> Iterator[tuple[list[str], Callable[[int], float]]]:
    """A command that copies its stdin into a FIFO, and a function that waits for the payload with a number.

    That returns when its first byte was there, by `time.perf_counter`.
    """
    with tempfile.TemporaryDirectory(prefix="pb") as folder:
        path = Path(folder) / "effect"
        os.mkfifo(path)
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # also for writing: it then never comes to an end
        poll = select.poll()
        poll.register(fd, select.POLLIN)

        def arrived(number: int) -> float:
            if not poll.poll(_EFFECT_S * 1000):
                raise WrongCount(f"the command of task {number} had no effect within {_EFFECT_S:g} s")
            now = time.perf_counter()
            payload: dict[str, Any] = json.loads(os.read(fd, 65536))
            if payload["number"] != number:
                raise WrongCount(f"the effect is that of task {payload['number']} and not of task {number}")
            return now

        try:
            yield [shutil.which("dd") or "dd", f"of={path}", "status=none"], arrived
        finally:
            os.close(fd)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--tasks", type=positive, default=200, help="tasks in each round")
    parser.add_argument("--concurrency", type=positive, default=8, help="of the worker, which runs one at a time here")
    chosen = parser.parse_args()
    tasks, rounds = (_QUICK_TASKS, 1) if chosen.quick else (chosen.tasks, chosen.rounds)
    return report([lambda: measure(tasks, rounds, chosen.concurrency, install=not chosen.quick)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
