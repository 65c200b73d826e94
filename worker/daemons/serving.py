"""Serving: the API as a process of its own beside a worker, whose memory it shall not share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

# Its own grace, and some time to end.
_END_S = 15.0


@contextmanager
def serving(home: Path, listening: socket) -> Iterator[None]:
    """The API of that deployment on that socket, until the end of the block, or of this process however it ends.

    In a session of its own, so that Ctrl-C reaches it through us only, when the worker has ended.
    """
    number = listening.fileno()
    arguments = ["-C", str(home), "api", "--socket", str(number)]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "worker.cli.main", *arguments],
        stdin=subprocess.PIPE,
        stdout=sys.stderr,
        pass_fds=[number],
        start_new_session=True,
    )
    listening.close()
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdin
        process.stdin.close()
