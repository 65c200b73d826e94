"""Working: a worker in the foreground, for `up` and `worker`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from worker.cli.deployment import store_failures
from worker.cli.notice import notice


def work(home: Path, concurrency: int | None, *, greet: bool, api: bool = False, beat: bool = False) -> int:
    """Blocks; the worker's exit code. `api`: with the HTTP API beside it, `beat`: with a beat.

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

        beside: list[AbstractContextManager[None]] = []
        if api:
            from worker.daemons.listening import listen, url_of
            from worker.daemons.serving import serving

            listening = listen(deployment.settings.api, any_port=True)
            notice(f"the API listens on {url_of(listening)}")
            beside.append(serving(home, listening))
        if beat:
            from worker.daemons.serving import beating

            beside.append(beating(home))
        return run_worker(deployment, concurrency=concurrency, beside=_all_of(beside))


@contextmanager
def _all_of(parts: list[AbstractContextManager[None]]) -> Iterator[None]:
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(part)
        yield


def _stop(*_: object) -> None:
    sys.exit(0)
