"""Sizing: what more commands at a time, a second worker, and a store that waits for its disk change."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bench.measuring import Row, Table, cpu, median_ratio, pss_mb, tree, turned
from bench.program import options, positive, progress, report
from bench.systems import PenstockWorker, Script, payloads
from bench.throughput import COMMAND


@dataclass(frozen=True, slots=True)
class Shape:
    concurrency: int
    workers: int = 1
    appendfsync: str = "everysec"

    @property
    def name(self) -> str:
        count = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        disk = "" if self.appendfsync == "everysec" else f", appendfsync {self.appendfsync}"
        return f"{count}, concurrency {self.concurrency}{disk}"


@dataclass(frozen=True, slots=True)
class Figures:
    tasks_per_s: float
    cpu_ms: float
    pss_mb: float


USUAL = Shape(8)
SHAPES = (Shape(1), Shape(4), USUAL, Shape(16), Shape(32), Shape(4, 2), Shape(8, 2), Shape(8, 1, "always"))


def measure(tasks: int, rounds: int, shapes: Sequence[Shape] = SHAPES) -> list[Table]:
    by_name = {shape.name: shape for shape in shapes}
    found: dict[str, list[Figures]] = {name: [] for name in by_name}
    for number in range(rounds):
        for name in turned(tuple(by_name), number):
            progress(f"sizing: round {number + 1} of {rounds}, {name}")
            found[name].append(_measure(by_name[name], tasks))
    progress("")
    rates = {name: [one.tasks_per_s for one in found[name]] for name in by_name}
    rows: list[Row] = [
        {
            "penstock": name,
            "tasks/s": statistics.median(rates[name]),
            "lowest": min(rates[name]),
            "highest": max(rates[name]),
            f"of {USUAL.name}": median_ratio(rates[name], rates[USUAL.name]),
            "worker CPU ms/task": statistics.median(one.cpu_ms for one in found[name]),
            "PSS MB": statistics.median(one.pss_mb for one in found[name]),
        }
        for name in by_name
    ]
    return [Table(f"Sizing: {tasks:,} tasks queued, medians of {rounds} rounds", rows, raw=rates)]


def _measure(shape: Shape, tasks: int) -> Figures:
    with PenstockWorker({"drop": Script(COMMAND)}, shape.concurrency) as worker:
        roots = [worker.pid]
        for _ in range(1, shape.workers):
            worker.start_another()
            worker.await_consuming(shape.workers)
            roots.append(worker.pid)
        worker.redis.config_set("appendfsync", shape.appendfsync)
        worker.perform("drop", payloads(shape.concurrency * shape.workers * 4))  # to warm up
        used = _cpu_s(roots)
        load = worker.perform("drop", payloads(tasks))
        processes = [process for root in roots for process in tree(root)]
        return Figures(tasks / load.seconds, (_cpu_s(roots) - used) * 1000 / tasks, pss_mb(processes))


def _cpu_s(roots: Sequence[int]) -> float:
    return sum(cpu(tree(root)).own_s for root in roots)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--tasks", type=positive, default=2000, help="queued tasks")
    chosen = parser.parse_args()
    tasks, rounds = (20, 1) if chosen.quick else (chosen.tasks, chosen.rounds)
    return report([lambda: measure(tasks, rounds)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
