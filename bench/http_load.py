"""HTTP load: callers who ask one server as fast as it answers, each over one connection, and readers of streams."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.measuring import WrongCount

_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)", re.IGNORECASE)
_PATIENCE_S = 60.0
_LINE = b"\nevent: log\n"
_STAMP = re.compile(rb'"line":"([0-9]+) ')
# What comes before all readers were there for so long is what they have to catch up with.
_SETTLED_S = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    per_s: float
    took_ms: tuple[float, ...]


def ask(port: int, request: Callable[[int], bytes], count: int, connections: int, status: bytes = b"200") -> Asked:
    """So many requests in all, the text of each by its number. Raises WrongCount for any other answer."""
    took: list[list[float]] = [[] for _ in range(connections)]
    wrong: list[bytes] = []
    begin = threading.Barrier(connections + 1)

    def call(number: int) -> None:
        with socket.create_connection(("127.0.0.1", port), _PATIENCE_S) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            begin.wait()
            for each in range(number, count, connections):
                begun = time.perf_counter()
                connection.sendall(request(each))
                head = _answer(connection)
                took[number].append((time.perf_counter() - begun) * 1000)
                if head[9:12] != status:
                    wrong.append(head)
                    return

    threads = [threading.Thread(target=call, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    begin.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    found = tuple(ms for one in took for ms in one)
    if wrong or len(found) != count:
        raise WrongCount(f"{len(found)} of {count} requests were answered with {status!r}; others: {wrong[:1]!r}")
    return Asked(count / seconds, found)


def _answer(connection: socket.socket) -> bytes:
    """The head; the body is read and forgotten."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        block = connection.recv(65536)
        if not block:
            return data
        data += block
    length = _LENGTH.search(data, 0, end)
    missing = (int(length[1]) if length else 0) - (len(data) - end - 4)
    while missing > 0 and (block := connection.recv(65536)):
        missing -= len(block)
    return data[:end]


@dataclass(frozen=True, slots=True)
class Followed:
    """How many lines each reader saw, and how late the newest of those was that came at one time."""

    lines: tuple[int, ...]
    lags_ms: tuple[float, ...]


async def follow(port: int, request: bytes, readers: int) -> Followed:
    """So many readers of one stream, until its end; of lines that begin with when they were made (steady.py)."""
    lags: list[float] = []
    there, since_s = 0, 0.0

    async def one() -> int:
        nonlocal there, since_s
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        writer.write(request)
        seen, rest = 0, b""
        while block := await reader.read(2**18):
            now = time.monotonic_ns()
            if not rest:
                there += 1
                since_s = time.monotonic()
            data = rest + block
            seen += data.count(_LINE)
            rest = data[-(len(_LINE) - 1) :]
            stamp = _STAMP.match(data, max(0, data.rfind(b'"line":"')))
            if stamp and there == readers and time.monotonic() - since_s > _SETTLED_S:
                lags.append((now - int(stamp[1])) / 1_000_000)
        writer.close()
        return seen

    lines = await asyncio.gather(*(one() for _ in range(readers)))
    return Followed(tuple(lines), tuple(lags))
