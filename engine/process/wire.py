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
MOST_BYTES = MESSAGE_BYTES + 4096  # no message is larger
_FD_BYTES = array.array("i").itemsize
_MAX_FDS = 4
_ANCILLARY_BYTES = socket.CMSG_SPACE(_MAX_FDS * _FD_BYTES)
# Plain numbers: those of `socket` are members of an enum, whose arithmetic costs more than a system call.
_NO_SIGNAL = int(socket.MSG_NOSIGNAL)
_CLOSE_ON_EXEC = int(socket.MSG_CMSG_CLOEXEC)
_CUT = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)

_Ancillary = list[tuple[int, int, bytes]]


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)


def send(sock: socket.socket, message: tuple[Any, ...], fds: Sequence[int] = ()) -> None:
    """Send one message. Raises OSError when the other end is gone, BlockingIOError when its buffer is full."""
    if fds:
        rights = array.array("i", fds)
        sock.sendmsg([marshal.dumps(message)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], _NO_SIGNAL)
    else:
        sock.send(marshal.dumps(message), _NO_SIGNAL)


def receive(sock: socket.socket, most: int = MOST_BYTES) -> tuple[tuple[Any, ...] | None, list[int]]:
    """Receive one message and its descriptors (close-on-exec); None means that the other end is gone.

    `most`: the bytes of the largest message that may come. They are allocated for each.
    """
    data, ancillary, flags, _ = sock.recvmsg(most, _ANCILLARY_BYTES, _CLOSE_ON_EXEC)
    return _opened(data, ancillary, flags)


def receive_into(sock: socket.socket, buffer: memoryview) -> tuple[tuple[Any, ...] | None, list[int]]:
    """As `receive`, by way of memory that is used again; it has room for the largest message that may come."""
    count, ancillary, flags, _ = sock.recvmsg_into([buffer], _ANCILLARY_BYTES, _CLOSE_ON_EXEC)
    return _opened(buffer[:count], ancillary, flags)


def _opened(data: bytes | memoryview, ancillary: _Ancillary, flags: int) -> tuple[tuple[Any, ...] | None, list[int]]:
    fds: list[int] = []
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds += array.array("i", content[: len(content) - len(content) % _FD_BYTES])
    if not data or flags & _CUT:
        for fd in fds:
            os.close(fd)
        return None, []
    return marshal.loads(data), fds  # noqa: S302 - our own process at the other end
