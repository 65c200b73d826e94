"""A TCP proxy before the store that cuts, resets, half-closes, delays and holds, as a test commands.

A hold stops what goes through it at a place that the test names by the bytes of a request. So a test can stop a
worker between two of its steps without any help from the worker.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

_BLOCK = 1 << 16
_PATIENCE_S = 30.0


class Hold:
    """One place. `reached` is set when something stands there; it waits until `release` or `drop`."""

    def __init__(self, needles: Sequence[bytes], *, reply: bool) -> None:
        self.needles = tuple(needles)
        self.reply = reply
        self.reached = threading.Event()
        self._free = threading.Event()
        self._dropped = False

    def wait(self, within_s: float = _PATIENCE_S) -> None:
        assert self.reached.wait(within_s), f"no request with {self.needles} within {within_s} s"

    def release(self) -> None:
        """Let it pass."""
        self._free.set()

    def drop(self) -> None:
        """It never arrives, and its connection is closed."""
        self._dropped = True
        self._free.set()

    def stand(self) -> bool:
        """For the proxy: wait here; whether it may pass."""
        self.reached.set()
        self._free.wait(_PATIENCE_S)
        return not self._dropped


class _Link:
    """One connection: the client's end and the server's."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.awaited: Hold | None = None  # the hold that the next answer stops at
        self.resetting = False
        self.silent = False  # one end was told that the other has gone; the other end hears nothing

    def close(self) -> None:
        """Wake both directions up; the sockets are closed when both have ended."""
        with suppress(OSError):
            # With nothing sent, and no linger time, the close that follows is a reset.
            self.client.shutdown(socket.SHUT_RD if self.resetting else socket.SHUT_RDWR)
        with suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        self.resetting = True
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class Proxy:
    """Listens on a loopback port and connects to the unix socket `target`. A context manager."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._links: set[_Link] = set()
        self._holds: list[Hold] = []
        self._all_holds: list[Hold] = []
        self._lock = threading.Lock()
        self._refusing = False
        self._closed = False
        self._swallowing = threading.Event()
        self._delay_s = 0.0
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Proxy:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        for hold in self._all_holds:
            hold.drop()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for link in self._current():
            link.silent = False
            link.close()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def hold_request(self, *needles: bytes | str) -> Hold:
        """Stop the first request that has all of these in it, before the server gets it."""
        return self._hold(needles, reply=False)

    def hold_reply(self, *needles: bytes | str) -> Hold:
        """Let the first request that has all of these in it pass, and stop what the server answers."""
        return self._hold(needles, reply=True)

    def cut(self, *, reset: bool = False) -> int:
        """Close all connections, with a reset if told so; new ones are taken. How many there were."""
        links = self._current()
        for link in links:
            if reset:
                link.reset()
            else:
                link.close()
        return len(links)

    def refuse(self) -> None:
        """Cut, and close every new connection at once, until `accept`."""
        self._refusing = True
        self.cut()

    def accept(self) -> None:
        self._refusing = False

    def half_close(self, told: Literal["server", "client"]) -> int:
        """Tell one end of each connection that the other has gone, and the other end nothing. How many there were."""
        links = self._current()
        for link in links:
            link.silent = True
            with suppress(OSError):
                (link.server if told == "server" else link.client).shutdown(socket.SHUT_RDWR)
        return len(links)

    def swallow(self, on: bool = True) -> None:
        """Connections stay open and new ones are taken, and nothing goes through: a cable that was pulled."""
        (self._swallowing.set if on else self._swallowing.clear)()

    def delay(self, seconds: float) -> None:
        """Each block of bytes, in either direction, is passed on so much later."""
        self._delay_s = seconds

    def _current(self) -> list[_Link]:
        with self._lock:
            return list(self._links)

    def _hold(self, needles: Sequence[bytes | str], *, reply: bool) -> Hold:
        hold = Hold([n.encode() if isinstance(n, str) else n for n in needles], reply=reply)
        self._holds.append(hold)
        self._all_holds.append(hold)
        return hold

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                if self._refusing:
                    raise ConnectionRefusedError
                server.connect(str(self._target))
            except OSError:
                client.close()
                server.close()
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(client, server)
            with self._lock:
                self._links.add(link)
            self._start(self._serve, link)

    def _serve(self, link: _Link) -> None:
        answers = threading.Thread(target=self._pump, args=(link, False), daemon=True)
        answers.start()
        self._pump(link, True)
        answers.join()
        with self._lock:
            self._links.discard(link)
        link.client.close()
        link.server.close()

    def _pump(self, link: _Link, requests: bool) -> None:
        source, sink = (link.client, link.server) if requests else (link.server, link.client)
        try:
            while block := source.recv(_BLOCK):
                if self._delay_s:
                    time.sleep(self._delay_s)
                if self._swallowing.is_set() or link.silent:
                    continue
                if not self._passes(link, block, requests):
                    break
                sink.sendall(block)
        except OSError:
            pass
        if not link.silent:
            link.close()

    def _passes(self, link: _Link, block: bytes, requests: bool) -> bool:
        """After it stood at its place, if it has one."""
        hold = self._due(block) if requests else link.awaited
        if hold is None:
            return True
        if requests and hold.reply:
            link.awaited = hold
            return True
        link.awaited = None
        return hold.stand()

    def _due(self, block: bytes) -> Hold | None:
        with self._lock:
            for hold in self._holds:
                if all(needle in block for needle in hold.needles):
                    self._holds.remove(hold)
                    return hold
        return None
