"""Systems: a worker of each kind with a store of its own, started, loaded, checked and ended. Peers: peer_systems.py.

Everything lives in one folder of its own below the folder for temporary files, and on unix sockets.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import celery
import redis

from bench.measuring import Cpu, Process, WrongCount, cpu, tree
from worker.embedded import Embedded
from worker.model.status import FINAL, Status
from worker.store.files import Files
from worker.store.keys import status_key

ROOT = Path(__file__).resolve().parents[1]
QUEUE = "penstock"
# Messages wait here until all are there, then the whole list gets the name that the worker listens to.
HELD = "bench-held"
_PUSHED_TOGETHER = 500
_PATIENCE_S = 60.0
_LEFT_S = 2.0
_POLL_S = 0.01
_SUM = "local sum = 0 for _, key in ipairs(KEYS) do sum = sum + redis.call('ZCARD', key) end return sum"
_LOG_LIMIT = 4 * 1024**3
_SCHEMA = {
    "type": "object",
    "required": ["number", "text"],
    "properties": {"number": {"type": "integer"}, "text": {"type": "string"}},
}


@dataclass(frozen=True, slots=True)
class Script:
    """A fixed command. `captures`: the plain Celery task returns what it wrote; Penstock keeps that always."""

    command: Sequence[str]
    captures: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """What a number of tasks took, from when the worker could see the first to the last one's record."""

    ids: tuple[str, ...]
    seconds: float
    cpu: Cpu


def payloads(count: int, size: int = 300, first: int = 0) -> list[dict[str, Any]]:
    """So many payloads, numbered, each of that many bytes as JSON."""
    found = []
    for number in range(first, first + count):
        bare = len(json.dumps({"number": number, "text": ""}))
        found.append({"number": number, "text": "x" * max(0, size - bare)})
    return found


class Worker(ABC):
    """A running worker. A context manager: on leaving it, worker and store have ended and their folder is gone."""

    name: ClassVar[str]
    waits_in: ClassVar[tuple[str, ...]] = ("brpop", "blmove")
    """The commands of Redis that one of its connections is in when it consumes."""

    def __init__(self, scripts: Mapping[str, Script], concurrency: int) -> None:
        self.scripts = scripts
        self.concurrency = concurrency
        self.root = ROOT
        self._process: subprocess.Popen[bytes]
        self._processes: list[subprocess.Popen[bytes]]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="pb"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.store = stack.enter_context(Embedded(self.folder / "s" / "store"))
            self.redis = stack.enter_context(redis.Redis.from_url(self.store.url, protocol=2))
            self.results = stack.enter_context(redis.Redis(unix_socket_path=str(self.store.socket), db=1, protocol=2))
            self._open_producer(stack)
            stack.enter_context(self._started())
            self.await_consuming()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @abstractmethod
    def command(self) -> list[str]:
        """What to start; writes what that reads into `folder`."""

    @abstractmethod
    def environment(self) -> dict[str, str]: ...

    @abstractmethod
    def finished(self) -> int:
        """How many tasks have ended, however they did."""

    @abstractmethod
    def check(self, ids: Sequence[str]) -> None:
        """Raises WrongCount unless each of them was recorded as completed."""

    @abstractmethod
    def output(self, task_id: str) -> bytes:
        """What was kept of what the command wrote."""

    @property
    def processes(self) -> tuple[Process, ...]:
        """Those of the worker, without the store."""
        return tree(self._process.pid)

    @property
    def pid(self) -> int:
        """Of the worker that was started last."""
        return self._process.pid

    @abstractmethod
    def _open_producer(self, stack: ExitStack) -> None: ...

    @abstractmethod
    def send(self, script: str, payload: Mapping[str, Any]) -> str: ...

    def send_timed(self, script: str, payload: Mapping[str, Any]) -> tuple[str, float]:
        """The id, and the time before it was sent, by `time.perf_counter`."""
        begun = time.perf_counter()
        return self.send(script, payload), begun

    @abstractmethod
    def hold(self, script: str, load: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Queue all of it where the worker does not look. Raises WrongCount."""

    @abstractmethod
    def release(self) -> None:
        """Let the worker see what is held, all at once."""

    def perform(self, script: str, load: Sequence[Mapping[str, Any]]) -> Load:
        """Queue all of it, then let the worker see it, and wait. Raises WrongCount."""
        before = self.finished()
        ids = self.hold(script, load)
        used = cpu(self.processes)
        begun = time.perf_counter()
        self.release()
        self.wait(before + len(ids))
        seconds = time.perf_counter() - begun
        used = cpu(self.processes).since(used)
        self.check(ids)
        return Load(ids, seconds, used)

    def warm_up(self, script: str) -> None:
        """Let every slot, child or thread of the worker have run something."""
        self.perform(script, payloads(self.concurrency * 4))

    def wait(self, count: int, poll_s: float = _POLL_S) -> None:
        """Until so many have ended. Raises WrongCount when nothing ends any more."""
        seen, since = -1, time.monotonic()
        while (now := self.finished()) < count:
            if now > seen:
                seen, since = now, time.monotonic()
            self._still_there(time.monotonic() - since, f"{now} of {count} tasks have ended")
            time.sleep(poll_s)

    def await_consuming(self, workers: int = 1) -> None:
        since = time.monotonic()
        while sum(client["cmd"] in self.waits_in for client in self.redis.client_list()) < workers:
            self._still_there(time.monotonic() - since, "it does not consume")
            time.sleep(_POLL_S)

    def _still_there(self, for_s: float, so_far: str) -> None:
        if (code := self._process.poll()) is not None:
            raise WrongCount(f"{self.name}: the worker ended with {code}; {so_far}\n{self._log_tail()}")
        if for_s > _PATIENCE_S:
            raise WrongCount(f"{self.name}: nothing happened for {_PATIENCE_S:g} s; {so_far}\n{self._log_tail()}")

    def _log_tail(self) -> str:
        return (self.folder / "worker.log").read_text("utf-8", "replace")[-2000:]

    def compare(self, ids: Sequence[str], completed: set[str]) -> None:
        """Raises WrongCount."""
        if missing := set(ids) - completed:
            raise WrongCount(f"{self.name}: {len(missing)} of {len(ids)} tasks did not complete")

    def kill(self) -> None:
        """End the worker with all that is below it at once, as when its container or its host dies."""
        end(self._process)

    def start_another(self) -> None:
        """After the first was killed, or beside one that hangs; ends with it. Returns before it consumes."""
        self._processes.append(self._launch(PENSTOCK_WORKER_NAME=f"another{len(self._processes)}"))
        self._process = self._processes[-1]

    @contextmanager
    def _started(self) -> Iterator[None]:
        self._arguments = self.command()
        self._process = self._launch()
        self._processes = [self._process]
        try:
            yield
        finally:
            for process in self._processes:
                end(process)

    def _launch(self, **more: str) -> subprocess.Popen[bytes]:
        environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environ["TMPDIR"] = str(self.folder)  # multiprocessing leaves a folder there when it is killed
        with open(self.folder / "worker.log", "ab") as log:
            return subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                env={**environ, **self.environment(), **more},
                start_new_session=True,
            )


class CeleryFed(Worker):
    """A worker that is fed by a plain Celery producer."""

    def _open_producer(self, stack: ExitStack) -> None:
        self._producer = celery.Celery("producer", broker=self.store.celery_url, set_as_current=False)
        stack.callback(self._producer.close)

    def send(self, script: str, payload: Mapping[str, Any], queue: str = QUEUE) -> str:
        return str(self._producer.send_task(f"penstock.{script}", kwargs=payload, queue=queue).id)

    def hold(self, script: str, load: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """The first is sent by Celery, the others are copies of its message with an id and a payload of their own.

        Sending 50,000 would take longer than performing them.
        """
        first = self.send(script, load[0], HELD)
        original: Any = self.redis.lindex(HELD, 0)
        ids = [first]
        for start in range(1, len(load), _PUSHED_TOGETHER):
            messages = []
            for payload in load[start : start + _PUSHED_TOGETHER]:
                ids.append(str(uuid.uuid4()))
                messages.append(_copy(original.replace(first.encode(), ids[-1].encode()), payload))
            self.redis.lpush(HELD, *messages)
        if (queued := self.redis.llen(HELD)) != len(load):
            raise WrongCount(f"{self.name}: {queued} messages are queued of {len(load)}")
        return tuple(ids)

    def release(self) -> None:
        self.redis.rename(HELD, QUEUE)


def _copy(message: bytes, payload: Mapping[str, Any]) -> bytes:
    """A message of Celery with another payload."""
    copied = json.loads(message)
    args, _, embed = json.loads(base64.b64decode(copied["body"]))
    copied["body"] = base64.b64encode(json.dumps([args, payload, embed]).encode()).decode()
    copied["headers"]["kwargsrepr"] = repr(payload)
    copied["properties"]["delivery_tag"] = str(uuid.uuid4())
    return json.dumps(copied).encode()


class PenstockWorker(CeleryFed):
    """A worker as anyone starts it, with every guarantee on; its store was started by us, so it attaches to it."""

    name = "penstock"
    python: ClassVar[str] = sys.executable
    ended_in: ClassVar[Mapping[str, str]] = {str(status): status_key(status) for status in FINAL}
    """The sorted set of the tasks of each final status."""

    def command(self) -> list[str]:
        config = self.folder / "config"
        (config / "scripts").mkdir(parents=True)
        (config / "penstock.yaml").write_text(json.dumps({"stateDir": "s", "worker": {"name": "bench"}}))
        for name, script in self.scripts.items():
            declared = {"command": list(script.command), "schema": _SCHEMA, "limits": {"logBytes": _LOG_LIMIT}}
            (config / "scripts" / f"{name}.yaml").write_text(json.dumps(declared))
        return [self.python, "-m", "worker.cli.main", "-C", str(self.folder), "worker", "-c", str(self.concurrency)]

    def environment(self) -> dict[str, str]:
        return {}

    def finished(self) -> int:
        # One call, as for the others: it is made while they work.
        keys = self.ended_in.values()
        return int(self.redis.eval(_SUM, len(keys), *keys))

    def check(self, ids: Sequence[str]) -> None:
        members: Any = self.redis.zrange(self.ended_in[Status.COMPLETED], 0, -1)
        self.compare(ids, {member.decode() for member in members})

    def output(self, task_id: str) -> bytes:
        with Files(self.folder / "s" / "artifacts").run(task_id, 0).open_log() as log:
            return log.read()


class CeleryPrefork(CeleryFed):
    """Plain Celery with late acknowledgement and a prefetch of one per process, results in Redis."""

    name = "celery prefork"
    pool = "prefork"

    def command(self) -> list[str]:
        celery_worker = [sys.executable, "-m", "celery", "-A", "bench.plain_celery", "worker"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [*celery_worker, "-P", self.pool, "-c", str(self.concurrency), "-Q", QUEUE, "-n", "bench@bench", *quiet]

    def environment(self) -> dict[str, str]:
        commands = {name: [list(script.command), script.captures] for name, script in self.scripts.items()}
        return {
            "BENCH_BROKER": self.store.celery_url,
            "BENCH_RESULTS": self.store.celery_url.replace("virtual_host=0", "virtual_host=1"),
            "BENCH_COMMANDS": json.dumps(commands),
        }

    def finished(self) -> int:
        return int(self.results.dbsize())  # a database with nothing but results

    def check(self, ids: Sequence[str]) -> None:
        completed = set()
        for task_id in ids:
            meta = self._meta(task_id)
            if meta["status"] == "SUCCESS" and meta["result"]["exit"] == 0:
                completed.add(task_id)
        self.compare(ids, completed)

    def output(self, task_id: str) -> bytes:
        return str(self._meta(task_id)["result"]["output"]).encode()

    def _meta(self, task_id: str) -> dict[str, Any]:
        text: Any = self.results.get(f"celery-task-meta-{task_id}")
        meta: dict[str, Any] = json.loads(text) if text else {"status": "absent"}
        return meta


class CeleryThreads(CeleryPrefork):
    name = "celery threads"
    pool = "threads"


WORKERS: dict[str, type[Worker]] = {kind.name: kind for kind in (PenstockWorker, CeleryPrefork, CeleryThreads)}


def end(process: subprocess.Popen[Any]) -> None:
    """End it and all that is below it, and return when none of that is left. `process` leads its own group.

    Hard, since nothing runs any more that could be lost, and a warm stop takes each of these workers seconds.
    """
    below = tree(process.pid)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    since = time.monotonic()
    while left := [one for one in below if one.alive]:
        if time.monotonic() - since > _LEFT_S:  # what is not of its group ends by itself, or else here
            for one in left:
                with suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
        time.sleep(_POLL_S)
