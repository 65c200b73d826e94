"""Working: a worker in the foreground, for `up` and `worker`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from worker.cli.deployment import store_failures
from worker.cli.failure import Failure
from worker.cli.notice import notice


def work(home: Path, concurrency: int | None, *, greet: bool, api: bool = False) -> int:
    """Blocks; the worker's exit code. `api`: with the HTTP API beside it.

    Raises DeclarationError before anything is started or consumed.
    """
    from worker.daemons.wiring import open_deployment

    deployment = open_deployment(home)
    if greet:
        names = [prepared.script.name for prepared in deployment.catalog if prepared.script.enabled]
        notice(
            f"{len(names)} scripts; in another terminal: penstock run {names[0] if names else 'SCRIPT'} -p key=value"
        )
        notice("Ctrl-C stops it")
    # Until the worker has its own way to stop, so that also a start is ended in order.
    signal.signal(signal.SIGTERM, _stop)
    with store_failures():
        from worker.daemons.worker import run_worker

        beside = None
        if api:
            from worker.daemons.listening import listen, url_of
            from worker.daemons.serving import Serving

            listening = listen(deployment.settings.api, any_port=True)
            url = url_of(listening)
            beside = Serving(home, listening, lambda: notice(f"the API listens on {url}"))
        try:
            code = run_worker(deployment, concurrency=concurrency, beside=beside)
        except SystemExit:
            # It was told to stop while it started, which the API does when it cannot start.
            if beside is None or beside.failed is None:
                raise
            code = 0
        if beside is not None and beside.failed is not None:
            raise Failure(beside.failed, f"the API cannot start (exit code {beside.failed}); why stands above")
        return code


def _stop(*_: object) -> None:
    sys.exit(0)
