"""Hosting: a worker within a plain Celery worker process, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from typing import Any

import structlog
from celery.worker.state import maybe_shutdown

from worker.broker import Delivery, Publisher, Source, Unreadable
from worker.broker.celery_source import CelerySource
from worker.daemons.sources import publisher, redis_broker, redis_source
from worker.daemons.wiring import Deployment, Store
from worker.daemons.working import Worker

_logger = structlog.get_logger("penstock.worker")
_FAILED = 70  # EX_SOFTWARE
_LOOK_S = 0.2


class _Signals:
    """While Celery waits for us to stop, a further SIGTERM or SIGINT says that it shall be at once."""

    def __init__(self) -> None:
        self.seen = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._see)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _see(self, *_: object) -> None:
        self.seen = True


class HostedWorker:
    """What Celery's pool starts and stops; the receiver of what Celery's consumer delivers.

    `on_end` is called, once and from the other thread, with the exit code, when the worker ends by itself.
    """

    def __init__(
        self,
        deployment: Deployment,
        queues: Callable[[], tuple[str, ...]],
        on_end: Callable[[int], None],
    ) -> None:
        self._deployment = deployment
        self._queues = queues
        self._on_end = on_end
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._celery: CelerySource | None = None

    def start(self, concurrency: int) -> None:
        self._thread = threading.Thread(target=self._main, args=(concurrency,), name="worker")
        self._thread.start()
        while not self._ready.wait(_LOOK_S):
            maybe_shutdown()  # a signal meanwhile
        if self._failure:
            raise self._failure

    def receive(self, delivery: Delivery | Unreadable) -> None:
        assert self._celery is not None
        self._celery.put(delivery)

    def stop(self, *, now: bool = False) -> None:
        self._tell(now)
        signals = _Signals()
        with signals:
            while self._thread.is_alive():
                self._thread.join(_LOOK_S)
                if signals.seen and not now:
                    now = True
                    self._tell(now)

    def _tell(self, now: bool) -> None:
        try:
            self._loop.call_soon_threadsafe(self._worker.stop_now if now else self._worker.stop)
        except (RuntimeError, AttributeError):
            pass  # the loop has ended by itself, or never began

    def _main(self, concurrency: int) -> None:
        try:
            code = asyncio.run(self._live(concurrency))
        except BaseException as error:
            self._failure = error
            code = _FAILED
            if self._ready.is_set():
                _logger.exception("the worker ended by a fault")
        if self._ready.is_set():
            self._on_end(code)
        elif self._failure is None:
            self._failure = RuntimeError("the worker ended before it was ready")
        self._ready.set()

    async def _live(self, concurrency: int) -> int:
        self._loop = asyncio.get_running_loop()
        self._worker = Worker(self._deployment, concurrency, self._queues(), self._open_source, self._open_publisher)
        ready = asyncio.create_task(self._worker.ready.wait())
        ready.add_done_callback(lambda _: self._ready.set())
        try:
            return await self._worker.run()
        finally:
            if not ready.done():
                ready.cancel()

    def _open_source(self, store: Store) -> Source:
        if redis_broker(self._deployment):
            return redis_source(self._deployment, store, self._queues())
        self._celery = CelerySource()
        return self._celery

    def _open_publisher(self, store: Store) -> Publisher:
        return publisher(self._deployment, store)
