"""Serving: the API and the beat as processes of their own beside a worker, whose memory they shall not share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import socket

# Its own grace, and some time to end.
_END_S = 15.0


@contextmanager
def serving(home: Path, listening: socket) -> Iterator[None]:
    """The API of that deployment on that socket, until the end of the block, or of this process however it ends."""
    number = listening.fileno()
    with _beside(home, "api", "--socket", str(number), pass_fds=[number]):
        listening.close()
        yield


@contextmanager
def beating(home: Path) -> Iterator[None]:
    """A beat of that deployment, as long."""
    with _beside(home, "beat", "--lifeline"):
        yield


@contextmanager
def _beside(home: Path, *arguments: str, pass_fds: Sequence[int] = ()) -> Iterator[None]:
    """In a session of its own, so that Ctrl-C reaches it through us only, when the worker has ended."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "worker.cli.main", "-C", str(home), *arguments],
        stdin=subprocess.PIPE,
        stdout=sys.stderr,
        pass_fds=pass_fds,
        start_new_session=True,
    )
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
