"""Flood: the latency of other tasks while one run writes to its log as fast as it can."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.latency import effects, one_by_one
from bench.measuring import Row, Table, forget_peaks, median_ratio, peak_mb, percentile, rss_mb, turned
from bench.program import options, positive, progress, report
from bench.systems import PenstockWorker, Script, Worker, end, payloads

QUIET = "nothing else"
BUSY = "the same command outside, into /dev/null"
FLOOD = "a run that floods its log"
CONDITIONS = (QUIET, BUSY, FLOOD)
YES = [
    shutil.which("yes") or "yes",
    "2001-01-01T00:00:00.000Z bench: a line of a log with about a hundred characters, xxxx",
]
_CONCURRENCY = 8
_POLL_S = 0.005
_UNDER_WAY_S = 0.5


def measure(tasks: int, rounds: int) -> list[Table]:
    times: dict[str, list[list[float]]] = {name: [] for name in CONDITIONS}
    growth: list[float] = []
    rates: list[float] = []
    for number in range(rounds):
        for name in turned(CONDITIONS, number):
            progress(f"flood: round {number + 1} of {rounds}, {name}")
            took, grew, mb_per_s = _measure(name, tasks)
            times[name].append(took)
            if name == FLOOD:
                growth.append(grew)
                rates.append(mb_per_s)
    progress("")
    p99 = {name: [percentile(one, 99) for one in times[name]] for name in CONDITIONS}
    ratios = {name: median_ratio(p99[name], p99[QUIET]) for name in CONDITIONS}
    rows: list[Row] = [
        {
            "beside": name,
            "p50 ms": percentile([ms for one in times[name] for ms in one], 50),
            "p99 ms": statistics.median(p99[name]),
            "lowest p99": min(p99[name]),
            "highest p99": max(p99[name]),
            "p99 is times": ratios[name],
            "log MB/s": statistics.median(rates) if name == FLOOD else None,
            "memory grew by MB": statistics.median(growth) if name == FLOOD else None,
        }
        for name in CONDITIONS
    ]
    return [
        Table(
            f"Flood: latency of {tasks} tasks beside, one at a time, in each of {rounds} rounds",
            rows,
            raw={f"{name}: p99 ms": p99[name] for name in CONDITIONS},
            found={
                "latency in a flood": ratios[FLOOD],
                "latency in a flood, of busy": median_ratio(p99[FLOOD], p99[BUSY]),
                "memory in a flood": statistics.median(growth),
            },
        )
    ]


def _measure(name: str, tasks: int) -> tuple[list[float], float, float]:
    with (
        effects() as (command, arrived),
        PenstockWorker({"mark": Script(command), "flood": Script(YES)}, _CONCURRENCY) as worker,
    ):
        for number, payload in enumerate(payloads(_CONCURRENCY)):  # to warm up
            worker.send("mark", payload)
            arrived(number)
        worker.wait(_CONCURRENCY, _POLL_S)
        forget_peaks(worker.processes)
        before = rss_mb(worker.processes)
        with _beside(name, worker):
            written, since = _spooled(worker), time.perf_counter()
            took, ids = one_by_one(worker, arrived, tasks, first=_CONCURRENCY, poll_s=_POLL_S)
            mb_per_s = (_spooled(worker) - written) / (time.perf_counter() - since) / 1_000_000
            grew = peak_mb([one for one in worker.processes if not _is_command(one.pid)]) - before
        worker.check(ids)
        return took, grew, mb_per_s


@contextmanager
def _beside(name: str, worker: Worker) -> Iterator[None]:
    if name == BUSY:
        with subprocess.Popen(YES, stdout=subprocess.DEVNULL, start_new_session=True) as process:
            try:
                time.sleep(_UNDER_WAY_S)
                yield
            finally:
                end(process)
        return
    if name == FLOOD:
        worker.send("flood", payloads(1)[0])  # it ends with the worker
        while not _spooled(worker):
            time.sleep(_POLL_S)
        time.sleep(_UNDER_WAY_S)
    yield


def _spooled(worker: Worker) -> int:
    """Bytes in the logs that are being written."""
    total = 0
    for path in (worker.folder / "s").rglob("*.txt"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            pass  # a run has ended
    return total


def _is_command(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == Path(YES[0]).name
    except OSError:
        return True


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--tasks", type=positive, default=200, help="tasks in each round")
    chosen = parser.parse_args()
    tasks, rounds = (5, 1) if chosen.quick else (chosen.tasks, chosen.rounds)
    return report([lambda: measure(tasks, rounds)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
