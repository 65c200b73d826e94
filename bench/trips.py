"""Trips: what a whole task asks of the store, and what is left of it there."""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass

from bench.measuring import Row, Table
from bench.program import options, positive, progress, report
from bench.systems import PenstockWorker as Penstock
from bench.systems import Script, payloads
from bench.throughput import COMMAND

_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Figures:
    trips: float
    kept: float


def measure(tasks: int, rounds: int, at_once: int = 8) -> list[Table]:
    found: dict[int, list[Figures]] = {1: [], at_once: []}
    for number in range(rounds):
        for concurrency in found:
            progress(f"trips: concurrency {concurrency}, round {number + 1} of {rounds}")
            found[concurrency].append(_measure(tasks, concurrency))
    progress("")

    def middle(concurrency: int, figure: str) -> float:
        values: list[float] = [getattr(one, figure) for one in found[concurrency]]
        return statistics.median(values)

    rows: list[Row] = [
        {
            "system": "penstock",
            "concurrency": concurrency,
            "round trips/task": middle(concurrency, "trips"),
            "kept bytes/task": middle(concurrency, "kept"),
        }
        for concurrency in found
    ]
    return [
        Table(
            f"Trips: {tasks:,} tasks from the queue to their records, medians of {rounds} rounds",
            rows,
            raw={f"concurrency {number}: round trips": [one.trips for one in ones] for number, ones in found.items()},
            found={"round trips": middle(1, "trips"), "kept bytes": middle(at_once, "kept")},
        )
    ]


def _measure(tasks: int, concurrency: int) -> Figures:
    with Penstock({"drop": Script(COMMAND)}, concurrency) as worker:
        worker.warm_up("drop")
        before = worker.finished()
        kept = _kept(worker)
        ids = worker.hold("drop", payloads(tasks))
        reads, polls = _reads(worker), 0
        worker.release()
        while worker.finished() < before + len(ids):  # each is one read of the server, in a pipeline
            polls += 1
            time.sleep(_POLL_S)
        own = polls + 3  # the last look, the release, and the question for this number
        trips = _reads(worker) - reads - own
        worker.check(ids)
        return Figures(trips / tasks, (_kept(worker) - kept) / tasks)


def _reads(worker: Penstock) -> int:
    """How often the server has read from a client: what was sent in one write counts once."""
    return int(worker.redis.info("stats")["total_reads_processed"])


def _kept(worker: Penstock) -> int:
    return int(worker.redis.info("memory")["used_memory_dataset"])


def main() -> int:
    parser = options(__doc__, rounds=1)
    parser.add_argument("--tasks", type=positive, default=1000, help="tasks in each round")
    chosen = parser.parse_args()
    tasks, rounds = (40, 1) if chosen.quick else (chosen.tasks, chosen.rounds)
    return report([lambda: measure(tasks, rounds)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
