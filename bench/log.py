"""Log: how fast what a command writes gets into the kept log, and what that costs in memory."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measuring import Table, WrongCount, forget_peaks, median_ratio, peak_mb, rss_mb, turned
from bench.program import options, positive, progress, report
from bench.systems import WORKERS, Script, payloads

BARE = "cat > file"
CAPTURES = "celery prefork"  # its Celery task captures the output and returns it as its result
SYSTEMS = ("penstock", BARE, CAPTURES)
CAT = shutil.which("cat") or "cat"
_MIB = 1024 * 1024
_LINE = b"2001-01-01T00:00:00.000Z bench: a line of a log with about a hundred characters, number %012d\n"


@dataclass(frozen=True, slots=True)
class Figures:
    mb_per_s: float
    growth_mb: float | None


def measure(mib: int, rounds: int, at_once: int = 8) -> list[Table]:
    with tempfile.TemporaryDirectory(prefix="pb") as folder:
        source = Path(folder) / "lines"
        with open(source, "wb") as file:
            for number in range(mib * _MIB // len(_LINE % 0)):
                file.write(_LINE % number)
        return [_measure(source, commands, rounds) for commands in (1, at_once)]


def _measure(source: Path, commands: int, rounds: int) -> Table:
    found: dict[str, list[Figures]] = {name: [] for name in SYSTEMS}
    for number in range(rounds):
        for name in turned(SYSTEMS, number):
            progress(f"log: {commands} at once, round {number + 1} of {rounds}, {name}")
            found[name].append(_bare(source, commands) if name == BARE else _worker(name, source, commands))
    progress("")
    rates = {name: [one.mb_per_s for one in found[name]] for name in SYSTEMS}
    rows = [
        {
            "system": name,
            "MB/s": statistics.median(rates[name]),
            "lowest": min(rates[name]),
            "highest": max(rates[name]),
            "of cat > file": median_ratio(rates[name], rates[BARE]),
            "penstock is times": median_ratio(rates["penstock"], rates[name]),
            "memory grew by MB": _median([one.growth_mb for one in found[name]]),
        }
        for name in SYSTEMS
    ]
    size = source.stat().st_size / 1_000_000
    title = f"Log: {commands} command{'s' * (commands > 1)} at once, {size:.0f} MB each, medians of {rounds} rounds"
    key = "log of one run" if commands == 1 else "log of several runs"
    return Table(
        title,
        rows,
        raw={f"{name} MB/s": rates[name] for name in SYSTEMS},
        found={
            key: statistics.median(rates["penstock"]),
            f"{key}: growth": _median([one.growth_mb for one in found["penstock"]]),
        },
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _worker(name: str, source: Path, commands: int) -> Figures:
    # /dev/null to warm up: the same way, with nothing in it.
    scripts = {"write": Script([CAT, str(source)], captures=True), "nothing": Script([CAT, "/dev/null"], captures=True)}
    with WORKERS[name](scripts, commands) as worker:
        worker.warm_up("nothing")
        processes = worker.processes
        forget_peaks(processes)
        before = rss_mb(processes)
        load = worker.perform("write", payloads(commands))
        growth = peak_mb(processes) - before
        written = source.read_bytes()
        for task_id in load.ids:
            if written not in worker.output(task_id):
                raise WrongCount(f"{name}: the log that was kept of task {task_id} is not what its command wrote")
        return Figures(len(written) * commands / load.seconds / 1_000_000, growth)


def _bare(source: Path, commands: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="pb") as folder:
        files = [Path(folder) / str(number) for number in range(commands)]
        begun = time.perf_counter()
        running = []
        for path in files:
            with open(path, "wb") as file:
                running.append(subprocess.Popen([CAT, str(source)], stdin=subprocess.DEVNULL, stdout=file))
        codes = [process.wait() for process in running]
        seconds = time.perf_counter() - begun
        size = source.stat().st_size
        if any(codes) or any(path.stat().st_size != size for path in files):
            raise WrongCount(f"{BARE}: not everything was written")
        return Figures(size * commands / seconds / 1_000_000, None)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--mib", type=positive, default=32, help="MiB that each command writes")
    chosen = parser.parse_args()
    mib, rounds, at_once = (1, 1, 2) if chosen.quick else (chosen.mib, chosen.rounds, 8)
    return report([lambda: measure(mib, rounds, at_once)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
