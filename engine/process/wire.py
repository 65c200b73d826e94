"""Wire: whole messages, with file descriptors, between the worker and its supervisors.

Both ends are the same interpreter, so `marshal` is exact and cheap; the socket is a SOCK_SEQPACKET pair that
nobody else holds, so a message is never cut.
"""

from __future__ import annotations

import array
import marshal
import os
import socket
from collections.abc import Sequence
from typing import Any

# A packet must fit into a socket buffer; Linux gives 208 KiB unless root raises it. argv and environment of one
# command have to stay below this, which leaves room for the largest single variable that Linux takes (128 KiB).
MESSAGE_BYTES = 192 * 1024
_MAX_FDS = 4
_FD_BYTES = array.array("i").itemsize


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)


def send(sock: socket.socket, message: tuple[Any, ...], fds: Sequence[int] = ()) -> None:
    """Send one message. Raises OSError when the other end is gone, BlockingIOError when its buffer is full."""
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([marshal.dumps(message)], ancillary, socket.MSG_NOSIGNAL)


def receive(sock: socket.socket, most: int = MESSAGE_BYTES + 4096) -> tuple[tuple[Any, ...] | None, list[int]]:
    """Receive one message and its descriptors (close-on-exec); None means that the other end is gone.

    `most`: the bytes of the largest message that may come. They are allocated for each.
    """
    data, ancillary, flags, _ = sock.recvmsg(most, socket.CMSG_SPACE(_MAX_FDS * _FD_BYTES), socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % _FD_BYTES])
    if not data or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        for fd in fds:
            os.close(fd)
        return None, []
    return marshal.loads(data), list(fds)  # noqa: S302 - our own process at the other end
