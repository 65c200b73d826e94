"""Ticking: a beat and what it waits for: the next slot, a change of a schedule, the end of a task before it."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from worker.daemons.driving import workflow_driver
from worker.daemons.scheduled import ScheduledWorkflows, targets_of
from worker.daemons.sources import publisher
from worker.daemons.wiring import (
    Deployment,
    NotReachable,
    Store,
    fleet_of,
    open_audit,
    open_store,
    registered_scripts,
    schedules_of,
)
from worker.schedules.beat import Beat
from worker.schedules.declared import Declared
from worker.schedules.submitting import Submitting
from worker.store import StoreUnavailable
from worker.store.api_keys import ApiKeys
from worker.store.connect import BLOCK_MS
from worker.store.workflow_runs import WorkflowRuns
from worker.store.workflows import Workflows
from worker.workflows.definitions import Definitions
from worker.workflows.load import load_workflows

_logger = structlog.get_logger("penstock.beat")
_AWAY_S = 1.0
# How soon a slot that waits for the end of a task is looked at again.
_WAITING_MS = 1000


def submitting(deployment: Deployment, store: Store, definitions: Definitions, *, log: bool = True) -> Submitting:
    """`log`: see workflow_driver."""
    settings = deployment.settings
    to_broker = publisher(deployment, store)
    driver = workflow_driver(deployment, store, to_broker, log=log)
    return Submitting(
        schedules_of(settings, store),
        store.records,
        to_broker,
        ApiKeys(store.redis),
        settings.auth.roles,
        settings.default_queue,
        ScheduledWorkflows(definitions, WorkflowRuns(store.redis), driver, deployment.catalog.get),
        open_audit(settings, store),
        fleet_of(settings, store),
    )


class Ticking:
    """One beat. `step` is called again and again, in one event loop; `close` at the end.

    Raises DeclarationError for schedules and workflows that are wrong from the start; later those from before hold.

    The clock is the store's, the same for all beats.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._workflows = load_workflows(deployment.settings.home, deployment.catalog.scripts)
        self._declared = Declared(deployment.settings.home, deployment.catalog, targets_of(self._workflows))
        self._declared.load()
        self._open = contextlib.AsyncExitStack()
        self._beat: Beat | None = None
        self._away = False
        self._stale = True
        self._next: int | None = None
        self._last = 0
        self._change = "0"

    async def step(self, most_s: float) -> None:
        """Submit what is due, then wait for what comes next: no longer than `most_s`, and than two seconds.

        Without a store it waits for that, and says so once.
        """
        try:
            if self._beat is None:
                await self._connect()
            await self._tick()
            if self._away:
                _logger.info("the store is back")
                self._away = False
            await self._wait(most_s)
        except (StoreUnavailable, NotReachable) as error:
            if not self._away:
                _logger.warning("the store is away; waiting for it", error=str(error))
            self._away = self._stale = True
            await asyncio.sleep(min(most_s, _AWAY_S))

    async def close(self) -> None:
        self._beat = None
        await self._open.aclose()

    async def _connect(self) -> None:
        store = await self._open.enter_async_context(open_store(self._deployment.settings))
        by = submitting(self._deployment, store, Definitions(self._workflows, Workflows(store.redis)))
        self._registered = registered_scripts(self._deployment, store)
        self._schedules = by.schedules
        self._change = await self._schedules.newest_change()
        self._beat = Beat(lambda: self._declared.known, by)
        _logger.info("ready", schedules=len(self._declared.known.files) + len(await self._schedules.list()))

    async def _tick(self) -> None:
        assert self._beat is not None
        now = await self._schedules.now()
        due = self._next is not None and now >= self._next
        if self._stale or due or now < self._last:
            self._stale = True  # until it has succeeded
            await self._registered.look()
            self._next = await self._beat.tick(now)
            if self._next is not None and self._next <= now:
                self._next = now + _WAITING_MS
            self._stale = False
        self._last = now

    async def _wait(self, most_s: float) -> None:
        left_ms = min(most_s * 1000, BLOCK_MS)
        if self._next is not None:
            left_ms = min(left_ms, self._next - await self._schedules.now())
        if left_ms > 0:
            change = await self._schedules.changed(self._change, max(1, round(left_ms)))
            self._stale |= change != self._change
            self._change = change
        if self._declared.refresh():
            _logger.info("schedules read again", schedules=len(self._declared.known.files))
            self._stale = True
