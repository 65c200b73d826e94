"""Workflows whose workers are killed at random: no step is lost, and none is started twice without need."""

from __future__ import annotations

import os
import random
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.site import Site, eventually
from worker.broker import RedisPublisher
from worker.config import load_settings
from worker.config.catalog import load_catalog
from worker.daemons.wiring import Store
from worker.model.access import Principal
from worker.model.workflow_run import WorkflowRun, step_task_id
from worker.store.workflow_runs import WorkflowRuns
from worker.workflows.drive import Driver
from worker.workflows.read import read_workflow
from worker.workflows.start import start

SEED = int(os.environ.get("PENSTOCK_WORKFLOW_SEED", "11"))
RUNS = 6
KILLS = 3
ME = Principal("tester", "local", frozenset({"*"}))
# A diamond, and a chain behind it: 1 + 4 + 1 + 2 steps.
STEPS: list[dict[str, Any]] = [
    {"name": "first", "script": "note", "payload": {"of": "${run.id}", "step": "first"}, "needs": []},
    *(
        {
            "name": f"side-{n}",
            "script": "note",
            "payload": {"of": "${run.id}", "step": f"side-{n}", "before": "${steps.first.result.step}"},
            "needs": ["first"],
        }
        for n in range(4)
    ),
    {
        "name": "join",
        "script": "note",
        "payload": {"of": "${run.id}", "step": "join"},
        "needs": [f"side-{n}" for n in range(4)],
    },
    {"name": "then", "script": "note", "payload": {"of": "${run.id}", "step": "then"}, "needs": ["join"]},
    {"name": "last", "script": "note", "payload": {"of": "${run.id}", "step": "last"}, "needs": ["then"]},
]


@pytest.fixture
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="pw") as folder:
        site = Site(Path(folder))
        try:
            yield site
        finally:
            site.stop()


def driver_of(site: Site, store: Store) -> Driver:
    settings = load_settings(site.folder, environ={})
    catalog = load_catalog(settings)
    assert store.broker

    async def rights(principal: Principal) -> Principal:
        return principal

    publisher = RedisPublisher(store.broker)
    return Driver(WorkflowRuns(store.redis), store.records, publisher, catalog.get, settings.default_queue, rights)


def begin(site: Site, count: int) -> list[str]:
    settings = load_settings(site.folder, environ={})
    catalog = load_catalog(settings)
    workflow = read_workflow("many", {"steps": STEPS}, scripts=catalog.get)

    async def ask(store: Store) -> list[str]:
        driver = driver_of(site, store)
        runs = WorkflowRuns(store.redis)
        found = []
        for _ in range(count):
            started = await start(
                workflow, b"{}", runs=runs, driver=driver, find=catalog.get, principal=ME, trigger="cli"
            )
            found.append(started.run_id)
        return found

    ids: list[str] = site.ask(ask)
    return ids


def runs_of(site: Site, ids: list[str]) -> list[WorkflowRun]:
    async def ask(store: Store) -> list[WorkflowRun]:
        found = [await WorkflowRuns(store.redis).get(run_id) for run_id in ids]
        return [run for run in found if run]

    runs: list[WorkflowRun] = site.ask(ask)
    return runs


def all_ended(site: Site, ids: list[str]) -> list[WorkflowRun] | None:
    runs = runs_of(site, ids)
    return runs if all(run.status.final for run in runs) else None


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_each_step_has_one_task_and_each_run_of_it_one_start_however_workers_die(site: Site) -> None:
    """The starts are written by the commands, into a file outside of the store."""
    print(f"PENSTOCK_WORKFLOW_SEED={SEED}")
    dice = random.Random(SEED)
    starts = site.folder / "starts"
    site.script(
        "note",
        'read -r payload; echo "$TASK_ID $RUN_ID" >> "$STARTS"; sleep 0.0$((RANDOM % 10)); echo "$payload"',
        env={"STARTS": str(starts)},
        retries=50,
        plugins={"disabled": ["logHeader"]},
    )
    site.script("ready", "exit 0")
    # The store belongs to the first worker, which stays idle and alive.
    site.settings(worker={"lease": "2s", "concurrency": 4, "queues": ["nothing"]})
    owner = site.start(ready=False)
    eventually(lambda: site.store_socket.exists(), "the store")
    site.settings(worker={"lease": "2s", "concurrency": 4})
    workers = [site.start(env={"PENSTOCK_WORKER_NAME": f"w{n}"}, ready=n == 1) for n in range(2)]
    ids = begin(site, RUNS)
    # Between the starts of which steps, of all that there are: not too close to the end.
    for number, count in enumerate(sorted(dice.sample(range(3, RUNS * len(STEPS) * 4 // 5), KILLS))):
        eventually(lambda count=count: len(lines(starts)) >= count, f"{count} starts")
        victim = dice.randrange(2)
        workers[victim].send_signal(signal.SIGKILL)
        workers[victim].wait()
        workers[victim] = site.start(env={"PENSTOCK_WORKER_NAME": f"w{number + 2}"}, ready=False)
    runs = eventually(lambda: all_ended(site, ids), "the end of all runs", 60)
    assert Counter(run.status.value for run in runs) == {"completed": RUNS}
    assert owner.poll() is None
    expected = {step_task_id(run_id, step["name"], 0) for run_id in ids for step in STEPS}
    assert {state.task for run in runs for state in run.steps} == expected
    begun = Counter(lines(starts))
    assert {line.split()[0] for line in begun} == expected
    # A run of a task has one start at most; a further one only after its worker was killed.
    assert [line for line, count in begun.items() if count != 1] == []

    async def tasks(store: Store) -> dict[str, int]:
        found = [await store.records.get(task_id) for task_id in expected]
        assert all(task and task.status == "completed" for task in found)
        return {task.id: len(task.runs) for task in found if task}

    attempts = site.ask(tasks)
    again = sum(attempts.values()) - len(expected)
    assert len(begun) <= sum(attempts.values())
    print(f"{len(expected)} steps, {len(begun)} starts, {again} further runs after {KILLS} kills")
    assert site.ask(lambda store: store.redis.zcard("penstock:workflow-runs:due")) == 0
