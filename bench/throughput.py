"""Throughput: tasks per second, CPU and memory at full load, beside the bare loop and beside plain Celery."""

from __future__ import annotations

import json
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measuring import Cpu, Table, WrongCount, cpu, median_ratio, pss_mb, tree, turned
from bench.program import options, positive, progress, report
from bench.systems import WORKERS, Script, end, payloads

BARE = "bare loop"
SYSTEMS = ("penstock", BARE, "celery prefork", "celery threads")
# `cat >/dev/null` without a shell: reads its stdin to the end and writes nothing.
COMMAND = (shutil.which("dd") or "dd", "of=/dev/null", "status=none")
_QUICK_TASKS = 20


@dataclass(frozen=True, slots=True)
class Figures:
    tasks_per_s: float
    own_ms: float
    all_ms: float
    pss_mb: float


def measure(sizes: Sequence[int], rounds: int, concurrency: int = 8, command: Sequence[str] = COMMAND) -> list[Table]:
    return [_measure(tasks, rounds, concurrency, command) for tasks in sizes]


def _measure(tasks: int, rounds: int, concurrency: int, command: Sequence[str]) -> Table:
    found: dict[str, list[Figures]] = {name: [] for name in SYSTEMS}
    for number in range(rounds):
        for name in turned(SYSTEMS, number):
            progress(f"throughput: {tasks} tasks, round {number + 1} of {rounds}, {name}")
            found[name].append((_bare if name == BARE else _worker(name))(tasks, concurrency, command))
    progress("")
    rates = {name: [one.tasks_per_s for one in found[name]] for name in SYSTEMS}
    rows = [
        {
            "system": name,
            "tasks/s": round(statistics.median(rates[name])),
            "lowest": round(min(rates[name])),
            "highest": round(max(rates[name])),
            "of the bare loop": median_ratio(rates[name], rates[BARE]),
            "penstock is times": median_ratio(rates["penstock"], rates[name]),
            "worker CPU ms/task": statistics.median(one.own_ms for one in found[name]),
            "with commands": statistics.median(one.all_ms for one in found[name]),
            "PSS MB": statistics.median(one.pss_mb for one in found[name]),
        }
        for name in SYSTEMS
    ]
    title = f"Throughput: {tasks:,} tasks queued, concurrency {concurrency}, medians of {rounds} rounds"
    return Table(title, rows, raw={f"{name} tasks/s": rates[name] for name in SYSTEMS})


def _figures(tasks: int, seconds: float, used: Cpu, memory_mb: float) -> Figures:
    return Figures(tasks / seconds, used.own_s * 1000 / tasks, (used.own_s + used.waited_s) * 1000 / tasks, memory_mb)


def _worker(name: str) -> Callable[[int, int, Sequence[str]], Figures]:
    def run(tasks: int, concurrency: int, command: Sequence[str]) -> Figures:
        with WORKERS[name]({"drop": Script(command)}, concurrency) as worker:
            worker.warm_up("drop")
            load = worker.perform("drop", payloads(tasks))
            return _figures(tasks, load.seconds, load.cpu, pss_mb(worker.processes))

    return run


def _bare(tasks: int, concurrency: int, command: Sequence[str]) -> Figures:
    program = [sys.executable, str(Path(__file__).with_name("bare.py")), str(concurrency), *command]
    stdin = json.dumps(payloads(1)[0])
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin and process.stdout
        try:
            for count in (concurrency * 4, tasks):  # the first to warm up
                used = cpu(tree(process.pid))
                process.stdin.write(json.dumps({"tasks": count, "stdin": stdin}) + "\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline() or "{}")
                used = cpu(tree(process.pid)).since(used)
                if answer.get("completed") != count:
                    raise WrongCount(f"{BARE}: {answer.get('completed')} of {count} commands completed")
            return _figures(tasks, answer["seconds"], used, pss_mb(tree(process.pid)))
        finally:
            end(process)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--sizes", default="1000", help="how many tasks are queued; several: 1000,20000")
    parser.add_argument("--concurrency", type=positive, default=8, help="commands at a time")
    parser.add_argument("--command", default=shlex.join(COMMAND), help="what is run; has to read its stdin and exit 0")
    chosen = parser.parse_args()
    sizes = [_QUICK_TASKS] if chosen.quick else [positive(size) for size in chosen.sizes.split(",")]
    rounds = 1 if chosen.quick else chosen.rounds
    command = shlex.split(chosen.command)
    command[0] = shutil.which(command[0]) or command[0]
    return report([lambda: measure(sizes, rounds, chosen.concurrency, command)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
