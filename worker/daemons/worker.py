"""Worker: one process that consumes queues, until it is told to stop."""

from __future__ import annotations

import warnings
from contextlib import nullcontext

from celery.exceptions import SecurityWarning

from worker.daemons.consumer import make_consumer
from worker.daemons.logging import set_up_logging
from worker.daemons.wiring import Deployment, store_folder
from worker.embedded import Embedded


def run_worker(deployment: Deployment, *, concurrency: int | None = None) -> int:
    """Consume until SIGTERM, SIGINT or a drain; the exit code of the process. Blocks; main thread only.

    With no broker configured the embedded store is started and stopped with the worker, or attached to when
    another process of the deployment runs it. Raises EmbeddedError when it cannot be had.
    """
    settings = deployment.settings
    set_up_logging(settings.log)
    # Celery warns of root because of pickle, which is not accepted here.
    warnings.simplefilter("ignore", SecurityWarning)
    app = make_consumer(deployment)
    with Embedded(store_folder(settings)) if settings.embedded else nullcontext():
        worker = app.Worker(
            hostname=f"penstock@{settings.worker.name}",
            concurrency=concurrency or settings.worker.concurrency,
            quiet=True,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            loglevel=settings.log.level.upper(),
        )
        worker.start()
        return int(worker.exitcode or 0)
