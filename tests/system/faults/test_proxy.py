"""The proxy itself: what it is told to do to connections, it does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.faults.proxy import Proxy


class Echo:
    """A server that answers each block with itself, and keeps what it got."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.got = b""
        self.ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                end, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(end,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, end: socket.socket) -> None:
        with end:
            try:
                while block := end.recv(4096):
                    self.got += block
                    end.sendall(block)
            except OSError:
                pass
        self.ended.set()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def echo(folder: Path) -> Iterator[Echo]:
    echo = Echo(folder / "echo")
    yield echo
    echo.close()


@pytest.fixture
def proxy(folder: Path, echo: Echo) -> Iterator[Proxy]:
    with Proxy(folder / "echo") as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connected(proxy) as client:
        assert said(client, b"hello") == b"hello"
        yield client


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def said(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text)
    return client.recv(4096)


def test_a_cut_ends_what_is_open_and_takes_what_is_new(proxy: Proxy, client: socket.socket) -> None:
    assert proxy.cut() == 1
    assert client.recv(1) == b""
    with connected(proxy) as another:
        assert said(another, b"again") == b"again"


def test_a_reset_is_an_error_at_the_client(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    proxy.cut(reset=True)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert echo.ended.wait(5)


def test_while_it_refuses_nobody_gets_through(proxy: Proxy) -> None:
    proxy.refuse()
    with connected(proxy) as client:
        assert client.recv(1) == b""
    proxy.accept()
    with connected(proxy) as client:
        assert said(client, b"again") == b"again"


def test_a_half_closed_connection_is_silent_at_the_other_end(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    proxy.half_close("server")
    assert echo.ended.wait(5)
    client.sendall(b"into the void")
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(1)
    assert b"void" not in echo.got


def test_a_server_may_be_the_end_that_hears_nothing(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    proxy.half_close("client")
    assert client.recv(1) == b""
    assert not echo.ended.wait(0.1)


def test_what_is_swallowed_never_arrives(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    proxy.swallow()
    client.sendall(b"lost")
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(1)
    proxy.swallow(False)
    client.settimeout(5)
    assert said(client, b"found") == b"found"
    assert echo.got == b"hellofound"


def test_a_delay_is_at_least_that_long_each_way(proxy: Proxy, client: socket.socket) -> None:
    proxy.delay(0.05)
    since = time.monotonic()
    assert said(client, b"slow") == b"slow"
    assert time.monotonic() - since >= 0.1


def test_a_held_request_waits_until_it_is_released(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    hold = proxy.hold_request(b"one", b"two")
    assert said(client, b"only one") == b"only one"
    client.sendall(b"one and two")
    hold.wait()
    assert echo.got == b"helloonly one"
    hold.release()
    assert client.recv(4096) == b"one and two"
    assert said(client, b"one and two") == b"one and two", "only the first is held"


def test_a_dropped_request_never_arrives_and_ends_its_connection(
    proxy: Proxy, client: socket.socket, echo: Echo
) -> None:
    hold = proxy.hold_request(b"bad")
    client.sendall(b"bad")
    hold.wait()
    hold.drop()
    assert client.recv(1) == b""
    assert echo.got == b"hello"


def test_a_held_reply_has_been_served(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    hold = proxy.hold_reply(b"write")
    client.sendall(b"write it")
    hold.wait()
    assert echo.got == b"hellowrite it"
    hold.release()
    assert client.recv(4096) == b"write it"


def test_a_server_that_is_away_is_a_closed_connection(folder: Path) -> None:
    with Proxy(folder / "nobody") as proxy, connected(proxy) as client:
        assert client.recv(1) == b""
