"""Live: a reader who follows the log of a command that writes thousands of lines each second."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.measuring import Row, Table, WrongCount, percentile
from bench.program import options, positive, progress, report
from bench.systems import PenstockWorker, Script, payloads
from worker.model.live_log import LiveEnd, LiveGap, LiveLines
from worker.store import connect
from worker.store.errors import UnknownTask
from worker.store.live_log import LiveLog

_STEADY = Path(__file__).with_name("steady.py")
_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Seen:
    lines: int
    lags_ms: tuple[float, ...]


def measure(per_s: int, seconds: int, rounds: int, readers: int = 1) -> list[Table]:
    found: list[Seen] = []
    for number in range(rounds):
        progress(f"live: {per_s} lines/s, round {number + 1} of {rounds}")
        found += _measure(per_s, seconds, readers)
    progress("")
    expected = per_s * seconds
    missing = max(expected - one.lines for one in found)
    p99 = [percentile(one.lags_ms, 99) for one in found]
    row: Row = {
        "system": "penstock",
        "lines": expected,
        "missing, at most": missing,
        "lag p50 ms": statistics.median(percentile(one.lags_ms, 50) for one in found),
        "lag p99 ms": statistics.median(p99),
        "highest p99": max(p99),
        "longest ms": max(max(one.lags_ms) for one in found),
    }
    title = f"Live reader: {per_s:,} lines/s for {seconds} s, {readers} reader, medians of {rounds} rounds"
    return [
        Table(
            title, [row], raw={"lag p99 ms": p99}, found={"live missing": missing, "live lag": statistics.median(p99)}
        )
    ]


def _measure(per_s: int, seconds: int, readers: int) -> list[Seen]:
    command = [sys.executable, "-I", "-S", str(_STEADY), str(per_s), str(seconds)]
    with PenstockWorker({"steady": Script(command), "nothing": Script([sys.executable, "-V"])}, 2) as worker:
        worker.warm_up("nothing")
        before = worker.finished()
        task_id = worker.send("steady", payloads(1)[0])
        seen = asyncio.run(_read(worker.store.url, task_id, readers))
        worker.wait(before + 1)
        worker.check([task_id])
        return seen


async def _read(url: str, task_id: str, readers: int) -> list[Seen]:
    redis = connect(url)
    try:
        return list(await asyncio.gather(*(_follow(LiveLog(redis), task_id) for _ in range(readers))))
    finally:
        await redis.aclose()


async def _follow(live: LiveLog, task_id: str) -> Seen:
    """In one go: whoever follows from the start again after an UnknownTask has seen nothing yet."""
    reader = _Reader()
    while True:
        try:
            async for part in live.follow(task_id, 0):
                if isinstance(part, LiveGap):
                    raise WrongCount(f"live: {part.lost_bytes} bytes of the log were not there for the reader")
                if isinstance(part, LiveLines) and part.chunk.source == "stdout":
                    reader.take(part.chunk.data, time.monotonic_ns())
                elif isinstance(part, LiveEnd):
                    return Seen(len(reader.lags_ms), tuple(reader.lags_ms))
        except UnknownTask:  # its message has not been received yet
            await asyncio.sleep(_POLL_S)


class _Reader:
    """Takes the time of every line when it is whole."""

    def __init__(self) -> None:
        self.lags_ms: list[float] = []
        self._open = b""

    def take(self, data: bytes, now: int) -> None:
        *lines, self._open = (self._open + data).split(b"\n")
        for line in lines:
            stamp, number, _ = line.split(b" ", 2)
            if int(number) != len(self.lags_ms):
                raise WrongCount(f"live: line {int(number)} came where {len(self.lags_ms)} was to come")
            self.lags_ms.append((now - int(stamp)) / 1_000_000)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--lines", type=positive, default=10_000, help="lines each second")
    parser.add_argument("--seconds", type=positive, default=8, help="for so long")
    chosen = parser.parse_args()
    per_s, seconds, rounds = (1000, 1, 1) if chosen.quick else (chosen.lines, chosen.seconds, chosen.rounds)
    return report([lambda: measure(per_s, seconds, rounds)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
