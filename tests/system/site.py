"""A deployment in a folder of its own, with real workers, for tests that look at it from outside."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import celery
import redis
from kombu.exceptions import OperationalError

from tests.system import forked
from worker.config import Settings, load_settings
from worker.daemons.wiring import NotReachable, Store, open_store
from worker.model.task import Task
from worker.store import StoreUnavailable
from worker.store.files import Files

_T = TypeVar("_T")
DEADLINE_S = 30.0


def eventually(look: Callable[[], _T | None], what: str, within_s: float = DEADLINE_S) -> _T:
    """What `look` finds as soon as it finds something; fails after the deadline."""
    until = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"not within {within_s} s: {what}"
        time.sleep(0.02)


class Site:
    """`folder` has to be short: the store's socket lies below it."""

    # How a producer says where a message goes.
    route = {"queue": "penstock"}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config" / "scripts").mkdir(parents=True)
        (folder / "scripts").mkdir()
        self.processes: list[subprocess.Popen[bytes]] = []
        self._read: tuple[bytes, Settings] | None = None

    def script(self, name: str, command: str | list[str], **fields: Any) -> None:
        """Declare a script: the text of a bash program, or an argv."""
        if isinstance(command, str):
            path = self.folder / "scripts" / f"{name}.sh"
            path.write_text("#!/bin/bash\n" + command + "\n")
            path.chmod(0o755)
            command = [f"scripts/{name}.sh"]
        fields.setdefault("schema", {"type": "object", "additionalProperties": True})
        declaration = {"command": command, **fields}
        (self.folder / "config" / "scripts" / f"{name}.yaml").write_text(json.dumps(declaration))

    def settings(self, **settings: Any) -> None:
        (self.folder / "config" / "penstock.yaml").write_text(json.dumps(settings))

    def start(self, *argv: str, env: dict[str, str] | None = None, ready: bool = True) -> subprocess.Popen[bytes]:
        """Start a worker (`penstock worker` unless told otherwise) and wait until it consumes."""
        log = (self.folder / f"worker-{len(self.processes)}.log").open("wb")
        options: dict[str, Any] = {
            "cwd": self.folder,
            "env": {**os.environ, "PENSTOCK_HOME": str(self.folder), **(env or {})},
            "stdin": subprocess.DEVNULL,
            "stdout": log,
            "stderr": log,
            "start_new_session": True,
        }
        with log:
            process = (
                subprocess.Popen(argv, **options) if argv else forked.start("-C", str(self.folder), "worker", **options)
            )
        self.processes.append(process)
        if ready:
            name = (env or {}).get("PENSTOCK_WORKER_NAME")
            try:
                eventually(lambda: self._performs(process, name), f"a worker {name or ''} that consumes")
            except AssertionError as error:
                raise AssertionError(f"{error}; the workers said:\n{self.log()[-3000:]}") from None
        return process

    def _performs(self, process: subprocess.Popen[bytes], name: str | None) -> bool:
        """Whether the worker takes tasks: it is given one of a script that every site has."""
        assert process.poll() is None, f"the worker ended with {process.returncode}:\n{self.log()}"
        try:
            self.ask(lambda store: store.records.counts())  # a producer that finds no broker waits for seconds
            probe = self.finished(self.send("ready", {}), within_s=5)
        except (NotReachable, StoreUnavailable, OperationalError, AssertionError):
            return False
        return name is None or probe.runs[0].worker == name

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("worker-*.log")))

    @property
    def store_socket(self) -> Path:
        return self.folder / ".penstock" / "store" / "store.sock"

    @property
    def broker_url(self) -> str:
        return f"redis+socket://{self.store_socket}?virtual_host=0"

    def producer(self, **conf: Any) -> celery.Celery:
        """A plain Celery application that knows nothing of us but a URL."""
        app = celery.Celery("anyone", broker=self.broker_url, set_as_current=False)
        app.conf.update(task_ignore_result=True, **conf)
        return app

    def send(self, script: str, payload: dict[str, Any] | None = None, **options: Any) -> str:
        options = {**(self.route if "queue" not in options else {}), **options}
        with self.producer() as app:
            sent: str = app.send_task(f"penstock.{script}", kwargs=payload, retry=False, **options).id
        return sent

    def put(self, body: bytes, **message: Any) -> None:
        """A message written by hand, as a producer in another language would: `headers`, `content_type` ..."""
        written = {
            "body": base64.b64encode(body).decode(),
            "content-encoding": message.get("content_encoding"),
            "content-type": message.get("content_type"),
            "headers": message.get("headers", {}),
            "properties": {
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": "penstock"},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": "a-tag",
            },
        }
        with redis.Redis(unix_socket_path=str(self.store_socket)) as server:
            server.lpush("penstock", json.dumps(written))

    def ask(self, question: Callable[[Store], Any]) -> Any:
        """Put a question to the store: an async function of it."""

        async def main() -> Any:
            async with open_store(self._settings()) as store:
                return await question(store)

        return asyncio.run(main())

    def _settings(self) -> Settings:
        """Read anew when the file is another: whoever waits asks fifty times a second."""
        file = self.folder / "config" / "penstock.yaml"
        text = file.read_bytes() if file.exists() else b""
        if self._read is None or self._read[0] != text:
            self._read = (text, load_settings(self.folder, environ={}))
        return self._read[1]

    def task(self, task_id: str) -> Task | None:
        found: Task | None = self.ask(lambda store: store.records.get(task_id))
        return found

    def finished(self, task_id: str, within_s: float = DEADLINE_S) -> Task:
        until = time.monotonic() + within_s

        async def end(store: Store) -> Task | None:
            while True:
                task = await store.records.get(task_id)
                if (task and task.status.final) or time.monotonic() > until:
                    return task
                await asyncio.sleep(0.02)

        found: Task | None = self.ask(end)
        told = f"not within {within_s} s: the end of task {task_id}; the workers said:\n"
        assert found and found.status.final, told + self.log()[-3000:]
        return found

    def task_log(self, task_id: str, run: int = 0) -> bytes:
        file = run_folder(self.folder / ".penstock", task_id, run) / "log.txt"
        if file.exists():
            return file.read_bytes()
        log = self.ask(lambda store: store.records.get(task_id)).runs[run].log
        assert log, f"run {run} of task {task_id} has no log"
        return str(log.text).encode()

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


def run_folder(state: Path, task_id: str, run: int = 0) -> Path:
    """Where the files of a run are kept."""
    return Files(state / "artifacts").run(task_id, run).log_path.parent
