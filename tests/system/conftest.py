"""Deployments in temporary folders, and the installed command run on them as a user would."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.system import forked, zygote
from tests.system.site import DEADLINE_S, eventually
from worker.embedded import StoreState, state


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Deployment:
    """A deployment's folder. Scripts are declared with `script`, the command is run with `penstock`."""

    home: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def script(self, name: str, command: list[str] | str, schema: dict[str, Any] | None = None, **fields: Any) -> None:
        """Declare a script; a text is a program for sh. JSON is YAML."""
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        self.file(f"config/scripts/{name}.yaml", json.dumps({"command": argv, "schema": schema or {}, **fields}))

    def file(self, name: str, content: str) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def start(self, *arguments: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        process = forked.start(
            *("-C", str(self.home), *arguments),
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "env": environment(env),
                **options,
            },
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        """For a test that failed in the middle: nothing of it is left to the next one."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()

    def penstock(
        self, *arguments: str | bytes, stdin: bytes = b"", env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> Result:
        argv = ["-C", str(self.home), *arguments]
        where: dict[str, Any] = {"env": environment(env), "cwd": cwd or self.home}
        if any(name.startswith("PYTHON") for name in env or ()):
            command = [sys.executable, "-m", "worker.cli.main", *argv]
            done = subprocess.run(
                command, input=stdin, capture_output=True, timeout=DEADLINE_S * 2, check=False, **where
            )
            return Result(done.returncode, done.stdout.decode(), done.stderr.decode())
        code, out, err = zygote.run(argv, stdin=stdin, timeout_s=DEADLINE_S * 2, **where)
        return Result(code, out.decode(), err.decode())

    def store_runs(self) -> bool:
        return state(self.home / ".penstock" / "store") is StoreState.READY


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """Ours without what steers the command."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_") and k not in ("NO_COLOR", "COLUMNS")}
    return {**ours, **(more or {})}


def finish(process: subprocess.Popen[bytes]) -> Result:
    out, err = process.communicate(timeout=DEADLINE_S)
    return Result(process.returncode, out.decode(), err.decode())


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    yield from _deployment()


@pytest.fixture(scope="module")
def shared_deployment() -> Iterator[Deployment]:
    """One for all tests of a module: they may add scripts before it runs only."""
    yield from _deployment()


def _deployment() -> Iterator[Deployment]:
    # Not below pytest's own folder, whose name may be longer than a socket's path.
    home = Path(tempfile.mkdtemp(prefix="penstock-"))
    (home / "config" / "scripts").mkdir(parents=True)
    deployment = Deployment(home)
    try:
        yield deployment
    finally:
        deployment.end()
        shutil.rmtree(home)


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def running_up(deployment: Deployment, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`penstock up` for as long as the generator waits; it has to end well and to leave nothing.

    Without its API, which costs a second of a core, unless other options are given.
    """
    log = deployment.home / "up-of-the-test.log"
    with log.open("wb") as output:
        up = deployment.start("up", *(options or ("--no-api",)), stdout=output, stderr=output)
    try:
        # The worker makes its folder for logs when it is about to consume.
        spool = deployment.home / ".penstock" / "spool"
        eventually(lambda: list(spool.glob(f"*-{up.pid}-*")) or up.poll() is not None, "the worker")
        assert up.poll() is None, log.read_text()
        yield up
        started = family(up.pid)
        up.send_signal(signal.SIGTERM)
        assert up.wait(timeout=DEADLINE_S) == 0, log.read_text()
        _, alive = psutil.wait_procs(started, timeout=5)
        assert not alive
    finally:
        if up.poll() is None:
            up.kill()
            up.wait()


UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
