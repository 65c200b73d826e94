"""A site for faults: a store that outlives its workers, scripts and producers that keep histories, and the checker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from tests.system import zygote
from tests.system.faults import leftovers
from tests.system.faults.checker import ended, report, violations
from tests.system.faults.clock import SteppedClock
from tests.system.faults.history import ACCEPTED, BASH_MARK, START, TRIED, Histories, Mark, append, read
from tests.system.faults.proxy import Proxy
from tests.system.faults.store_server import StoreServer
from tests.system.site import DEADLINE_S, Site, eventually
from worker.daemons.wiring import Store
from worker.model.listing import Event
from worker.model.task import Task

LEASE_S = 2.0
# A good task that is sent to a living worker has run within this.
_GOOD_S = 8.0
_LEFT_S = 15.0
_ROOT = Path(__file__).parents[3]


class FaultSite(Site):
    """A context manager: on leaving it everything has ended, and nothing of it may be left."""

    def __init__(
        self,
        folder: Path,
        *,
        lease_s: float = LEASE_S,
        fsync: str = "everysec",
        store: Path | None = None,
        state: Path | None = None,
        clock: SteppedClock | None = None,
        **settings: Any,
    ) -> None:
        """`store` and `state`: other folders than below the site's for the server and for all that workers keep.

        `clock`: the server's, else it has that of the machine.
        """
        super().__init__(folder)
        server = clock.server() if clock else None
        self.one_clock = clock is None
        self.store = StoreServer(store or folder / "store", fsync=fsync, server=server)
        self.state = state or folder / ".penstock"
        self.produced = folder / "producers.history"
        self.performed = folder / "commands.history"
        self.once: set[str] = set()
        self.forgotten: set[str] = set()  # scripts whose finished tasks may be pruned while the test lasts
        self.stack = ExitStack()
        self.proxies: list[Proxy] = []
        self._events: list[Event] = []
        worker = {"lease": lease_s, "minFreeDisk": 0, "shutdownGrace": 2, **settings.pop("worker", {})}
        if state:
            settings["stateDir"] = str(state)
        self.settings(broker={"url": self.store.celery_url}, worker=worker, **settings)
        self.script("ready", "")

    def __enter__(self) -> FaultSite:
        self.store.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        print(self.log()[-6000:])  # shown when the test fails
        try:
            for process in self.processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
            self.stop()
            self.stack.close()
            if kind is None:
                self._check_that_nothing_is_left()
        finally:
            self.stack.close()
            self.store.stop()

    @property
    def broker_url(self) -> str:
        return self.store.celery_url

    def script(self, name: str, command: str | list[str], *, once: bool = False, **fields: Any) -> None:
        """A bash program that marks its start and its end in the history. `once`: it must not start twice for a task.

        `mark tick` in it is a sign of life; `$SITE` is the site's folder; `code` becomes its exit code.
        """
        assert isinstance(command, str)
        if once:
            self.once.add(name)
            fields["idempotent"] = False
        env = {"HISTORY": str(self.performed), "SITE": str(self.folder), **fields.pop("env", {})}
        body = f'{BASH_MARK}mark start\necho "begun $RUN_ID"\n{command}\nmark end\nexit "${{code:-0}}"'
        super().script(name, body, env=env, **fields)

    def proxy(self) -> Proxy:
        self.proxies.append(self.stack.enter_context(Proxy(self.store.socket)))
        return self.proxies[-1]

    def worker(
        self, name: str = "one", *, via: Proxy | None = None, ready: bool = True, **env: str
    ) -> subprocess.Popen[bytes]:
        if via:
            env |= {"PENSTOCK_BROKER_URL": via.url, "PENSTOCK_STORE_URL": via.url}
        path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        return self.start(env={"PENSTOCK_WORKER_NAME": name, "PYTHONPATH": path, **env}, ready=ready)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL, and the time that passes until others take it for dead."""
        process.kill()
        process.wait()
        self.pass_time_for_the_dead()

    def pass_time_for_the_dead(self) -> None:
        """What dead consumers held goes back to the queue after a quarter of a minute: let that have passed."""
        dead = {process.pid for process in self.processes if process.poll() is not None}
        with self.store.client() as server:
            consumers: Any = server.zrange("penstock:consumers", 0, -1)
            for consumer in consumers:
                if int(consumer.split(b":")[-2]) in dead:
                    server.zadd("penstock:consumers", {consumer: 0}, xx=True)

    def send(self, script: str, payload: dict[str, Any] | None = None, **options: Any) -> str:
        task_id = options.setdefault("task_id", str(uuid.uuid4()))
        self.tried(task_id)
        super().send(script, payload if payload is not None else {}, **options)
        append(self.produced, ACCEPTED, task_id)
        return str(task_id)

    def submit(self, script: str, *options: str, payload: dict[str, Any] | None = None) -> str:
        """With the command line; the id of the task."""
        done = self.penstock("submit", script, "--json", "--payload", "-", *options, stdin=json.dumps(payload or {}))
        task_id = str(json.loads(done)["taskId"])
        append(self.produced, ACCEPTED, task_id)
        return task_id

    def penstock(self, *arguments: str, stdin: str = "") -> str:
        """What it printed."""
        code, out, err = zygote.run(
            ["-C", str(self.folder), *arguments],
            stdin=stdin.encode(),
            env=dict(os.environ),
            cwd=_ROOT,
            timeout_s=DEADLINE_S,
        )
        assert code == 0, f"{arguments}: {code}\n{err.decode()}"
        return out.decode()

    def push(self, raw: bytes, queue: str = "penstock", *, task_id: str | None = None) -> None:
        """Put bytes into the queue, as whoever can reach the broker may."""
        if task_id:
            self.tried(task_id)
        with self.store.client() as server:
            server.lpush(queue, raw)

    def tried(self, task_id: str) -> None:
        append(self.produced, TRIED, task_id)

    def marks(self, task_id: str, *kinds: str) -> list[Mark]:
        return [m for m in read(self.performed) if m.task == task_id and (not kinds or m.kind in kinds)]

    def started(self, task_id: str, run: int = 0) -> Mark:
        """The mark of the start of a run, as soon as it is there."""
        return eventually(
            lambda: next((m for m in self.marks(task_id, START) if m.run == run), None),
            f"the start of run {run} of {task_id}; the workers said:\n{self.log()[-3000:]}",
        )

    def complained(self, since: int) -> str:
        """The first complaint of a worker behind that many characters of the log."""

        def complaint() -> str | None:
            lines = self.log()[since:].splitlines()
            return next((line for line in lines if '"level": "warning"' in line or '"level": "error"' in line), None)

        return eventually(complaint, "a complaint of a worker", within_s=8)

    def go(self) -> None:
        """What waits for it in scripts goes on."""
        (self.folder / "go").touch()

    def tasks(self) -> dict[str, Task]:
        async def everything(store: Store) -> dict[str, Task]:
            found: dict[str, Task] = {}
            before: str | None = None
            while True:
                page = await store.records.list(limit=500, before=before)
                found |= {task.id: task for task in page.tasks}
                before = page.next
                if before is None:
                    return found

        tasks: dict[str, Task] = self.ask(everything)
        return tasks

    def events(self) -> tuple[Event, ...]:
        """All of them, though the store keeps the newest only, when it is asked now and then."""

        async def more(store: Store) -> None:
            while more := await store.records.events(self._events[-1].id if self._events else "0", block_ms=None):
                self._events += more

        self.ask(more)
        return tuple(self._events)

    def now_ms(self) -> int:
        """By the store's clock."""
        with self.store.client() as server:
            seconds, microseconds = server.time()  # type: ignore[misc]
        return int(seconds) * 1000 + int(microseconds) // 1000

    def histories(self) -> Histories:
        return Histories(
            read(self.produced),
            read(self.performed),
            self.events(),
            self.tasks(),
            once=frozenset(self.once),
            forgotten=frozenset(self.forgotten),
            one_clock=self.one_clock,
        )

    def check(self, within_s: float = DEADLINE_S, allow_keys: Collection[str] = ()) -> Histories:
        """The end of every test: all that was accepted has ended, a good task runs, nothing is left, all agrees.

        At least one worker has to live and to be able to reach the store.
        """
        accepted = {mark.task for mark in read(self.produced) if mark.kind == ACCEPTED}

        def all_ended() -> bool:
            tasks = self.tasks()
            gone = ended(self.events(), self.forgotten) if self.forgotten else set()
            return accepted <= set(tasks) | gone and all(task.status.final for task in tasks.values())

        try:
            eventually(all_ended, "the end of all tasks", within_s)
        except AssertionError:
            pass  # the checker says which, and what else
        good = self.finished(self.send("ready"), within_s=_GOOD_S)
        assert good.status == "completed", good
        self.pass_time_for_the_dead()
        left: list[str] = []

        def nothing_left() -> bool:
            left[:] = [*leftovers.folders(self.state), *leftovers.processes(str(self.performed))]
            with self.store.client() as server:
                left.extend(line for line in leftovers.keys(server) if not any(key in line for key in allow_keys))
            return not left

        try:
            eventually(nothing_left, "nothing left", _LEFT_S)
        except AssertionError:
            pass
        histories = self.histories()
        found = [*violations(histories), *(f"left behind: {line}" for line in left)]
        assert not found, f"the workers said:\n{self.log()[-4000:]}\n{report(found)}"
        return histories

    def _check_that_nothing_is_left(self) -> None:
        mine = {os.getpid(), self.store.pid, *(p.pid for p in psutil.Process(self.store.pid).children(recursive=True))}
        left: list[str] = []

        def nothing_left() -> bool:
            left[:] = leftovers.processes(str(self.folder), besides=mine)
            return not left

        try:
            eventually(nothing_left, "no process", 5)
        except AssertionError:
            raise AssertionError(f"left behind: {left}") from None
