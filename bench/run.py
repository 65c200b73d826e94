"""Run: all programs of bench/, one after the other, and which targets hold.

Or some of them, by name. `sizing` and `recovery` run only when they are named: no target speaks of them, and most of
the time of the latter is waiting.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

from bench import (
    api,
    containment,
    depth,
    everywhere,
    flood,
    history,
    latency,
    live,
    log,
    memory,
    page,
    payload,
    recovery,
    sizing,
    startup,
    store,
    throughput,
    trips,
)
from bench.measuring import Table
from bench.program import options, positive, report
from bench.targets import judged

Part = Callable[[], Sequence[Table]]
UNASKED = {"sizing", "recovery"}


def quick() -> dict[str, Part]:
    return {
        "throughput": lambda: throughput.measure([20], 1, install=False),
        "latency": lambda: latency.measure(3, 1, install=False),
        "memory": lambda: memory.measure(20, 1, many=2),
        "containment": lambda: containment.measure(20, 1),
        "log": lambda: log.measure(1, 1, at_once=2),
        "flood": lambda: flood.measure(3, 1),
        "live": lambda: live.measure(1000, 1, 1),
        "api": lambda: api.measure(20, 1, 3, 200, 1),
        "payload": lambda: payload.measure(100, 1),
        "store": lambda: store.measure(40, 1, at_once=8),
        "trips": lambda: trips.measure(20, 1),
        "depth": lambda: depth.measure(40, 1, few=20),
        "history": lambda: history.measure(1000, 500, 2),
        "page": lambda: page.measure(1000, 3),
        "startup": lambda: startup.measure(1, 3),
        "everywhere": lambda: everywhere.measure(2, 20, 1),
        "sizing": lambda: sizing.measure(20, 1, (sizing.USUAL, sizing.Shape(2, 2, "always"))),
        "recovery": lambda: recovery.measure(1, slow=False),
    }


def full(rounds: int, sizes: Sequence[int], deep: int, tasks: int) -> dict[str, Part]:
    return {
        "throughput": lambda: throughput.measure(sizes, rounds),
        "latency": lambda: latency.measure(200, rounds),
        "memory": lambda: memory.measure(1000, 1),  # it hardly differs from round to round
        "containment": lambda: containment.measure(1000, rounds),
        "log": lambda: log.measure(32, rounds),
        "flood": lambda: flood.measure(200, rounds),
        "live": lambda: live.measure(10_000, 5, rounds),
        "api": lambda: api.measure(500, rounds),
        "payload": lambda: payload.measure(5000, rounds),
        "store": lambda: store.measure(2000, rounds),
        "trips": lambda: trips.measure(1000, 1),
        "depth": lambda: depth.measure(deep, 1),
        "history": lambda: history.measure(tasks),
        "page": lambda: page.measure(min(tasks, 100_000)),
        "startup": lambda: startup.measure(rounds + 2),
        "everywhere": lambda: everywhere.measure(100, 1000, rounds),
        "sizing": lambda: sizing.measure(2000, rounds),
        "recovery": lambda: recovery.measure(1),  # what it waits for are fixed times
    }


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these: {', '.join(quick())}")
    parser.add_argument("--sizes", default="2000", help="how many tasks are queued for throughput; several: 1000,20000")
    parser.add_argument("--deep", type=positive, default=50_000, metavar="N", help="tasks in the queue of depth")
    parser.add_argument("--tasks", type=positive, default=100_000, metavar="N", help="finished tasks of history")
    chosen = parser.parse_args()
    sizes = [positive(size) for size in chosen.sizes.split(",")]
    parts = quick() if chosen.quick else full(chosen.rounds, sizes, chosen.deep, chosen.tasks)
    if unknown := set(chosen.parts) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    names = chosen.parts or [name for name in parts if name not in UNASKED]
    return report([parts[name] for name in names], chosen.json, last=partial(judged, tiny=chosen.quick))


if __name__ == "__main__":
    sys.exit(main())
