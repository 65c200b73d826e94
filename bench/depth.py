"""Depth: whether Penstock is as fast with very many queued tasks as with few."""

from __future__ import annotations

import statistics
import sys

from bench.measuring import Row, Table, pss_mb
from bench.program import options, positive, progress, report
from bench.systems import PenstockWorker, Script, payloads
from bench.throughput import COMMAND

_CONCURRENCY = 8
# One load of the few is over so soon that a neighbour on the machine decides its rate.
_FEW_LOADS = 4


def measure(deep: int, rounds: int, few: int = 1000) -> list[Table]:
    """In each round the few before and after the many, since the machine changes meanwhile."""
    rates: dict[int, list[float]] = {few: [], deep: []}
    memory: dict[int, list[float]] = {few: [], deep: []}
    ratios = []
    for number in range(rounds):
        of_round: dict[int, list[float]] = {few: [], deep: []}
        for tasks in (few, deep, few):
            progress(f"depth: {tasks} tasks, round {number + 1} of {rounds}")
            with PenstockWorker({"drop": Script(COMMAND)}, _CONCURRENCY) as worker:
                worker.perform("drop", payloads(few))  # to warm up: the first second of a worker is slower
                loads = _FEW_LOADS if tasks == few else 1
                seconds = sum(worker.perform("drop", payloads(tasks)).seconds for _ in range(loads))
                of_round[tasks].append(tasks * loads / seconds)
                memory[tasks].append(pss_mb(worker.processes))
        ratios.append(of_round[deep][0] / statistics.mean(of_round[few]))
        for tasks, found in of_round.items():
            rates[tasks] += found
    progress("")
    ratio = statistics.median(ratios)
    rows: list[Row] = [
        {
            "system": "penstock",
            "queued": tasks,
            "tasks/s": statistics.median(rates[tasks]),
            "lowest": min(rates[tasks]),
            "highest": max(rates[tasks]),
            f"of the rate at {few:,}": ratio if tasks == deep else 1.0,
            "PSS MB": statistics.median(memory[tasks]),
        }
        for tasks in (few, deep)
    ]
    title = f"Depth: {deep:,} tasks queued beside {few:,}, concurrency {_CONCURRENCY}, medians of {rounds} rounds"
    raw = {f"{tasks} queued: tasks/s": found for tasks, found in rates.items()}
    return [Table(title, rows, raw=raw, found={"depth": ratio, "size of depth": float(deep)})]


def main() -> int:
    parser = options(__doc__, rounds=1)
    parser.add_argument("--deep", type=positive, default=50_000, help="tasks in the long queue")
    chosen = parser.parse_args()
    deep, few = (100, 20) if chosen.quick else (chosen.deep, 1000)
    return report([lambda: measure(deep, 1 if chosen.quick else chosen.rounds, few)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
