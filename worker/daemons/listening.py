"""Listening: the socket of the HTTP API, bound before anything is started that would be in vain."""

from __future__ import annotations

import socket

from worker.config import ApiSettings
from worker.daemons.wiring import NotReachable

DEFAULT_PORT = 8765
_BACKLOG = 1024


def listen(settings: ApiSettings, *, any_port: bool = False) -> socket.socket:
    """A socket that accepts connections from now on; they wait until somebody serves them.

    `any_port`: when no port is configured and the default one is taken, a free one. Raises NotReachable when the
    address is taken or not ours.
    """
    port = DEFAULT_PORT if settings.port is None else settings.port
    try:
        try:
            return _bound(settings.host, port)
        except OSError:
            if settings.port is None and any_port:
                return _bound(settings.host, 0)
            raise
    except OSError as error:
        why = error.strerror or str(error)
        raise NotReachable(
            f"cannot listen on {settings.host}, port {port}: {why}; see api.host and api.port"
        ) from error


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, number, _, address = found[0]
    listening = socket.socket(family, kind, number)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening
