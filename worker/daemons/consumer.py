"""Consumer: the Celery application of a deployment, for `penstock worker` and `celery -A worker.daemons.consumer`.

The deployment is PENSTOCK_HOME or the current folder. Importing this module does nothing; `app` is made when it is
first asked for.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from worker.broker import App, Publisher, stop_worker
from worker.daemons.embedding import keep_embedded_store
from worker.daemons.logging import set_up_logging
from worker.daemons.performing import Performing
from worker.daemons.wiring import Deployment, home_of, open_deployment, publishing_app


def make_consumer(deployment: Deployment) -> App:
    """The app whose workers perform the deployment's scripts. Makes no connection yet."""
    app = publishing_app(deployment)
    app.conf.worker_concurrency = deployment.settings.worker.concurrency
    app.receiver = Performing(deployment, Publisher(publishing_app(deployment)), stop_worker)
    return app


@cache
def _app() -> App:
    deployment = open_deployment(home_of(None))
    app = make_consumer(deployment)
    set_up_logging(deployment.settings.log)
    keep_embedded_store(deployment.settings)
    return app


def __getattr__(name: str) -> Any:
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
