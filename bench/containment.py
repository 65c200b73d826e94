"""Containment: what a supervised, piped and wiped run costs beyond a bare start of the same command."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measuring import Row, Table, WrongCount, turned
from bench.program import options, positive, progress, report
from bench.systems import ROOT, end, payloads
from bench.throughput import COMMAND

CONTAINED = "penstock's engine"
BARE = "bare loop"
SYSTEMS = (CONTAINED, BARE)
_PROGRAMS = {CONTAINED: "contained.py", BARE: "bare.py"}
_QUICK_RUNS = 20


@dataclass(frozen=True, slots=True)
class Figures:
    ms: float
    cpu_ms: float


def measure(runs: int, rounds: int, at_once: int = 8, command: Sequence[str] = COMMAND) -> list[Table]:
    found: dict[tuple[str, int], list[Figures]] = {}
    for number in range(rounds):
        for width in (1, at_once):
            for name in turned(SYSTEMS, number):
                progress(f"containment: {width} at a time, round {number + 1} of {rounds}, {name}")
                found.setdefault((name, width), []).append(_loop(name, runs, width, command))
    progress("")
    return [_table(found, runs, rounds, at_once)]


def _table(found: dict[tuple[str, int], list[Figures]], runs: int, rounds: int, at_once: int) -> Table:
    rows: list[Row] = []
    beyond: dict[int, float] = {}
    for width in (1, at_once):
        bare = found[BARE, width]
        for name in SYSTEMS:
            ours = found[name, width]
            more = statistics.median(one.ms - other.ms for one, other in zip(ours, bare, strict=True))
            beyond[width] = more if name == CONTAINED else beyond[width]
            rows.append(
                {
                    "system": name,
                    "at a time": width,
                    "ms per run": statistics.median(one.ms for one in ours),
                    "lowest": min(one.ms for one in ours),
                    "highest": max(one.ms for one in ours),
                    "beyond the bare loop ms": more if name == CONTAINED else None,
                    "CPU of the loop ms": statistics.median(one.cpu_ms for one in ours),
                }
            )
    title = f"Containment: {runs:,} runs in a loop, medians of {rounds} rounds"
    raw = {f"{name}, {width} at a time: ms": [one.ms for one in ones] for (name, width), ones in found.items()}
    names = {"containment": beyond[1], "containment at once": beyond[at_once]}
    return Table(title, rows, raw=raw, found=names)


def _loop(name: str, runs: int, width: int, command: Sequence[str]) -> Figures:
    program = [sys.executable, str(Path(__file__).with_name(_PROGRAMS[name])), str(width), *command]
    stdin = json.dumps(payloads(1)[0])
    with (
        tempfile.TemporaryDirectory(prefix="pb") as folder,
        subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "TMPDIR": folder},
            start_new_session=True,
        ) as process,
    ):
        assert process.stdin and process.stdout
        try:
            for count in (width * 4, runs):  # the first to warm up
                process.stdin.write(json.dumps({"tasks": count, "stdin": stdin}) + "\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline() or "{}")
                if answer.get("completed") != count:
                    raise WrongCount(f"{name}: {answer.get('completed')} of {count} commands completed")
            return Figures(answer["seconds"] * 1000 / runs, answer["cpu_seconds"] * 1000 / runs)
        finally:
            end(process)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--runs", type=positive, default=1000, help="runs in each round")
    chosen = parser.parse_args()
    runs, rounds = (_QUICK_RUNS, 1) if chosen.quick else (chosen.runs, chosen.rounds)
    return report([lambda: measure(runs, rounds)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
