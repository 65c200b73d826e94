"""Lifeline: ends this process like SIGTERM does when whoever started it goes away."""

from __future__ import annotations

import os
import signal
import sys
import threading


def hang_on_stdin() -> None:
    """From now on the end of stdin, which is a pipe from the starter, is a SIGTERM."""
    threading.Thread(target=_wait, name="lifeline", daemon=True).start()


def _wait() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
