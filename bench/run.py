"""Run: all programs of bench/, one after the other, with sizes that take a few minutes together."""

from __future__ import annotations

import sys

from bench import latency, log, memory, recovery, store, throughput
from bench.program import options, positive, report


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--sizes", default="1000", help="how many tasks are queued for throughput; several: 1000,20000")
    chosen = parser.parse_args()
    if chosen.quick:
        parts = [
            lambda: throughput.measure([20], 1),
            lambda: latency.measure(5, 1),
            lambda: memory.measure(20, 1, many=2),
            lambda: log.measure(1, 1, at_once=2),
            lambda: store.measure(40, 1, at_once=8),
            lambda: recovery.measure(1, slow=False),
        ]
    else:
        rounds = chosen.rounds
        sizes = [positive(size) for size in chosen.sizes.split(",")]
        parts = [
            lambda: throughput.measure(sizes, rounds),
            lambda: latency.measure(200, rounds),
            lambda: memory.measure(1000, 1),  # it hardly differs from round to round
            lambda: log.measure(32, rounds),
            lambda: store.measure(5000, rounds),
            lambda: recovery.measure(1),  # what it waits for are fixed times
        ]
    return report(parts, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
