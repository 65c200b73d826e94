"""Schedules of a deployment, made and looked at beside its API."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.system.conftest import Deployment
from worker.config import load_settings
from worker.daemons.wiring import Store, open_deployment, open_store
from worker.model import Task
from worker.model.access import Principal
from worker.schedules.read import read_schedule
from worker.store.schedules import Schedules

OPERATOR = Principal("operator", "local", frozenset({"*"}))


def ask(site: Deployment, question: Any) -> Any:
    async def main() -> Any:
        async with open_store(load_settings(site.home, environ={})) as store:
            return await question(store)

    return asyncio.run(main())


def make(site: Deployment, name: str, began_ms: int, **fields: Any) -> None:
    """A schedule that was made at that time: what passed since is for its catch-up rule."""
    catalog = open_deployment(site.home).catalog
    schedule = read_schedule(name, {"script": "say", **fields}, catalog=catalog, owner=OPERATOR)

    async def keep(store: Store) -> None:
        await Schedules(store.redis).create(schedule, began_ms)

    ask(site, keep)


def tasks(site: Deployment, name: str) -> list[Task]:
    found: list[Task] = ask(site, lambda store: Schedules(store.redis).tasks(name, 200))[0]
    return found


def now_ms() -> int:
    return round(time.time() * 1000)
