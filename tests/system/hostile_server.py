"""A tiny HTTP server that answers whatever it is told: nonsense, other servers' answers, or nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import TracebackType

Answer = bytes | Callable[[bytes, int], bytes | None]


class Hostile:
    """`answer`: the bytes of every answer, or a function of the request's head and of how many there were before;
    None keeps the connection open in silence until the end of the block.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.requests: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Hostile:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._open:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            head = b""
            while b"\r\n\r\n" not in head and (block := connection.recv(65536)):
                head += block
            self.requests.append(head)
            answer = self._answer(head, len(self.requests) - 1) if callable(self._answer) else self._answer
            if answer is None:
                continue
            try:
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                continue


def http(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    own = {"Content_Type": "application/json", "Content_Length": str(len(body)), "Connection": "close"}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in {**own, **headers}.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body
