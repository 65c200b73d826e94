"""Piped: a client of Redis whose calls share one connection, and so writes and reads, when they are made together.

redis-py takes a connection for each call and spends 150 microseconds on it, most of what a worker spends on a task;
here a call costs 20. redis-py still connects, logs in and speaks TLS, and makes every call that may block.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis
from redis._parsers import BaseParser
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, TimeoutError

from worker.store.connect import BACKOFF_BASE_S, BACKOFF_CAP_S, RETRIES, SOCKET_TIMEOUT_S

# What a worker asks for on the way of a task: never blocks, may be asked twice, and its answer needs no conversion.
PIPED = frozenset({"EVALSHA", "EVAL", "XADD", "EXPIRE"})


class PipedRedis(Redis):
    """As `Redis`, for one event loop. The commands in PIPED answer as the server does, without conversion.

    They raise what redis-py raises, ConnectionError and TimeoutError after some attempts.
    """

    _pipe: _Pipe | None = None
    _connecting: asyncio.Task[_Pipe] | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] not in PIPED:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        return (await self._ask([hiredis.pack_command(args)]))[0]

    async def ask_together(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """One write and, as a rule, one read for all of them; the answers in their order, as the server gives them.

        For what may be asked twice. Raises the first error; the others are asked all the same.
        """
        return await self._ask([hiredis.pack_command(command) for command in commands])

    async def _ask(self, commands: Sequence[bytes]) -> list[Any]:
        for attempt in range(RETRIES + 1):
            try:
                if self._pipe is None or self._pipe.closed:
                    self._pipe = await self._connected()
                asked = [self._pipe.ask(command) for command in commands]
                return await _answers(asked)
            except (ConnectionError, TimeoutError, OSError):
                if attempt == RETRIES:
                    raise
                await asyncio.sleep(min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2**attempt))
        raise AssertionError

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        if self._pipe:
            self._pipe.close()
        await super().aclose(close_connection_pool)

    async def _connected(self) -> _Pipe:
        """One connection for all who ask for it at the same time."""
        if self._connecting is None:
            self._connecting = asyncio.ensure_future(self._connect())
            self._connecting.add_done_callback(self._connect_ended)
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> _Pipe:
        connection: Any = self.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()
        # Logged in, and nothing on its way: from here on the connection is ours. redis-py has no public way to hand
        # it over; a test holds on to this one.
        writer, connection._writer, connection._reader = connection._writer, None, None
        pipe = _Pipe(writer)
        writer.transport.set_protocol(pipe)
        return pipe

    def _connect_ended(self, connecting: asyncio.Task[_Pipe]) -> None:
        self._connecting = None
        if not connecting.cancelled():
            connecting.exception()  # those who wait get it; nobody may wait any more


async def _answers(asked: Sequence[asyncio.Future[Any]]) -> list[Any]:
    """Raises the first error. They come in the order of the questions, mostly at one time: that is cheaper to wait for
    than what may come in any order."""
    try:
        return [await answer for answer in asked]
    finally:
        for answer in asked:
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # nobody asks for it any more, and it must not complain of that


class _Pipe(asyncio.Protocol):
    """The connection: answers come in the order of the questions."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer = writer  # it closes its transport when nobody holds it
        self._transport = writer.transport
        self._reader = hiredis.Reader(replyError=BaseParser.parse_error)
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._unsent: list[bytes] = []
        self._heard_s = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self.closed = False

    def ask(self, command: bytes) -> asyncio.Future[Any]:
        """Send it with whatever else is asked in this turn of the loop."""
        answer = self._loop.create_future()
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(command)
        if not self._asked:
            self._heard_s = self._loop.time()
            if self._watch is None:
                self._watch = self._loop.call_later(SOCKET_TIMEOUT_S, self._look)
        self._asked.append(answer)
        return answer

    def close(self) -> None:
        self._transport.close()
        self._fail(ConnectionError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._loop.time()
        self._reader.feed(data)
        while (found := self._reader.gets()) is not False:
            answer = self._asked.popleft()
            if answer.done():
                continue  # whoever asked has gone
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(ConnectionError(f"the connection was lost: {error or 'closed by the server'}"))

    def _send(self) -> None:
        if not self.closed:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _look(self) -> None:
        """A server that is silent for so long while somebody waits is away."""
        self._watch = None
        if not self._asked or self.closed:
            return
        left_s = self._heard_s + SOCKET_TIMEOUT_S - self._loop.time()
        if left_s > 0:
            self._watch = self._loop.call_later(left_s, self._look)
        else:
            self._transport.abort()
            self._fail(TimeoutError(f"no answer for {SOCKET_TIMEOUT_S:g} s"))

    def _fail(self, error: Exception) -> None:
        self.closed = True
        if self._watch:
            self._watch.cancel()
            self._watch = None
        while self._asked:
            answer = self._asked.popleft()
            if not answer.done():
                answer.set_exception(error)
