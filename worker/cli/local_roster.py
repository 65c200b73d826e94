"""Local roster: the register of workers in the store of the deployment, and the record of what was done with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from worker.cli import exit_codes
from worker.cli.deployment import store_failures
from worker.cli.failure import Failure
from worker.cli.local import entry, local_principal, record
from worker.cli.roster import no_worker
from worker.operations.fleet import Fleet, ask, fleet, remove
from worker.store import InvalidName
from worker.store.worker_asks import PATIENCE_S, WorkerAsks
from worker.store.workers import UnknownWorker, WorkerLives, Workers

if TYPE_CHECKING:
    from worker.broker import Publisher
    from worker.config import Settings
    from worker.daemons.wiring import Store
    from worker.model.worker import Worker


class LocalRoster:
    """For as long as its store is open."""

    def __init__(self, settings: Settings, store: Store, publisher: Callable[[], Publisher]) -> None:
        self._settings = settings
        self._store = store
        self._publisher = publisher
        self._workers = Workers(store.redis)

    async def all(self) -> Fleet:
        with store_failures():
            return await fleet(self._workers)

    async def get(self, name: str) -> Worker:
        with _failures(name):
            return await self._workers.get(name)

    async def ask(self, name: str, verb: str, why: str) -> Worker:
        with _failures(name):
            found = await ask(self._workers, name, verb, by=local_principal().name, why=why)
        await self._record(f"workers.{verb}", name, why)
        return found

    async def log(self, name: str, lines: int) -> list[str]:
        with _failures(name):
            await self._workers.get(name)
            try:
                text = await WorkerAsks(self._store.redis).log(name, lines)
            except TimeoutError:
                why = f"the worker {name} did not answer within {PATIENCE_S} seconds"
                raise Failure(exit_codes.UNAVAILABLE, why) from None
        if text is None:
            raise Failure(exit_codes.UNAVAILABLE, f"the worker {name} keeps no log file: its log.file names none")
        await self._record("workers.log", name)
        return text.splitlines()

    async def remove(self, name: str) -> None:
        with _failures(name):
            await remove(self._workers, self._publisher(), name)
        await self._record("workers.remove", name)

    async def _record(self, action: str, name: str, detail: str = "") -> None:
        await record(self._settings, self._store, [entry(action, name, detail=detail)])


@contextmanager
def _failures(name: str) -> Iterator[None]:
    with store_failures():
        try:
            yield
        except (InvalidName, UnknownWorker):
            raise no_worker(name) from None
        except WorkerLives as error:
            raise Failure(exit_codes.DATA, f"conflict: {error}") from None
