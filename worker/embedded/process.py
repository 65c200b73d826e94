"""The server as a process: started, watched, ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from worker.embedded.errors import EmbeddedError

LAUNCHER = Path(__file__).with_name("launch.py")
# What a program may need to find its libraries and to show local times; nothing else is handed over.
PASSED_ON = ("LD_LIBRARY_PATH", "TZ")


class ServerProcess:
    """One running server in a session of its own, so that Ctrl-C at a terminal does not reach it before its
    owner.

    The server ends when this process ends. The kernel ties that to the thread that started it, so a thread
    that lives as long as the server does the starting, whichever thread asks for it.
    """

    def __init__(self, program: Path, arguments: Sequence[str], *, log: Path, inherited_fd: int) -> None:
        """Start it. `log` receives what it prints before its own log file is open. Raises EmbeddedError."""
        self._argv = [
            sys.executable,
            "-I",
            "-S",
            "-B",
            str(LAUNCHER),
            str(os.getpid()),
            str(program),
            *arguments,
        ]
        self._log = log
        self._inherited_fd = inherited_fd
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._started = threading.Event()
        self._ended = threading.Event()
        threading.Thread(target=self._keep, name="penstock-store", daemon=True).start()
        self._started.wait()
        if self._failure is not None:
            raise EmbeddedError(f"the embedded store cannot be started: {self._failure}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended; waits that long for it."""
        return self._ended.wait(timeout_s)

    def end(self, *, terminate_s: float, kill_s: float) -> None:
        """End it by force: SIGTERM, then SIGKILL. Waits after each."""
        assert self._process is not None
        self._process.terminate()
        if not self._ended.wait(terminate_s):
            self._process.kill()
            self._ended.wait(kill_s)

    def ending(self) -> str:
        """How it ended, in words."""
        code = self._process.returncode if self._process is not None else None
        if code is None:
            return "still running"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _keep(self) -> None:
        try:
            with open(self._log, "ab", opener=_private) as output:
                self._process = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd="/",
                    env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
                    pass_fds=(self._inherited_fd,),
                    start_new_session=True,
                )
        except OSError as failure:
            self._failure = failure
            self._ended.set()
            return
        finally:
            self._started.set()
        self._process.wait()
        self._ended.set()


def _private(path: str, flags: int) -> int:
    fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
    os.fchmod(fd, 0o600)
    return fd
