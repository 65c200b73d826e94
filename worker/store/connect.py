"""Connect to the store: one pool with timeouts, a bounded number of retries and health checks."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError, TimeoutError

from worker.store.errors import InvalidName

# Also bounds blocking reads: their block has to stay below it, see BLOCK_MS.
SOCKET_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
# The longest a blocking read may wait on the server.
BLOCK_MS = 2000
# A connection that was idle this long is asked for a sign of life before it is used.
HEALTH_CHECK_S = 15
# Every call may be made twice without harm, so a lost answer is simply asked for again: about half a second
# of short pauses in all. Longer outages are for the caller, who knows what can wait.
RETRIES = 4
BACKOFF_BASE_S = 0.02
BACKOFF_CAP_S = 0.4
# Made when needed. Each reader of a live log or of the events holds one while it waits.
MAX_CONNECTIONS = 500


def connect(url: str, *, client_name: str = "penstock", kind: type[Redis] = Redis) -> Redis:
    """A client for `redis://`, `rediss://`, `unix://` or kombu's `redis+socket://`. Nothing is sent yet.

    Answers are bytes. RESP2: every server since 6.2 speaks it with one round trip less at connect, and
    nothing here needs more. Close it with `aclose()`. Raises InvalidName for another scheme, without showing
    the URL.
    """
    client = kind.from_url(
        _redis_url(url),
        protocol=2,
        decode_responses=False,
        client_name=client_name,
        max_connections=MAX_CONNECTIONS,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        health_check_interval=HEALTH_CHECK_S,
        retry=Retry(
            ExponentialWithJitterBackoff(cap=BACKOFF_CAP_S, base=BACKOFF_BASE_S),
            RETRIES,
            supported_errors=(ConnectionError, TimeoutError),
        ),
    )
    pool = client.connection_pool
    pool.connection_class = type(pool.connection_class.__name__, (_Cancellable, pool.connection_class), {})
    return client


class _Cancellable:
    """Connections on which a call can be cancelled at any moment.

    redis-py waits for a write with `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that comes
    together with the end of the write: a worker would not stop, and Ctrl-C would do nothing.
    """

    socket_timeout: float | None
    disconnect: Callable[..., Awaitable[None]]

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        limit_s, self.socket_timeout = self.socket_timeout, None  # without one it writes directly
        try:
            async with asyncio.timeout(limit_s):
                await super().send_packed_command(command, check_health)  # type: ignore[misc]
        except builtins.TimeoutError:
            await self.disconnect(nowait=True)
            raise TimeoutError("Timeout writing to socket") from None
        finally:
            self.socket_timeout = limit_s


def _redis_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme in ("redis", "rediss", "unix"):
        return url
    if parts.scheme == "redis+socket":
        database = parse_qs(parts.query).get("virtual_host", ["0"])[0].strip("/")
        account = f"{parts.netloc}" if "@" in parts.netloc else ""
        return f"unix://{account}{parts.path}?db={database or 0}"
    shown = parts.scheme if parts.scheme.isascii() else "?"
    raise InvalidName(f"the store speaks redis://, rediss:// or unix://, not {shown[:20]}://")
