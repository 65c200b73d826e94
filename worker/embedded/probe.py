"""Ask the server behind a socket file how it is.

Speaks the protocol's inline form: no client library, no handshake.
"""

from __future__ import annotations

import socket
from enum import Enum
from pathlib import Path

from worker.embedded.errors import EmbeddedError

SOCKET = "store.sock"
# sun_path of Linux has 108 bytes, one of them for the closing NUL (unix(7)).
PATH_BYTES = 107
ANSWER_S = 1.0


class StoreState(Enum):
    """`SILENT`: something accepts connections and did not answer in time."""

    ABSENT = "absent"
    SILENT = "silent"
    LOADING = "loading"
    READY = "ready"


def socket_path(folder: Path) -> Path:
    """The socket of the store in `folder`.

    Raises EmbeddedError when the path is longer than a socket's may be.
    """
    path = folder.absolute() / SOCKET
    length = len(bytes(path))
    if length > PATH_BYTES:
        raise EmbeddedError(
            f"the path of the embedded store's socket has {length} bytes, and a unix socket holds at most "
            f"{PATH_BYTES}: {path}. Set stateDir to a shorter folder."
        )
    return path


def state(folder: Path) -> StoreState:
    """Whether a store runs in `folder` and can be used. Blocks for a second at most."""
    return ping(socket_path(folder))


def ping(path: Path) -> StoreState:
    try:
        answer = _say(path, b"PING\r\n")
    except TimeoutError:
        return StoreState.SILENT
    except OSError:
        return StoreState.ABSENT
    if answer.startswith(b"+PONG"):
        return StoreState.READY
    if answer.startswith(b"-LOADING"):
        return StoreState.LOADING
    return StoreState.SILENT if answer else StoreState.ABSENT


def shut_down(path: Path) -> None:
    """Ask the server to end.

    The append-only file is written and synced; a snapshot is not made. Never raises.
    """
    try:
        _say(path, b"SHUTDOWN NOSAVE\r\n")
    except OSError:
        pass


def _say(path: Path, command: bytes) -> bytes:
    """The first bytes of the answer; empty when the other side closed the connection instead."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_S)
        client.connect(bytes(path))
        client.sendall(command)
        return client.recv(128)
