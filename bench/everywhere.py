"""Everywhere: three workers on one store; what a task for one of them or for all takes, and that each runs once."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.measuring import Row, Table, WrongCount, percentile
from bench.program import options, positive, progress, report
from bench.systems import ROOT, end
from worker.config import load_settings
from worker.daemons.sources import publisher
from worker.daemons.wiring import Deployment, Store, fleet_of, open_deployment, open_store
from worker.embedded import Embedded
from worker.model.access import Principal
from worker.model.status import Status
from worker.model.target import Target
from worker.operations.submit import submit

WORKERS = ("w1", "w2", "w3")
ANY, ONE, ALL = "any worker", "one worker, by its name", "all three workers"
_TARGETS = {ANY: None, ONE: Target(worker="w2"), ALL: Target()}
_ME = Principal("bench", "local", frozenset({"*"}))
_PATIENCE_S = 60.0


def measure(tasks: int, many: int, rounds: int) -> list[Table]:
    times: dict[str, list[float]] = {name: [] for name in _TARGETS}
    rates: list[float] = []
    with _three() as (folder, deployment):
        for number in range(rounds):
            progress(f"everywhere: round {number + 1} of {rounds}")
            asyncio.run(_round(deployment, folder, times, tasks))
            rates.append(asyncio.run(_flood(deployment, folder, many)))
    progress("")
    rows: list[Row] = [
        {
            "for": name,
            "p50 ms": percentile(found, 50),
            "p99 ms": percentile(found, 99),
            "tasks/s, all at once": statistics.median(rates) if name == ANY else None,
        }
        for name, found in times.items()
    ]
    title = f"Everywhere: submit to final, {tasks} one by one, and {many} for any at once, each started once"
    return [Table(title, rows, raw={"tasks/s": rates}, found={"latency of all": percentile(times[ALL], 50)})]


async def _round(deployment: Deployment, folder: Path, times: dict[str, list[float]], tasks: int) -> None:
    async with open_store(deployment.settings) as store:
        for name, target in _TARGETS.items():
            for _ in range(tasks):
                after = await store.records.newest_event()
                begun_s = time.perf_counter()
                task_id = await _submit(deployment, store, target)
                await _ended(store, {task_id}, after)
                times[name].append((time.perf_counter() - begun_s) * 1000)
                task = await store.records.get(task_id)
                assert task is not None
                _once(folder, [child.task_id for child in task.children] or [task_id])
                if target == Target() and [child.worker for child in task.children] != list(WORKERS):
                    raise WrongCount(f"not all were meant: {task.children}")


async def _flood(deployment: Deployment, folder: Path, many: int) -> float:
    async with open_store(deployment.settings) as store:
        after = await store.records.newest_event()
        begun_s = time.perf_counter()
        ids = [await _submit(deployment, store, None) for _ in range(many)]
        await _ended(store, set(ids), after)
        took_s = time.perf_counter() - begun_s
    _once(folder, ids)
    return many / took_s


async def _submit(deployment: Deployment, store: Store, target: Target | None) -> str:
    prepared = deployment.catalog.scripts["mark"]
    submitted = await submit(
        prepared,
        b"{}",
        records=store.records,
        publisher=publisher(deployment, store),
        default_queue=deployment.settings.default_queue,
        trigger="cli",
        principal=_ME,
        target=target,
        fleet=fleet_of(deployment.settings, store),
    )
    return submitted.task_id


async def _ended(store: Store, wanted: set[str], after: str) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while wanted:
            for event in await store.records.events(after):
                after = event.id
                if event.status.final and event.task_id in wanted:
                    wanted.discard(event.task_id)
                    if event.status is not Status.COMPLETED:
                        raise WrongCount(f"a task ended as {event.status}: {event.reason}")


def _once(folder: Path, ids: Sequence[str]) -> None:
    starts = Counter((folder / "marks").read_text().split())
    if wrong := {task_id: starts[task_id] for task_id in ids if starts[task_id] != 1}:
        raise WrongCount(f"started another number of times than once: {wrong}")


@contextmanager
def _three() -> Iterator[tuple[Path, Deployment]]:
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="pb"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "config" / "scripts").mkdir(parents=True)
        (folder / "config" / "penstock.yaml").write_text(json.dumps({"stateDir": "s", "worker": {"beat": "1s"}}))
        mark = {"command": ["/bin/sh", "-c", f'echo "$TASK_ID" >> {folder}/marks'], "schema": {}}
        (folder / "config" / "scripts" / "mark.yaml").write_text(json.dumps(mark))
        stack.enter_context(Embedded(folder / "s" / "store"))
        for name in WORKERS:
            command = [sys.executable, "-m", "worker.cli.main", "-C", str(folder), "worker", "-c", "4"]
            env = {**os.environ, "PENSTOCK_WORKER_NAME": name, "PYTHONPATH": str(ROOT)}
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            quiet = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            process = subprocess.Popen(command, cwd=folder, env=env, start_new_session=True, **quiet)
            stack.callback(end, process)
        deployment = open_deployment(folder)
        asyncio.run(_there(deployment, folder))
        yield folder, deployment


async def _there(deployment: Deployment, folder: Path) -> None:
    """Each has run a task."""
    async with open_store(load_settings(folder, environ={})) as store, asyncio.timeout(_PATIENCE_S):
        fleet = fleet_of(deployment.settings, store)
        while len([worker for worker in await fleet.workers.list() if worker.live]) < len(WORKERS):
            await asyncio.sleep(0.05)
        after = await store.records.newest_event()
        await _ended(store, {await _submit(deployment, store, Target())}, after)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--tasks", type=positive, default=100, help="tasks of each kind in each round")
    parser.add_argument("--many", type=positive, default=1000, help="tasks at once in each round")
    chosen = parser.parse_args()
    tasks, many, rounds = (2, 20, 1) if chosen.quick else (chosen.tasks, chosen.many, chosen.rounds)
    return report([lambda: measure(tasks, many, rounds)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
