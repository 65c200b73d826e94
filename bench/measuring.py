"""Measuring: what a process tree costs, and how figures are shown. Starts and ends nothing. Linux only."""

from __future__ import annotations

import math
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024
_MB = 1_000_000

Value = float | int | str | None
Row = Mapping[str, Value]


class WrongCount(Exception):
    """What should have run did not, or not as it should have: the figures of this run say nothing."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        stat = _stat(self.pid)
        return stat is not None and int(stat[19]) == self.started and stat[0] != "Z"


@dataclass(frozen=True, slots=True)
class Cpu:
    """Seconds of user and system time: of processes themselves, and of children that they waited for."""

    own_s: float
    waited_s: float

    def since(self, before: Cpu) -> Cpu:
        return Cpu(self.own_s - before.own_s, self.waited_s - before.waited_s)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with the same columns. `raw`: by name, one figure for each round. `found`: what targets.py judges."""

    title: str
    rows: Sequence[Row]
    raw: Mapping[str, Sequence[float]] = field(default_factory=dict)
    found: Mapping[str, float | None] = field(default_factory=dict)

    def markdown(self) -> str:
        columns = list(self.rows[0])
        lines = [f"### {self.title}", "", _line(columns), _line(["---", *["---:"] * (len(columns) - 1)])]
        lines += [_line([shown(row[column]) for column in columns]) for row in self.rows]
        return "\n".join(lines)


def tree(root: int) -> tuple[Process, ...]:
    """`root` and everything below it, zombies left out."""
    children: dict[int, list[int]] = {}
    started: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (stat := _stat(int(name))) and stat[0] != "Z":
            children.setdefault(int(stat[1]), []).append(int(name))
            started[int(name)] = int(stat[19])
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        if pid in started:
            found.append(Process(pid, started[pid]))
        waiting.extend(children.get(pid, ()))
    return tuple(found)


def cpu(processes: Iterable[Process]) -> Cpu:
    """What they have used since they were started. Commands that have ended count as waited for."""
    own = waited = 0
    for process in processes:
        if stat := _stat(process.pid):
            own += int(stat[11]) + int(stat[12])
            waited += int(stat[13]) + int(stat[14])
    return Cpu(own / _TICKS, waited / _TICKS)


def pss_mb(processes: Iterable[Process]) -> float:
    """Proportional set size in 10^6 bytes: pages that several processes share count once in all."""
    return sum(_kib(process, "smaps_rollup", "Pss:") for process in processes) * _KIB / _MB


def rss_mb(processes: Iterable[Process]) -> float:
    return sum(_kib(process, "status", "VmRSS:") for process in processes) * _KIB / _MB


def forget_peaks(processes: Iterable[Process]) -> None:
    """Let the kernel count the peak of each process anew, from what it holds now."""
    for process in processes:
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def peak_mb(processes: Iterable[Process]) -> float:
    """The sum of the largest RSS of each since `forget_peaks`; they need not have been at the same time."""
    return sum(_kib(process, "status", "VmHWM:") for process in processes) * _KIB / _MB


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many per cent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """The median over rounds of ours to theirs within the same round; None when theirs is never above zero."""
    ratios = [our / their for our, their in zip(ours, theirs, strict=True) if their > 0]
    return statistics.median(ratios) if ratios else None


def turned(systems: Sequence[str], by: int) -> Sequence[str]:
    """The order for one round: whoever was first is last in the next."""
    by %= len(systems)
    return [*systems[by:], *systems[:by]]


def machine() -> dict[str, Value]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "kernel": platform.release().partition("-")[0],
        "architecture": platform.machine(),
    }


def shown(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return (
        f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 100 else f"{value:.{1 if abs(value) >= 10 else 2}f}"
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the third (the state) on; the name before may hold blanks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _kib(process: Process, file: str, name: str) -> int:
    try:
        lines = Path(f"/proc/{process.pid}/{file}").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
