"""Performing: the thread in which a worker performs its tasks, on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable

import structlog

from engine.execute import Resources
from engine.process.slots import Slots
from worker.broker import Delivery, Publisher
from worker.daemons.wiring import Deployment, Store, open_store
from worker.operations.leases import Leases
from worker.operations.perform import Performer, perform
from worker.operations.prune import prune
from worker.operations.rescue import rescue

_logger = structlog.get_logger("penstock.worker")
_REST_S = 1.0
_RESCUE_S = 2.0
_PRUNE_S = 30.0


class Performing:
    """The receiver of a worker's deliveries.

    `on_drain` is called, from the loop's thread and once, with the exit code that the worker shall end with when a
    command or a plugin asks it to take no further task.
    """

    def __init__(self, deployment: Deployment, publisher: Publisher, on_drain: Callable[[int], None]) -> None:
        self._deployment = deployment
        self._publisher = publisher
        self._on_drain = on_drain
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._performer: Performer | None = None
        self._drained = False
        self.name = deployment.settings.worker.name

    # The receiver, called from Celery's thread.

    def start(self, concurrency: int) -> None:
        self._thread = threading.Thread(target=self._main, args=(concurrency,), name="performing")
        self._thread.start()
        self._ready.wait()
        if self._failure:
            raise self._failure

    def receive(self, delivery: Delivery) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._begin, delivery)

    def stop(self) -> None:
        if self._thread and self._thread.is_alive() and self._loop:
            with contextlib.suppress(RuntimeError):  # the loop ended in between
                self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread:
            self._thread.join()

    # The host of the plugins, called in the loop.

    def drain(self, why: str, *, fatal: bool = False) -> None:
        if not self._drained:
            self._drained = True
            _logger.warning("draining: finishing what runs, taking nothing more", why=why)
            self._on_drain(4 if fatal else 0)

    def _main(self, concurrency: int) -> None:
        try:
            asyncio.run(self._live(concurrency))
        except BaseException as error:
            self._failure = error
            if self._ready.is_set():
                _logger.exception("the worker's loop ended")
                self._on_drain(70)
        finally:
            self._ready.set()

    async def _live(self, concurrency: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._free = asyncio.Semaphore(concurrency)
        settings = self._deployment.settings
        place = f"{settings.worker.name}-{os.getpid()}"
        spool = settings.state_dir / "spool" / place
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with open_store(settings) as store, Slots() as slots:
            leases = Leases(store.records, settings.worker.name, settings.worker.lease_s)
            self._performer = Performer(
                worker=settings.worker.name,
                scripts=self._deployment.catalog.scripts,
                records=store.records,
                live_log=store.live_log,
                files=store.files,
                leases=leases,
                resources=Resources(slots, settings.state_dir / "work" / place, self),
                spool=spool,
                lease_s=settings.worker.lease_s,
            )
            background = [
                self._loop.create_task(leases.keep()),
                self._loop.create_task(self._rest()),
                self._loop.create_task(
                    self._repeat(_RESCUE_S, "rescue runs", lambda: rescue(store.records, self._publisher))
                ),
                self._loop.create_task(self._repeat(_PRUNE_S, "prune", lambda: self._prune(store))),
            ]
            self._ready.set()
            try:
                await self._stopping.wait()
                await self._finish(leases, settings.worker.shutdown_grace_s)
            finally:
                for task in background:
                    task.cancel()
                await asyncio.gather(*background, return_exceptions=True)
        for folder in (spool, settings.state_dir / "work" / place):
            with contextlib.suppress(OSError):
                folder.rmdir()

    async def _finish(self, leases: Leases, grace_s: float) -> None:
        if not self._tasks:
            return
        _logger.info("stopping: finishing what runs", runs=len(self._tasks), at_most_s=grace_s)
        await asyncio.wait(self._tasks, timeout=grace_s)
        if self._tasks:
            leases.abort_all("exception", "worker-shutdown", "the worker was stopped")
            await asyncio.wait(self._tasks)

    def _begin(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._perform(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _perform(self, delivery: Delivery) -> None:
        assert self._performer is not None
        try:
            async with self._free:
                await perform(delivery, self._performer)
        except Exception:
            # A fault of ours: the claim is not renewed any more, and the run is rescued when it has passed.
            _logger.exception("cannot perform", task=delivery.task_id, script=delivery.script)
        delivery.acknowledge()

    async def _rest(self) -> None:
        """Once a second: let the plugins see how long the worker is up and idle."""
        loop = asyncio.get_running_loop()
        started_s = busy_s = loop.time()
        while True:
            await asyncio.sleep(_REST_S)
            now_s = loop.time()
            if self._tasks:
                busy_s = now_s
            for plugin, settings in self._deployment.catalog.plugins.active():
                try:
                    plugin.rest(self, settings, now_s - started_s, now_s - busy_s)
                except Exception:
                    _logger.exception("a plugin failed", plugin=plugin.name)

    async def _rescue(self, store: Store) -> None:
        await rescue(store.records, self._publisher)

    async def _prune(self, store: Store) -> None:
        settings = self._deployment.settings
        await prune(store.records, store.files, age_s=settings.retention_s, count=settings.retention_count)

    async def _repeat(self, every_s: float, what: str, call: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await call()
            except Exception:
                _logger.exception(f"cannot {what}; trying again")
