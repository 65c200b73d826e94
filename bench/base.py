"""Base: this tree beside a named commit, in turns: throughput, CPU, memory, latency. Says what has become worse."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench.cache import NotMade, base_tree
from bench.latency import idle_times
from bench.measuring import Row, Table, WrongCount, median_ratio, percentile, pss_mb, turned
from bench.program import options, positive, progress, report
from bench.systems import PenstockWorker, Script, payloads
from bench.throughput import COMMAND

TODAY = "today"
BASE = "base"
# What is lost by chance in a few rounds on a machine with neighbours.
WORSE = 0.9
_CONCURRENCY = 8
# What the records of that commit are called, from its own code.
_KEYS = """\
import json
from worker.model.status import FINAL
from worker.store.keys import status_key
print(json.dumps({str(status): status_key(status) for status in FINAL}))
"""


@dataclass(frozen=True, slots=True)
class Figures:
    tasks_per_s: float
    cpu_ms: float
    pss_mb: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Figure:
    what: str
    name: str
    more_is_better: bool = False

    def of_base(self, today: Sequence[Figures], base: Sequence[Figures]) -> float:
        """How good today is, with the base as 1: above 1 is better, whatever is measured."""
        ours, theirs = self.of(today), self.of(base)
        ratio = median_ratio(ours, theirs) if self.more_is_better else median_ratio(theirs, ours)
        return 1.0 if ratio is None else ratio  # none: too short to be counted, by the kernel's clock of 10 ms

    def of(self, rounds: Sequence[Figures]) -> list[float]:
        return [getattr(one, self.name) for one in rounds]


FIGURES = (
    Figure("tasks/s", "tasks_per_s", more_is_better=True),
    Figure("worker CPU ms/task", "cpu_ms"),
    Figure("PSS MB", "pss_mb"),
    Figure("latency p50 ms", "p50_ms"),
    Figure("latency p99 ms", "p99_ms"),
)
assert {figure.name for figure in FIGURES} == {each.name for each in fields(Figures)}


def measure(commit: str, rounds: int, tasks: int, idle: int) -> list[Table]:
    try:
        name, tree, python = base_tree(commit)
    except NotMade as error:
        raise WrongCount(f"base: {commit} cannot be measured: {error}") from error
    workers: dict[str, type[PenstockWorker]] = {TODAY: PenstockWorker, BASE: _of_base(tree, python)}
    found: dict[str, list[Figures]] = {each: [] for each in workers}
    for number in range(rounds):
        for each in turned(tuple(workers), number):
            progress(f"base: round {number + 1} of {rounds}, {each}")
            found[each].append(_measure(workers[each], tasks, idle))
    progress("")
    good = {figure.what: figure.of_base(found[TODAY], found[BASE]) for figure in FIGURES}
    rows: list[Row] = [
        {
            "figure": figure.what,
            TODAY: statistics.median(figure.of(found[TODAY])),
            f"{BASE} {name[:12]}": statistics.median(figure.of(found[BASE])),
            "lowest today": min(figure.of(found[TODAY])),
            "highest today": max(figure.of(found[TODAY])),
            "today is times as good": good[figure.what],
        }
        for figure in FIGURES
    ]
    raw = {f"{each} {figure.what}": figure.of(found[each]) for each in found for figure in FIGURES}
    load = f"{tasks:,} tasks at concurrency {_CONCURRENCY}, then {idle} one at a time"
    return [Table(f"Today beside {commit}: {load}, medians of {rounds} rounds", rows, raw=raw, found=good)]


def verdict(tables: Sequence[Table]) -> str:
    found: Mapping[str, float | None] = tables[0].found if tables else {}
    worse = [f"{what} ({ratio:.2f})" for what, ratio in found.items() if ratio is not None and ratio < WORSE]
    if not found:
        return "Nothing was compared."
    if not worse:
        return f"Nothing is worse than {WORSE:g} of the base."
    return f"Worse than {WORSE:g} of the base: {', '.join(worse)}."


def _of_base(tree: Path, python: Path) -> type[PenstockWorker]:
    """A worker from the files of that commit."""
    done = subprocess.run([str(python), "-c", _KEYS], cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongCount(f"base: its records cannot be read: {done.stderr.strip()[-600:]}")
    keys: dict[str, str] = json.loads(done.stdout)

    interpreter = str(python)

    class Base(PenstockWorker):
        name = BASE
        python = interpreter
        ended_in = keys

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.root = tree

    return Base


def _measure(kind: type[PenstockWorker], tasks: int, idle: int) -> Figures:
    with kind({"drop": Script(COMMAND)}, _CONCURRENCY) as worker:
        worker.warm_up("drop")
        load = worker.perform("drop", payloads(tasks))
        memory = pss_mb(worker.processes)
    times = idle_times(kind, idle, _CONCURRENCY)
    return Figures(
        tasks / load.seconds, load.cpu.own_s * 1000 / tasks, memory, percentile(times, 50), percentile(times, 99)
    )


def main() -> int:
    parser = options(__doc__, rounds=5)
    parser.add_argument("commit", help="what git calls it: a branch, a tag, HEAD~3")
    parser.add_argument("--tasks", type=positive, default=2000, help="queued tasks in each round")
    parser.add_argument("--idle", type=positive, default=200, help="tasks one at a time in each round")
    chosen = parser.parse_args()
    tasks, idle, rounds = (20, 3, 1) if chosen.quick else (chosen.tasks, chosen.idle, chosen.rounds)
    return report([lambda: measure(chosen.commit, rounds, tasks, idle)], chosen.json, last=verdict)


if __name__ == "__main__":
    sys.exit(main())
