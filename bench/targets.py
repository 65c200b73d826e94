"""Targets: what Penstock is to reach, and whether the figures of this run do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.measuring import Table, shown
from bench.payload import WRONG

UNKNOWN = "not measured"
NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Target:
    """`found` is the name of the figure in a table's `found`."""

    what: str
    found: str
    bound: Literal["at least", "at most", "below"]
    limit: float
    unit: str = ""
    aim: str = ""
    size: int = 0
    """How large what is measured has to be, in a table's `found` as `size of <found>`."""

    def holds(self, value: float) -> bool:
        if self.bound == "at least":
            return value >= self.limit
        return value <= self.limit if self.bound == "at most" else value < self.limit

    @property
    def wanted(self) -> str:
        sign = {"at least": "≥", "at most": "≤", "below": "<"}[self.bound]
        aim = f", aim {self.aim}" if self.aim else ""
        return f"{sign} {self.limit:g}{self.unit}{aim}"


TARGETS = (
    Target("throughput, times dramatiq 2x4", "throughput of dramatiq", "at least", 1.0, aim="1.2"),
    Target("throughput, times plain Celery prefork", "throughput of prefork", "at least", 2.0),
    Target("throughput, times the C loop", "throughput of the floor", "at least", 0.5, aim="0.6"),
    Target("CPU of the worker per task", "worker CPU", "at most", 1.0, " ms"),
    Target("PSS of all worker processes at concurrency 8", "PSS", "at most", 60, " MB"),
    Target("PSS of each further slot", "further slot", "at most", 4, " MB"),
    Target("containment beyond a bare spawn, one at a time", "containment", "at most", 0.7, " ms"),
    Target("containment beyond a bare spawn, 8 at a time", "containment at once", "at most", 0.7, " ms"),
    Target("idle latency through Celery, p50", "latency p50", "at most", 4, " ms"),
    Target("idle latency through Celery, p99", "latency p99", "at most", 12, " ms"),
    Target("throughput at 50,000 queued, times that at 1,000", "depth", "at least", 0.9, size=50_000),
    Target("log of one run", "log of one run", "at least", 300, " MB/s"),
    Target("log of 8 runs", "log of several runs", "at least", 300, " MB/s"),
    Target("memory that 8 such runs add", "log of several runs: growth", "at most", 32, " MB"),
    Target("latency p99 beside a flooding run, times that without", "latency in a flood", "below", 2.0),
    Target("live reader at 10,000 lines/s: lines missing", "live missing", "at most", 0),
    Target("live reader at 10,000 lines/s: lag p99", "live lag", "at most", 200, " ms"),
    Target("payload check, valid", "payload check", "at most", 50, " µs"),
    Target(f"places told of a payload that is wrong at {WRONG}", "problems", "at least", WRONG),
    Target("round trips to the store per task", "round trips", "at most", 5),
    Target("bytes kept per finished task", "kept bytes", "at most", 2000),
    Target(
        "list among 1,000,000 finished tasks, times that among 10,000", "history list", "at most", 2.0, size=1_000_000
    ),
    Target("filter among 1,000,000, times that among 10,000", "history filter", "at most", 2.0, size=1_000_000),
    Target("prune among 1,000,000, times that among 10,000", "history prune", "at most", 2.0, size=1_000_000),
    Target(
        "server time until a list of 100,000 tasks is painted, p99", "first paint", "at most", 100, " ms", size=100_000
    ),
    Target("penstock --help", "help", "at most", 0.2, " s"),
    Target("penstock check on 100 scripts", "check", "at most", 1.0, " s"),
    Target("penstock up to ready", "up", "at most", 2.5, " s"),
    Target("penstock exec beyond the bare command", "exec", "at most", 0.25, " s"),
)


def judged(tables: Sequence[Table], *, tiny: bool = False) -> Table:
    """Every target, with its figure when it is in one of the tables. `tiny`: the sizes were such that none can hold."""
    found: dict[str, float] = {}
    for table in tables:
        found.update(_known(table.found))
    rows = []
    for target in TARGETS:
        value = found.get(target.found)
        holds = UNKNOWN if value is None else NOT_JUDGED if tiny else _holds(target, value, found)
        measured = "" if value is None else f"{shown(value)}{target.unit}"
        rows.append({"target": target.what, "wanted": target.wanted, "measured": measured, "holds": holds})
    count = sum(row["holds"] == "yes" for row in rows)
    return Table("Targets" if tiny else f"Targets: {count} of {len(rows)} hold", rows)


def _holds(target: Target, value: float, found: Mapping[str, float]) -> str:
    """A figure of something smaller than the target speaks of cannot show that it holds, only that it does not."""
    holds = "yes" if target.holds(value) else "no"
    size = found.get(f"size of {target.found}", target.size)
    return holds if size >= target.size else f"{holds}, at {size:,.0f} only"


def _known(found: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in found.items() if value is not None}
