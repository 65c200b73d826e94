"""Beat: a Celery beat that submits what is due by our schedules, beside Celery's own `beat_schedule`.

For `penstock beat`, and for `celery -A your.app beat -S worker.daemons.beat:Scheduler`, with the deployment in
PENSTOCK_HOME or the current folder.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import nullcontext
from typing import Any

import celery.beat

from engine.errors import DeclarationError
from worker.daemons.logging import set_up_logging
from worker.daemons.ticking import Ticking
from worker.daemons.wiring import Deployment, home_of, open_deployment, open_store, publishing_app, store_folder
from worker.embedded import Embedded

_WRONG_DEPLOYMENT = 65  # EX_DATAERR


class _Slots:
    """What our schedules add to a scheduler of Celery's; the first of its bases.

    `tick` does its waiting itself: a wait of Celery's own would not hear of a changed schedule.
    """

    app: Any
    _ticking: Ticking | None = None
    _runner: asyncio.Runner | None = None

    def setup_schedule(self) -> None:
        """Called once, not for a look at the class only."""
        super().setup_schedule()  # type: ignore[misc]
        self._ticking = self._made()
        self._runner = asyncio.Runner()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        assert self._ticking is not None and self._runner is not None
        wait_s = super().tick(*args, **kwargs)  # type: ignore[misc]
        self._runner.run(self._ticking.step(max(0.0, wait_s or 0.0)))
        if self.should_sync():  # type: ignore[attr-defined]
            self._do_sync()  # type: ignore[attr-defined]
        return 0.0

    def close(self) -> None:
        """Celery calls it twice: from the handler of a signal, in the middle of a tick, and at the end."""
        if self._runner is not None and self._ticking is not None and not self._runner.get_loop().is_running():
            runner, self._runner = self._runner, None
            runner.run(self._ticking.close())
            runner.close()
        super().close()  # type: ignore[misc]

    def _made(self) -> Ticking:
        try:
            return Ticking(open_deployment(home_of(None)))
        except DeclarationError as error:
            for problem in error.problems:
                print(f"penstock: error: {problem}", file=sys.stderr)
            sys.exit(_WRONG_DEPLOYMENT)


class Scheduler(_Slots, celery.beat.PersistentScheduler):  # type: ignore[misc]
    """Celery's default scheduler, with our schedules."""


class _OwnScheduler(_Slots, celery.beat.Scheduler):  # type: ignore[misc]
    """Of `penstock beat`, whose app has no entries of Celery's that a file would have to remember."""

    def _made(self) -> Ticking:
        made: Ticking = self.app.ticking
        return made


def run_beat(deployment: Deployment) -> int:
    """Submit until SIGTERM or SIGINT; both end it at once. Blocks; main thread only.

    With no broker configured the embedded store is started, or attached to when it runs. Raises EmbeddedError when it
    cannot be had, NotReachable when another store does not answer, DeclarationError for schedules that are wrong.
    """
    settings = deployment.settings
    set_up_logging(settings.log)
    ticking = Ticking(deployment)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    with Embedded(store_folder(settings)) if settings.embedded else nullcontext():
        asyncio.run(_reach_store(deployment))
        app = publishing_app(deployment)
        app.conf.result_expires = None  # else Celery adds an entry that clears up after results
        app.ticking = ticking
        celery.beat.Service(app, scheduler_cls=_OwnScheduler).start()
    return 0


async def _reach_store(deployment: Deployment) -> None:
    async with open_store(deployment.settings):
        pass


def _end(*_: object) -> None:
    sys.exit(0)
