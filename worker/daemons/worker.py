"""Worker: one process that consumes queues, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import warnings
from contextlib import AbstractContextManager, nullcontext

from worker.daemons.log_file import log_file
from worker.daemons.logging import set_up_logging
from worker.daemons.presence import try_name
from worker.daemons.sources import publisher, queues_of, redis_broker, redis_source
from worker.daemons.wiring import Deployment, open_store, store_folder
from worker.daemons.working import Worker
from worker.embedded import Embedded


def run_worker(
    deployment: Deployment, *, concurrency: int | None = None, beside: AbstractContextManager[None] | None = None
) -> int:
    """Consume until SIGTERM, SIGINT or a drain; the exit code of the process. Blocks; main thread only.

    A second SIGTERM or SIGINT ends what runs at once. With no broker configured the embedded store is started and
    stopped with the worker, or attached to when another process of the deployment runs it. Raises EmbeddedError when
    it cannot be had, NotReachable when another store does not answer, NameTaken when another worker has the name.
    `beside` is entered once the store runs, and left before it ends.
    """
    settings = deployment.settings
    set_up_logging(settings.log, log_file(settings.log))
    concurrency = concurrency or settings.worker.concurrency
    with Embedded(store_folder(settings)) if settings.embedded else nullcontext(), beside or nullcontext():
        if redis_broker(deployment):
            return asyncio.run(_work(deployment, concurrency))
        # Celery would call it an unrecoverable error, with 200 lines of traceback and exit code 1.
        asyncio.run(_reach_store(deployment, concurrency))
        return _work_with_celery(deployment, concurrency)


async def _reach_store(deployment: Deployment, concurrency: int) -> None:
    async with open_store(deployment.settings) as store:
        await try_name(deployment, store, queues_of(deployment), concurrency)


async def _work(deployment: Deployment, concurrency: int) -> int:
    worker = Worker(
        deployment,
        concurrency,
        queues_of(deployment),
        lambda store: redis_source(deployment, store, queues_of(deployment)),
        lambda store: publisher(deployment, store),
    )
    asked = False

    def on_signal() -> None:
        nonlocal asked
        if asked:
            worker.stop_now()
        asked = True
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return await worker.run()


def _work_with_celery(deployment: Deployment, concurrency: int) -> int:
    """For brokers that kombu speaks to and we do not."""
    from celery.exceptions import SecurityWarning

    from worker.daemons.consumer import make_consumer

    # Celery warns of root because of pickle, which is not accepted here.
    warnings.simplefilter("ignore", SecurityWarning)
    worker = make_consumer(deployment).Worker(
        hostname=f"penstock@{deployment.settings.worker.name}",
        concurrency=concurrency,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel=deployment.settings.log.level.upper(),
    )
    worker.start()
    return int(worker.exitcode or 0)
