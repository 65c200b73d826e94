"""Serving: the API as a process of its own beside a worker, whose memory it shall not share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from socket import socket

import structlog

from worker.daemons.beside import Beside, waited_for

_logger = structlog.get_logger("penstock.api")
_SOFTWARE = 70


class Serving(Beside):
    """The API of that deployment on that socket: see Beside.

    When it ends in the middle callers wait, since the socket stays open. When it cannot start at all this process gets
    a SIGTERM, and `failed` is the exit code.
    """

    def __init__(self, home: Path, listening: socket, on_ready: Callable[[], None]) -> None:
        """`on_ready` is called in a thread, once, when it answers."""
        super().__init__(home, "API")
        self._listening = listening
        self._on_ready = on_ready
        self._served = False

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._listening.close()

    def give_up(self, code: int) -> bool:
        if self._served:
            return False
        self.failed = code if code > 0 else _SOFTWARE
        _logger.error("the API cannot start", exit_code=code)
        os.kill(os.getpid(), signal.SIGTERM)
        return True

    def serve(self) -> tuple[bool, int]:
        ready, told = os.pipe()
        number = self._listening.fileno()
        with os.fdopen(ready, "rb") as pipe:
            try:
                process = self.start("api", "--socket", str(number), "--ready", str(told), pass_fds=[number, told])
            except OSError as error:
                _logger.warning("the process of the API cannot be made", error=str(error))
                return False, _SOFTWARE
            finally:
                os.close(told)
            answers = bool(pipe.read(1))
        if answers and self._served:
            _logger.info("the API answers again")
        elif answers:
            self._served = True
            self._on_ready()
        return answers, waited_for(process)
