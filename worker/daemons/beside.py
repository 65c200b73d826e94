"""Beside: a process of the deployment beside its worker, started again when it ends."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import structlog

_logger = structlog.get_logger("penstock.worker")
# Its own grace, and some time to end.
_END_S = 15.0
# Between two starts, doubled each time; the first again once it has served for longer than the last.
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


class Beside:
    """A command of ours, for as long as the block lasts, or this process however it ends.

    When it ends in the middle it is started again, which is told once. It has a session of its own, so that Ctrl-C
    reaches it through us only, when the worker has ended.
    """

    def __init__(self, home: Path, name: str) -> None:
        self.failed: int | None = None
        """The exit code of a process that could not start at all; this process was told to end then."""
        self._home = home
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        with self._starting:
            self._stopping.set()
            process = self._process
        if process is not None:
            process.terminate()
            self._thread.join(_END_S)
            if self._thread.is_alive():
                process.kill()
        self._thread.join()

    def give_up(self, code: int) -> bool:
        """Whether it shall not be started again after it ended with that code."""
        return False

    def serve(self) -> tuple[bool, int]:
        """Start it and block until it has ended. Whether it was of use, and its exit code."""
        raise NotImplementedError

    def start(self, *arguments: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        with self._starting:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "worker.cli.main", "-C", str(self._home), *arguments],
                stdin=subprocess.PIPE,
                stdout=sys.stderr,
                pass_fds=pass_fds,
                start_new_session=True,
            )
            if self._stopping.is_set():
                self._process.terminate()
            return self._process

    def _keep(self) -> None:
        """Start it, wait for its end, and once more."""
        pause_s, told = _PAUSE_S, False
        while not self._stopping.is_set():
            since_s = monotonic()
            answered, code = self.serve()
            if self._stopping.is_set() or self.give_up(code):
                return
            if answered or not told:
                _logger.error(f"the {self._name} has ended; it is started again", exit_code=code)
                told = True
            if answered and monotonic() - since_s > _LONGEST_PAUSE_S:
                pause_s = _PAUSE_S
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def waited_for(process: subprocess.Popen[bytes]) -> int:
    """Its exit code. Blocks. Until then its stdin, by which it knows that we live, stays open."""
    code = process.wait()
    assert process.stdin
    process.stdin.close()
    return code
