"""Connect to the store: one pool with timeouts, a bounded number of retries and health checks."""

from __future__ import annotations

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
    return kind.from_url(
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
