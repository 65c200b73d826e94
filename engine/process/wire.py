"""Wire: whole messages, with file descriptors, between the worker and its supervisors.

Both ends are the same interpreter, so `marshal` is exact and cheap; the socket is a SOCK_SEQPACKET pair that
nobody else holds, so a message is never cut.
"""

from __future__ import annotations

import _socket as socket  # what `socket` makes its enums of, and the class below its own
import marshal
import os
import struct

TYPE_CHECKING = False  # a supervisor reads this file, too: `typing` would take a megabyte there
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Message = tuple[Any, ...]
    Received = tuple[Message | None, list[int]]

# A packet must fit into a socket buffer; Linux gives 208 KiB unless root raises it. argv and environment of one
# command have to stay below this, which leaves room for the largest single variable that Linux takes (128 KiB).
MESSAGE_BYTES = 192 * 1024
MOST_BYTES = MESSAGE_BYTES + 4096  # no message is larger
_FD_BYTES = struct.calcsize("i")
_MAX_FDS = 4
_ANCILLARY_BYTES = socket.CMSG_SPACE(_MAX_FDS * _FD_BYTES)
_CUT = socket.MSG_TRUNC | socket.MSG_CTRUNC


def send(sock: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send one message. Raises OSError when the other end is gone, BlockingIOError when its buffer is full."""
    if fds:
        rights = struct.pack(f"{len(fds)}i", *fds)
        sock.sendmsg([marshal.dumps(message)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], socket.MSG_NOSIGNAL)
    else:
        sock.send(marshal.dumps(message), socket.MSG_NOSIGNAL)


def receive(sock: socket.socket, most: int = MOST_BYTES) -> Received:
    """Receive one message and its descriptors (close-on-exec); None means that the other end is gone.

    `most`: the bytes of the largest message that may come. They are allocated for each.
    """
    data, ancillary, flags, _ = sock.recvmsg(most, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    return _opened(data, ancillary, flags)


def receive_into(sock: socket.socket, buffer: memoryview) -> Received:
    """As `receive`, by way of memory that is used again; it has room for the largest message that may come."""
    count, ancillary, flags, _ = sock.recvmsg_into([buffer], _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    return _opened(buffer[:count], ancillary, flags)


def _opened(data: bytes | memoryview, ancillary: list[tuple[int, int, bytes]], flags: int) -> Received:
    fds: list[int] = []
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            count = len(content) // _FD_BYTES
            fds += struct.unpack_from(f"{count}i", content)
    if not data or flags & _CUT:
        for fd in fds:
            os.close(fd)
        return None, []
    return marshal.loads(data), fds  # noqa: S302 - our own process at the other end
