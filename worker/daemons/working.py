"""Working: a worker's life on one event loop, from its first delivery to the end of its last run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from engine.execute import Resources
from engine.process.slots import Slots
from engine.process.strays import end_strays
from engine.workdir import Workdirs
from worker.broker import BrokerAway, Delivery, Publisher, Source, Unreadable
from worker.broker.envelope import TASK_PREFIX, no_script
from worker.config.commands import worker_commands
from worker.config.facts import known_facts
from worker.daemons.answering import answer_asks
from worker.daemons.driving import workflow_driver
from worker.daemons.place import Place
from worker.daemons.presence import presence_of, taking_of
from worker.daemons.wiring import Deployment, Store, open_store, registered_scripts
from worker.model.target import queue_of
from worker.model.worker import Pulse, Wishes
from worker.operations.fleet import forget
from worker.operations.hand_on import hand_on
from worker.operations.leases import Leases
from worker.operations.outcomes import record_spooled
from worker.operations.perform import Performer, perform
from worker.operations.persist import GivenUp, until_stored
from worker.operations.prune import prune
from worker.operations.refuse import refuse
from worker.operations.rescue import rescue
from worker.operations.salvage import salvage_log
from worker.operations.unrecorded import settle_artifacts
from worker.store import StoreUnavailable
from worker.store.dead_letters import DeadLetters
from worker.store.workers import Workers
from worker.store.workflow_runs import WorkflowRuns
from worker.workflows.drive import Driver
from worker.workflows.prune import prune_runs

_logger = structlog.get_logger("penstock.worker")
_REST_S = 1.0
_RESCUE_S = 2.0
_PRUNE_S = 30.0
_DRIVE_S = 2.0
_SALVAGE_S = 3.0
_REGISTRY_S = 1.0
# A task that another worker is to have is handed on as rarely as this, so that two do not play ball.
_HAND_ON_S = 0.5
_BROKER_AWAY_S = 1.0
# In a beat; the rest is counted.
_TASKS_TOLD = 20
# A fault of ours may be a passing one; what goes wrong each time is left unacknowledged.
_ATTEMPTS = 3
_ATTEMPT_S = 1.0
DRAINED = 4  # the exit code of a worker that a command or a plugin has told that something is wrong with it


class _Place:
    """One of the places for runs, which is given back once."""

    def __init__(self, vacate: Callable[[], None]) -> None:
        self._vacate: Callable[[], None] | None = vacate

    def leave(self) -> None:
        if self._vacate:
            self._vacate()
            self._vacate = None


class Worker:
    """One worker. Made in its event loop; `run` is called once.

    `stop` and `stop_now` may be called at any time, in the loop: take nothing more and finish what runs within the
    grace; end what runs at once.
    """

    def __init__(
        self,
        deployment: Deployment,
        concurrency: int,
        queues: tuple[str, ...],
        open_source: Callable[[Store], Source],
        open_publisher: Callable[[Store], Publisher],
    ) -> None:
        self._deployment = deployment
        self._settings = deployment.settings
        deployment.catalog.take_on(worker_commands(self._settings.worker))
        self._queues = queues
        self._own_queue = queue_of(self.name)
        self._open_source = open_source
        self._open_publisher = open_publisher
        self._free = concurrency
        self._concurrency = concurrency
        self._room = asyncio.Event()
        self._room.set()
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()
        self._give_up = asyncio.Event()
        self._step_ended = asyncio.Event()
        self._runs: set[asyncio.Task[None]] = set()
        self._exit_code = 0
        self._taking = taking_of(self._settings)
        self._open = asyncio.Event()
        self.ready = asyncio.Event()

    @property
    def name(self) -> str:
        return self._settings.worker.name

    def stop(self) -> None:
        self._taking.stopping = True
        self._stopping.set()
        self._reconsider()

    def stop_now(self) -> None:
        self.stop()
        self._at_once.set()

    def drain(self, why: str, *, fatal: bool = False) -> None:
        """As the host of plugins and commands: see `engine.plugin.Host`."""
        if not self._stopping.is_set():
            _logger.warning("draining: finishing what runs, taking nothing more", why=why)
            self._exit_code = DRAINED if fatal else 0
            self.stop()

    async def run(self) -> int:
        """Until it is stopped; the exit code of the process. Raises NotReachable when there is no store, NameTaken."""
        with Place(self._settings.state_dir, self.name) as place:
            await self._live(place)
        return self._exit_code

    async def _live(self, place: Place) -> None:
        async with open_store(self._settings, piped=True) as store, Slots(hold=[place.lock]) as slots:
            leases = Leases(store.records, self.name, self._settings.worker.lease_s)
            publisher = self._open_publisher(store)
            self._source = source = self._open_source(store)
            workdirs = Workdirs(place.work)
            self._dead_letters = DeadLetters(store.redis)
            self._registered = registered_scripts(self._deployment, store, working=True)
            self._performer = Performer(
                worker=self.name,
                scripts=self._deployment.catalog.scripts,
                registered=self._registered,
                records=store.records,
                publisher=publisher,
                live_log=store.live_log,
                files=store.files,
                leases=leases,
                resources=Resources(slots, workdirs, self, known_facts(self._settings.worker)),
                spool=place.spool,
                lease_s=self._settings.worker.lease_s,
                give_up=self._give_up,
                on_step_ended=self._step_ended.set,
            )
            driver = workflow_driver(self._deployment, store, publisher)
            self._taking.look()
            self._leases = leases
            self._presence = presence_of(
                self._deployment,
                store,
                self._registered,
                (place.name, self._queues, self._concurrency),
                pulse=self._pulse,
                hear=self._hear,
                lost=self._lost,
            )
            if not await self._enter():
                workdirs.close()
                return
            beside = [
                asyncio.create_task(work)
                for work in (
                    source.tend(),
                    leases.keep(),
                    self._presence.keep(),
                    answer_asks(store.redis, self._settings),
                    self._rest(),
                    self._repeat(_RESCUE_S, "rescue runs", lambda: rescue(store.records, publisher, store.files)),
                    self._drive(driver),
                    self._repeat(_PRUNE_S, "prune", lambda: self._prune(store, publisher)),
                    self._repeat(_SALVAGE_S, "clear up after dead workers", lambda: self._salvage(place, store)),
                    self._repeat(_REGISTRY_S, "look at registered scripts", lambda: self._look(place)),
                )
            ]
            for task in beside:
                task.add_done_callback(self._beside_ended)
            try:
                await self._consume(source)
                await self._finish(leases)
            finally:
                with contextlib.suppress(BrokerAway, TimeoutError):
                    await asyncio.wait_for(source.close(), _BROKER_AWAY_S * 5)
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
                with contextlib.suppress(StoreUnavailable):
                    await self._registered.unsay(place.name)
                    await self._presence.leave()
                workdirs.close()

    async def _enter(self) -> bool:
        """Take the name; False when the worker was stopped meanwhile. Raises NameTaken."""
        entering = asyncio.create_task(until_stored(self._presence.enter, "take its name", self._give_up))
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((entering, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if entering.done():
            await entering
            return True
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
        return False

    def _beside_ended(self, task: asyncio.Task[None]) -> None:
        """Without renewals or acknowledgements a worker must not go on."""
        if not task.cancelled() and (error := task.exception()):
            _logger.error("a part of the worker failed", exc_info=error)
            self.drain(f"a part of it failed: {type(error).__name__}", fatal=True)

    async def _consume(self, source: Source) -> None:
        """Until the worker is stopped."""
        consuming = asyncio.create_task(self._take_for_ever(source))
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((consuming, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        consuming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await consuming

    async def _take_for_ever(self, source: Source) -> None:
        opened = False
        # A cancellation may be lost on its way through the client of the store: Python 3.11 and redis-py do that.
        while not self._stopping.is_set():
            try:
                if opened:
                    await self._take(source)
                    continue
                await source.open()
            except BrokerAway as error:
                _logger.warning("the broker is away; trying again", error=str(error))
                await asyncio.sleep(_BROKER_AWAY_S)
                continue
            opened = True
            self.ready.set()
            _logger.info("ready", worker=self.name, concurrency=self._free)

    async def _take(self, source: Source) -> None:
        await self._room.wait()
        await self._open.wait()
        for taken in await source.take(self._free):
            self._begin(taken)

    def _reconsider(self) -> None:
        """Take or rest, as things stand. What runs goes on."""
        rests = self._taking.rest is not None
        if rests is not self._open.is_set():
            return
        if rests:
            self._open.clear()
            self._source.pause()
        else:
            self._open.set()
        self._presence.tell()

    def _hear(self, wishes: Wishes) -> None:
        self._taking.wishes = wishes
        self._reconsider()

    def _lost(self) -> None:
        self.drain(f"another worker has the name {self.name}", fatal=True)

    def _pulse(self) -> Pulse:
        tasks = self._leases.tasks()
        return Pulse(self._taking.rest, self._taking.reason, len(tasks), tasks[:_TASKS_TOLD], self._taking.vitals)

    def _begin(self, taken: Delivery | Unreadable) -> None:
        self._free -= 1
        if self._free <= 0:
            self._room.clear()
        place = _Place(self._vacate)
        work = self._perform(taken, place) if isinstance(taken, Delivery) else self._bury(taken)
        run = asyncio.create_task(work)
        self._runs.add(run)
        run.add_done_callback(partial(self._ended, place))

    def _ended(self, place: _Place, run: asyncio.Task[None]) -> None:
        self._runs.discard(run)
        place.leave()

    def _vacate(self) -> None:
        self._free += 1
        self._room.set()

    async def _perform(self, delivery: Delivery, place: _Place) -> None:
        """Acknowledged is only what is recorded; anything else is delivered again, at the latest when we end."""
        for attempt in range(_ATTEMPTS):
            try:
                declared = self._deployment.catalog.declares(delivery.script)
                if not declared and not await self._is_registered(delivery.script):
                    if await refuse(delivery, self._performer):
                        delivery.acknowledge()
                        return
                    why = no_script(TASK_PREFIX + delivery.script)
                    await self._bury(Unreadable(delivery.queue, delivery.raw(), why, delivery.acknowledge))
                    return
                # What is for this worker alone is answered by it, whatever the answer.
                own = declared or delivery.queue == self._own_queue
                if not own and await self._registered.for_others(delivery.script):
                    await asyncio.sleep(_HAND_ON_S)
                    await hand_on(delivery, self._performer)
                else:
                    # While outcomes wait for the store, no more than as many again.
                    early = len(self._runs) < 2 * self._concurrency
                    await perform(delivery, self._performer, place.leave if early else None)
                delivery.acknowledge()
                return
            except GivenUp:
                return
            except Exception:
                _logger.exception("cannot perform", task=delivery.task_id, script=delivery.script, attempt=attempt + 1)
                await asyncio.sleep(_ATTEMPT_S)

    async def _is_registered(self, name: str) -> bool:
        """It may have been registered, changed or approved a moment ago."""
        await until_stored(self._registered.look, "look at registered scripts", self._give_up)
        return name in self._deployment.catalog.scripts

    async def _look(self, place: Place) -> None:
        await self._registered.look()
        await self._registered.say(place.name, self.name)

    async def _bury(self, unreadable: Unreadable) -> None:
        """What no task can be made of is kept as it came."""
        try:
            letter = await until_stored(
                lambda: self._dead_letters.add(unreadable.queue, unreadable.raw, unreadable.reason, self.name),
                "keep a dead letter",
                self._give_up,
            )
        except GivenUp:
            return
        except Exception:
            _logger.exception("cannot keep a dead letter", queue=unreadable.queue)
            return
        _logger.error(
            "dead letter: no task can be made of a message",
            queue=unreadable.queue,
            why=unreadable.reason,
            letter=letter,
        )
        unreadable.acknowledge()

    async def _finish(self, leases: Leases) -> None:
        grace_s = self._settings.worker.shutdown_grace_s
        if self._runs:
            _logger.info("stopping: finishing what runs", runs=len(self._runs), at_most_s=grace_s)
            at_once = asyncio.create_task(self._at_once.wait())
            finished = asyncio.gather(*self._runs, return_exceptions=True)
            await asyncio.wait((at_once, finished), timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            at_once.cancel()
            leases.abort_all("exception", "worker-shutdown", "the worker was stopped")
            self._give_up.set()
            await finished

    async def _rest(self) -> None:
        """Once a second: see whether there is room, let the plugins see how long the worker is up and idle."""
        loop = asyncio.get_running_loop()
        started_s = busy_s = loop.time()
        while True:
            await asyncio.sleep(_REST_S)
            self._taking.look()
            self._reconsider()
            now_s = loop.time()
            if self._runs:
                busy_s = now_s
            for plugin, settings in self._deployment.catalog.plugins.active():
                try:
                    plugin.rest(self, settings, now_s - started_s, now_s - busy_s)
                except Exception:
                    _logger.exception("a plugin failed", plugin=plugin.name)

    async def _salvage(self, place: Place, store: Store) -> None:
        """Record, keep and remove what dead workers of this host left below the state folder."""
        for dead in place.dead():
            # Its supervisors are dead, too: they hold the lock as long as they have a command.
            runs = {(task_id, str(run)) for task_id, run, _ in dead.logs()}
            strays, clean = await asyncio.to_thread(end_strays, dead.work, runs)
            if strays:
                _logger.warning("ended what a dead worker left running", place=dead.name, processes=strays)
            try:
                if dead.spool.is_dir():
                    await record_spooled(dead.spool, store.records)
                if not clean:
                    continue  # the logs say which runs to look for
                for task_id, run, text in dead.logs():
                    salvage_log(store.files, task_id, run, text)
                stored = [await settle_artifacts(store.records, store.files, *run) for run in dead.stored()]
            except (OSError, ValueError, KeyError) as error:
                if isinstance(error, StoreUnavailable):
                    raise
                _logger.exception("cannot keep what a dead worker left", place=dead.name)
                continue
            # While the end of a run is not known, what tells of its artifacts has to stay.
            if not await asyncio.to_thread(dead.remove if all(stored) else dead.remove_work):
                _logger.warning("folders of a dead worker could not be removed", place=dead.name)

    async def _prune(self, store: Store, publisher: Publisher) -> None:
        """By the bounds of each script that has some, and by those of the deployment for the others."""
        own = {p.script.name: p.script.retention for p in self._deployment.catalog if p.script.retention}
        for name, kept in own.items():
            await prune(store.records, store.files, age_s=kept.age_s, count=kept.count, script=name)
        age_s, count = self._settings.retention_s, self._settings.retention_count
        await prune(store.records, store.files, age_s=age_s, count=count, besides=own)
        await prune_runs(WorkflowRuns(store.redis), age_s=age_s, count=count)
        await forget(Workers(store.redis), publisher, age_s=age_s)

    async def _drive(self, driver: Driver) -> None:
        """Advance workflows: at once when the task of a step has ended here, and else by a look now and then."""
        while True:
            self._step_ended.clear()
            await self._guarded("advance workflows", driver.sweep)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._step_ended.wait(), _DRIVE_S)

    async def _repeat(self, every_s: float, what: str, call: Callable[[], Awaitable[object]]) -> None:
        while True:
            await self._guarded(what, call)
            await asyncio.sleep(every_s)

    async def _guarded(self, what: str, call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
        except (StoreUnavailable, BrokerAway) as error:
            _logger.warning(f"cannot {what}; trying again", error=str(error))
        except Exception:
            _logger.exception(f"cannot {what}; trying again")
