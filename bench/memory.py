"""Memory: what the processes of a worker hold, idle and after many tasks, and what each further slot adds."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence

from bench.measuring import Row, Table, median_ratio, pss_mb, turned
from bench.program import options, positive, progress, report
from bench.systems import WORKERS, Script, Worker, payloads
from bench.throughput import COMMAND

_QUICK_TASKS = 20
_SETTLE_S = 5.0
_SETTLED_S = 0.2
_SETTLED_SHARE = 0.01


def measure(tasks: int, rounds: int, few: int = 1, many: int = 8) -> list[Table]:
    found: dict[tuple[str, int], list[tuple[float, float, int]]] = {}
    for number in range(rounds):
        for name in turned(list(WORKERS), number):
            for concurrency in (few, many):
                progress(f"memory: round {number + 1} of {rounds}, {name}, concurrency {concurrency}")
                found.setdefault((name, concurrency), []).append(_worker(name, tasks, concurrency))
    progress("")

    def after(name: str, concurrency: int) -> list[float]:
        return [loaded for _, loaded, _ in found[name, concurrency]]

    rows: list[Row] = []
    for name in WORKERS:
        for concurrency in (few, many):
            rounds_of = found[name, concurrency]
            rows.append(
                {
                    "system": name,
                    "concurrency": concurrency,
                    "processes": rounds_of[0][2],
                    "idle MB": statistics.median(idle for idle, _, _ in rounds_of),
                    "after the tasks MB": statistics.median(after(name, concurrency)),
                    "per further slot MB": _further_slot(after(name, few), after(name, many), many - few)
                    if concurrency == many
                    else None,
                    "penstock is times": median_ratio(after("penstock", concurrency), after(name, concurrency)),
                }
            )
    title = f"Memory (PSS) of all worker processes: idle and after {tasks:,} tasks, medians of {rounds} rounds"
    return [
        Table(
            title,
            rows,
            raw={f"{name} at {many} MB": after(name, many) for name in WORKERS},
            found={"further slot": _further_slot(after("penstock", few), after("penstock", many), many - few)},
        )
    ]


def _further_slot(few: Sequence[float], many: Sequence[float], slots: int) -> float:
    return statistics.median((more - one) / slots for one, more in zip(few, many, strict=True))


def _worker(name: str, tasks: int, concurrency: int) -> tuple[float, float, int]:
    with WORKERS[name]({"drop": Script(COMMAND)}, concurrency) as worker:
        idle = _settled(worker)
        worker.perform("drop", payloads(tasks))
        return idle, _settled(worker), len(worker.processes)


def _settled(worker: Worker) -> float:
    """The memory when it has stopped to change: what has just started, or freed something, moves for a while."""
    until = time.monotonic() + _SETTLE_S
    last: Sequence[float] = (pss_mb(worker.processes),)
    while time.monotonic() < until:
        time.sleep(_SETTLED_S)
        last = (last[-1], pss_mb(worker.processes))
        if abs(last[1] - last[0]) <= last[0] * _SETTLED_SHARE:
            break
    return last[-1]


def main() -> int:
    parser = options(__doc__, rounds=1)
    parser.add_argument("--tasks", type=positive, default=1000, help="tasks before memory is read again")
    chosen = parser.parse_args()
    tasks, rounds, many = (_QUICK_TASKS, 1, 2) if chosen.quick else (chosen.tasks, chosen.rounds, 8)
    return report([lambda: measure(tasks, rounds, many=many)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
