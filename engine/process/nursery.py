"""Nursery: the worker's hold on the process that its slots are forked from. Imports no event loop: it starts early."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.process import wire

_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = """\
import sys
sys.path.insert(0, sys.argv[1])
from engine.process.supervisor import main
main(*map(int, sys.argv[2:]))
"""
_END_S = 10.0


class Nursery:
    """Started when it is made. Whatever becomes of this process, the nursery and all below it then end."""

    def __init__(self, hold: Sequence[int] = ()) -> None:
        """`hold`: descriptors that it and its slots keep open. Raises OSError."""
        self._control, theirs = _pair()
        with theirs:
            held = (theirs.fileno(), *hold)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, str(_ROOT), *map(str, held)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                pass_fds=held,
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def fork(self, number: int) -> socket.socket:
        """A new slot, by its socket, which closes when there can be none. Raises OSError."""
        ours, theirs = _pair()
        with theirs:
            wire.send(self._control, ("slot", number), [theirs.fileno()])
        return ours

    def tell_end(self, number: int, fd: int) -> None:
        """Let it close this descriptor when nothing of that slot is left. Raises OSError."""
        wire.send(self._control, ("ended", number), [fd])

    def close(self) -> None:
        """It may go, after its slots have, which end what is below them. Called twice: no-op."""
        self._control.close()

    def wait(self) -> None:
        """After `close`: block until it has gone, or too long: some process may be in uninterruptible sleep."""
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            pass  # the supervisors stay with it


def _pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
