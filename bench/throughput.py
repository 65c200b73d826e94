"""Throughput: tasks per second, CPU and memory at full load, beside loops without a queue and beside other queues."""

from __future__ import annotations

import json
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cache import NotMade, floor_program
from bench.measuring import Cpu, Row, Table, WrongCount, cpu, median_ratio, pss_mb, tree, turned
from bench.peer_systems import ALL_WORKERS, peers_there
from bench.program import options, positive, progress, report
from bench.systems import Script, end, payloads

FLOOR = "C loop"
BARE = "bare loop"
PLAIN = ("celery prefork", "celery threads")
# `cat >/dev/null` without a shell: reads its stdin to the end and writes nothing.
COMMAND = (shutil.which("dd") or "dd", "of=/dev/null", "status=none")
_QUICK_TASKS = 20


@dataclass(frozen=True, slots=True)
class Figures:
    tasks_per_s: float
    own_ms: float | None
    all_ms: float | None
    pss_mb: float | None


def systems(*, install: bool) -> tuple[str, ...]:
    """What can be measured here; says on stderr what cannot, and why."""
    floor: tuple[str, ...] = (FLOOR,)
    try:
        floor_program()
    except NotMade as error:
        print(f"bench: no {FLOOR}: {error}", file=sys.stderr, flush=True)
        floor = ()
    return ("penstock", *floor, BARE, *peers_there(install=install), *PLAIN)


def measure(
    sizes: Sequence[int],
    rounds: int,
    concurrency: int = 8,
    command: Sequence[str] = COMMAND,
    *,
    install: bool = True,
) -> list[Table]:
    names = systems(install=install)
    return [_measure(names, tasks, rounds, concurrency, command) for tasks in sizes]


def _measure(names: Sequence[str], tasks: int, rounds: int, concurrency: int, command: Sequence[str]) -> Table:
    found: dict[str, list[Figures]] = {name: [] for name in names}
    for number in range(rounds):
        for name in turned(names, number):
            progress(f"throughput: {tasks} tasks, round {number + 1} of {rounds}, {name}")
            found[name].append(_one(name)(tasks, concurrency, command))
    progress("")
    rates = {name: [one.tasks_per_s for one in found[name]] for name in names}

    def ratio(ours: str, theirs: str) -> float | None:
        return median_ratio(rates[ours], rates[theirs]) if theirs in rates else None

    def middle(name: str, figure: str) -> float | None:
        values = [getattr(one, figure) for one in found[name]]
        return None if None in values else statistics.median(values)

    rows: list[Row] = [
        {
            "system": name,
            "tasks/s": round(statistics.median(rates[name])),
            "lowest": round(min(rates[name])),
            "highest": round(max(rates[name])),
            "of the C loop": ratio(name, FLOOR),
            "penstock is times": ratio("penstock", name),
            "worker CPU ms/task": middle(name, "own_ms"),
            "with commands": middle(name, "all_ms"),
            "PSS MB": middle(name, "pss_mb"),
        }
        for name in names
    ]
    return Table(
        f"Throughput: {tasks:,} tasks queued, concurrency {concurrency}, medians of {rounds} rounds",
        rows,
        raw={f"{name} tasks/s": rates[name] for name in names},
        found={
            "throughput of dramatiq": ratio("penstock", "dramatiq 2x4"),
            "throughput of prefork": ratio("penstock", "celery prefork"),
            "throughput of the floor": ratio("penstock", FLOOR),
            "worker CPU": middle("penstock", "own_ms"),
            "PSS": middle("penstock", "pss_mb"),
        },
    )


def _one(name: str) -> Callable[[int, int, Sequence[str]], Figures]:
    return {FLOOR: _floor, BARE: _bare}.get(name) or _worker(name)


def _figures(tasks: int, seconds: float, used: Cpu, memory_mb: float) -> Figures:
    return Figures(tasks / seconds, used.own_s * 1000 / tasks, (used.own_s + used.waited_s) * 1000 / tasks, memory_mb)


def _worker(name: str) -> Callable[[int, int, Sequence[str]], Figures]:
    def run(tasks: int, concurrency: int, command: Sequence[str]) -> Figures:
        with ALL_WORKERS[name]({"drop": Script(command)}, concurrency) as worker:
            worker.warm_up("drop")
            load = worker.perform("drop", payloads(tasks))
            return _figures(tasks, load.seconds, load.cpu, pss_mb(worker.processes))

    return run


def _floor(tasks: int, concurrency: int, command: Sequence[str]) -> Figures:
    """It costs next to nothing itself, and is gone when it says how long it took."""
    with tempfile.NamedTemporaryFile(prefix="pb") as stdin:
        stdin.write(json.dumps(payloads(1)[0]).encode())
        stdin.flush()
        done = subprocess.run(
            [str(floor_program()), str(concurrency), str(tasks), stdin.name, *command],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    seconds, completed = (*done.stdout.split(), "0", "0")[:2]
    if done.returncode or int(completed) != tasks:
        raise WrongCount(f"{FLOOR}: {completed} of {tasks} commands completed")
    return Figures(tasks / float(seconds), None, None, None)


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
    parser.add_argument("--sizes", default="2000", help="how many tasks are queued; several: 1000,20000")
    parser.add_argument("--concurrency", type=positive, default=8, help="commands at a time")
    parser.add_argument("--command", default=shlex.join(COMMAND), help="what is run; has to read its stdin and exit 0")
    chosen = parser.parse_args()
    sizes = [_QUICK_TASKS] if chosen.quick else [positive(size) for size in chosen.sizes.split(",")]
    rounds = 1 if chosen.quick else chosen.rounds
    command = shlex.split(chosen.command)
    command[0] = shutil.which(command[0]) or command[0]
    return report([lambda: measure(sizes, rounds, chosen.concurrency, command, install=not chosen.quick)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
