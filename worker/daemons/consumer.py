"""Consumer: the Celery application of a deployment, for `penstock worker` and `celery -A worker.daemons.consumer`.

The deployment is PENSTOCK_HOME or the current folder. Importing this module does nothing; `app` is made when it is
first asked for.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from celery import signals

from engine.errors import DeclarationError
from worker.broker.app import App, consume_nothing
from worker.broker.pool import stop_worker
from worker.broker.rabbit_queues import quorum_queue
from worker.daemons.embedding import keep_embedded_store
from worker.daemons.hosting import HostedWorker
from worker.daemons.log_file import log_file
from worker.daemons.logging import set_up_logging
from worker.daemons.sources import queues_of, redis_broker
from worker.daemons.wiring import Deployment, home_of, open_deployment, publishing_app
from worker.model.target import queue_of

_WRONG_DEPLOYMENT = 65  # EX_DATAERR, as `penstock worker` ends


def make_consumer(deployment: Deployment) -> App:
    """The app whose workers perform the deployment's scripts. Makes no connection yet."""
    app = publishing_app(deployment)
    app.conf.worker_concurrency = deployment.settings.worker.concurrency
    app.conf.task_create_missing_queues = True  # for -Q with a queue that no script names
    app.plain = deployment.settings.plain
    app.conf.worker_pool = "worker.broker.pool:Pool"
    queues = queues_of(deployment)

    def choose_queues(instance: Any, **_: Any) -> None:
        """After the command line was read: `-Q` chooses what is consumed, by Celery or, in Redis, without it."""
        nonlocal queues
        chosen = app.amqp.queues.consume_from
        queues = tuple(chosen) if len(chosen) < len(app.amqp.queues) else queues
        if redis_broker(deployment):
            consume_nothing(app)
        else:
            app.amqp.queues.select(queues)
            app.amqp.queues.select_add(quorum_queue(queue_of(deployment.settings.worker.name)))

    signals.celeryd_after_setup.connect(choose_queues, weak=False)
    app.receiver = HostedWorker(deployment, lambda: queues, stop_worker)
    return app


@cache
def _app() -> App:
    try:
        deployment = open_deployment(home_of(None))
    except DeclarationError as error:
        for problem in error.problems:
            print(f"penstock: error: {problem}", file=sys.stderr)
        sys.exit(_WRONG_DEPLOYMENT)
    app = make_consumer(deployment)
    set_up_logging(deployment.settings.log, log_file(deployment.settings.log))
    keep_embedded_store(deployment.settings)
    return app


def __getattr__(name: str) -> Any:
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
