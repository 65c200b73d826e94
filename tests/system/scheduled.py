"""Schedules of a deployment, made and looked at beside its API."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.system.conftest import Deployment
from worker.config import load_settings
from worker.daemons.scheduled import targets_of
from worker.daemons.wiring import Store, open_deployment, open_store
from worker.model.access import Principal
from worker.model.schedule import Schedule
from worker.model.task import Task
from worker.model.workflow_run import WorkflowRun
from worker.schedules.read import read_schedule
from worker.store.schedules import Schedules
from worker.store.workflow_runs import WorkflowRuns
from worker.workflows.load import load_workflows

OPERATOR = Principal("operator", "local", frozenset({"*"}))


def ask(site: Deployment, question: Any) -> Any:
    async def main() -> Any:
        async with open_store(load_settings(site.home, environ={})) as store:
            return await question(store)

    return asyncio.run(main())


def make(site: Deployment, name: str, began_ms: int, **fields: Any) -> None:
    """A schedule that was made at that time: what passed since is for its catch-up rule."""
    catalog = open_deployment(site.home).catalog
    workflows = targets_of(load_workflows(site.home, catalog.scripts))
    value = {key: each for key, each in {"script": "say", **fields}.items() if each is not None}
    schedule = read_schedule(name, value, catalog=catalog, owner=OPERATOR, workflows=workflows)
    keep(site, schedule, began_ms)


def keep(site: Deployment, schedule: Schedule, began_ms: int) -> None:
    ask(site, lambda store: Schedules(store.redis).create(schedule, began_ms))


def tasks(site: Deployment, name: str) -> list[Task]:
    found: list[Task] = ask(site, lambda store: Schedules(store.redis).tasks(name, 200))[0]
    return found


def workflow_runs(site: Deployment, name: str) -> list[WorkflowRun]:
    async def read(store: Store) -> list[WorkflowRun]:
        ids, _ = await Schedules(store.redis).run_ids(name, 200)
        found = [await WorkflowRuns(store.redis).get(id) for id in ids]
        return [run for run in found if run is not None]

    runs: list[WorkflowRun] = ask(site, read)
    return runs


def now_ms() -> int:
    return round(time.time() * 1000)
