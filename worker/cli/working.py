"""Working: a worker in the foreground, for `up` and `worker`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from worker.cli import exit_codes
from worker.cli.deployment import store_failures
from worker.cli.failure import Failure
from worker.cli.notice import notice

if TYPE_CHECKING:
    from worker.daemons.beside import Beside


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
        from worker.operations.presence import NameTaken

        beside: list[Beside] = []
        if api:
            from worker.daemons.listening import listen, url_of
            from worker.daemons.serving import Serving

            listening = listen(deployment.settings.api, any_port=True)
            url = url_of(listening)
            beside.append(
                Serving(home, listening, lambda: notice(f"the page is at {url}/ and the API listens on {url}"))
            )
        if beat:
            from worker.daemons.beating import Beating

            beside.append(Beating(home))
        try:
            code = run_worker(deployment, concurrency=concurrency, beside=_all_of(beside))
        except NameTaken as error:
            raise Failure(exit_codes.DATA, str(error)) from None
        except SystemExit:
            # It was told to stop while it started, which the API does when it cannot start.
            if not any(part.failed for part in beside):
                raise
            code = 0
        for part in beside:
            if part.failed is not None:
                raise Failure(part.failed, f"the API cannot start (exit code {part.failed}); why stands above")
        return code


@contextmanager
def _all_of(parts: list[Beside]) -> Iterator[None]:
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(part)
        yield


def _stop(*_: object) -> None:
    sys.exit(0)
