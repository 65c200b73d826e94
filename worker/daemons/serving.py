"""Serving: the API as a process of its own beside a worker, whose memory it shall not share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from socket import socket
from time import monotonic

import structlog

_logger = structlog.get_logger("penstock.api")
# Its own grace, and some time to end.
_END_S = 15.0
# Between two starts, doubled each time; the first again once it has served for longer than the last.
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_SOFTWARE = 70


class Serving:
    """The API of that deployment on that socket, for as long as the block lasts, or this process however it ends.

    When it ends in the middle it is started again; callers wait meanwhile, since the socket stays open. That is told
    once. When it cannot start at all this process gets a SIGTERM, and `failed` is the exit code. It has a session of
    its own, so that Ctrl-C reaches it through us only, when the worker has ended.
    """

    def __init__(self, home: Path, listening: socket, on_ready: Callable[[], None]) -> None:
        """`on_ready` is called in a thread, once, when it answers."""
        self.failed: int | None = None
        self._home = home
        self._listening = listening
        self._on_ready = on_ready
        self._process: subprocess.Popen[bytes] | None = None
        self._served = False
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="api", daemon=True)

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
        self._listening.close()

    def _keep(self) -> None:
        """Start it, wait for its end, and once more."""
        pause_s, told = _PAUSE_S, False
        while not self._stopping.is_set():
            since_s = monotonic()
            answered, code = self._serve()
            if self._stopping.is_set():
                return
            if not self._served:
                self.failed = code if code > 0 else _SOFTWARE
                _logger.error("the API cannot start", exit_code=code)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            if answered or not told:
                _logger.error("the API has ended; it is started again", exit_code=code)
                told = True
            if answered and monotonic() - since_s > _LONGEST_PAUSE_S:
                pause_s = _PAUSE_S
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _serve(self) -> tuple[bool, int]:
        """Blocks until it has ended. Whether it has ever answered, and its exit code."""
        try:
            process, ready = self._start()
        except OSError as error:
            _logger.warning("the process of the API cannot be made", error=str(error))
            return False, _SOFTWARE
        with os.fdopen(ready, "rb") as pipe:
            answers = bool(pipe.read(1))
        if answers and self._served:
            _logger.info("the API answers again")
        elif answers:
            self._served = True
            self._on_ready()
        code = process.wait()
        assert process.stdin
        process.stdin.close()
        return answers, code

    def _start(self) -> tuple[subprocess.Popen[bytes], int]:
        """The process, and where it says that it answers."""
        ready, told = os.pipe()
        number = self._listening.fileno()
        arguments = ["-C", str(self._home), "api", "--socket", str(number), "--ready", str(told)]
        try:
            with self._starting:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "worker.cli.main", *arguments],
                    stdin=subprocess.PIPE,
                    stdout=sys.stderr,
                    pass_fds=[number, told],
                    start_new_session=True,
                )
                if self._stopping.is_set():
                    self._process.terminate()
                return self._process, ready
        except BaseException:
            os.close(ready)
            raise
        finally:
            os.close(told)
