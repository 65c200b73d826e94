"""Fleet: what 200 registered workers cost the store: their beats, and a look at all of them.

Light stand-ins: each is a card in the register and its calls, without a process. Run: python -m bench.fleet [WORKERS]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from worker.embedded import Embedded
from worker.model.worker import Admitted, Pulse, Vitals, WorkerCard, WorkerProcess, manifest_digest
from worker.operations.fleet import fleet
from worker.store import connect
from worker.store.workers import Workers

_ROUNDS = 20
_SCRIPTS = 50
_BEAT_S = 5.0


def stand_in(number: int) -> tuple[WorkerCard, tuple[Admitted, ...], Pulse]:
    """Every tenth has another version of one script."""
    other = number % 10 == 0
    admits = tuple(Admitted(f"script-{n}", "penstock", f"{n:063d}{int(other and n == 7)}") for n in range(_SCRIPTS))
    process = WorkerProcess(f"host-{number}", 1000 + number, "machine", 1)
    labels = (f"group=web.{number % 7}", "os=debian")
    card = WorkerCard(
        f"w{number:03d}", f"i{number}", process, "0", labels, ("penstock",), 8, 5000, manifest_digest(admits)
    )
    pulse = Pulse(running=2, tasks=("0" * 36, "1" * 36), vitals=Vitals(0.5, 2, 1 << 33, 1 << 34, 1 << 36, 1 << 38))
    return card, admits, pulse


async def measure(url: str, count: int) -> dict[str, float]:
    """Milliseconds, and the share of one core of the store that the whole fleet takes."""
    client = connect(url)
    workers = Workers(client)
    fleet_of = [stand_in(number) for number in range(count)]
    for card, admits, pulse in fleet_of:
        await workers.enter(card, admits, pulse)

    beats, looks, lists, fleets = [], [], [], []
    before = await _store_cpu_s(client)
    for _ in range(_ROUNDS):
        for card, _, pulse in fleet_of:
            began = time.perf_counter()
            await workers.beat(card, pulse)
            beats.append(time.perf_counter() - began)
    beat_cpu_s = (await _store_cpu_s(client) - before) / len(beats)
    before = await _store_cpu_s(client)
    for _ in range(_ROUNDS):
        for card, _, _ in fleet_of:
            began = time.perf_counter()
            await workers.wishes(card.name)
            looks.append(time.perf_counter() - began)
    look_cpu_s = (await _store_cpu_s(client) - before) / len(looks)
    for call, times in ((workers.list, lists), (lambda: fleet(workers), fleets)):
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            await call()  # type: ignore[operator]
            times.append(time.perf_counter() - began)
    await client.aclose()
    return {
        "beat, p50 ms": statistics.median(beats) * 1000,
        "beat, p99 ms": statistics.quantiles(beats, n=100)[98] * 1000,
        "beat, CPU of the store, microseconds": beat_cpu_s * 1e6,
        "look, p50 ms": statistics.median(looks) * 1000,
        "look, CPU of the store, microseconds": look_cpu_s * 1e6,
        "list of all, p50 ms": statistics.median(lists) * 1000,
        "list of all with what they disagree on, p50 ms": statistics.median(fleets) * 1000,
        "whole fleet, % of a core of the store": 100 * count * (beat_cpu_s / _BEAT_S + look_cpu_s),
    }


async def _store_cpu_s(client: Any) -> float:
    found = await client.info("cpu")
    return float(found["used_cpu_sys"]) + float(found["used_cpu_user"])


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder, Embedded(Path(folder)) as store:
        found = asyncio.run(measure(store.url, count))
    print(f"| {count} workers | |\n|---|---|")
    for what, value in found.items():
        print(f"| {what} | {value:.3g} |")


if __name__ == "__main__":
    main()
