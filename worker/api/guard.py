"""Guard: what holds for every request before and after any route. ASGI, so that it costs little."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping

from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.api.failures import ANSWERED, internal_error, log_fault
from worker.api.problem import ApiError, problem_response
from worker.config import ApiSettings

# Each is far above what a client of ours sends, and far below what would cost us anything.
QUERY_BYTES = 8 * 1024
PATH_BYTES = 4 * 1024
HEADERS = 100
# Two of these, and a proxy before us may have looked at the other one.
_ONCE = frozenset(
    {
        *(b"authorization", b"x-api-key", b"cookie", b"x-csrf-token"),
        *(b"content-type", b"content-length", b"host", b"origin", b"range"),
    }
)
_VERSIONS = frozenset({"1.0", "1.1"})
_CLOSE = {"Connection": "close"}
_REQUEST_ID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Request ids, bounds, a deadline for bodies, security headers, and the last resort."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _first_of_each(scope)
        request_id = _request_id(headers)
        scope["penstock.request_id"] = request_id
        answer = _Answer(send, request_id)
        try:
            _check(scope)
            body = _Body(receive, headers, self._settings)
            await self._app(scope, body.receive, answer.send)
        except ApiError as error:
            await answer.fail(scope, receive, problem_response(error, request_id))
        except Exception as error:  # noqa: BLE001 - the last door of a request
            if not answer.started:
                await answer.fail(scope, receive, internal_error(error, request_id))
            elif ANSWERED not in scope and not isinstance(error, ClientDisconnect):
                log_fault(error, request_id)


def _check(scope: Scope) -> None:
    if len(scope["query_string"]) > QUERY_BYTES or len(scope["raw_path"]) > PATH_BYTES:
        raise ApiError(414, "uri-too-long", f"a query has at most {QUERY_BYTES} bytes, a path {PATH_BYTES}")
    if len(scope["headers"]) > HEADERS:
        raise ApiError(431, "too-many-headers", f"a request has at most {HEADERS} headers")
    if scope["http_version"] not in _VERSIONS:
        raise ApiError(505, "http-version", "HTTP/1.1 is spoken here", headers=_CLOSE)
    given = {name for name, _ in scope["headers"]}
    if b"transfer-encoding" in given and b"content-length" in given:
        # Whoever looked at it before us may have seen the end of the body elsewhere, and another request behind it.
        raise ApiError(400, "ambiguous-length", "give Content-Length or Transfer-Encoding, not both", headers=_CLOSE)
    names = [name for name, _ in scope["headers"] if name in _ONCE]
    if len(names) != len(set(names)):
        raise ApiError(400, "doubled-header", f"given more than once: {max(names, key=names.count).decode()}")


class _Answer:
    """What goes out, with the headers that every answer has."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in _SECURITY.items():
                headers.setdefault(name, value)
            headers["X-Request-ID"] = self._request_id
        await self._send(message)

    async def fail(self, scope: Scope, receive: Receive, response: JSONResponse) -> None:
        """Once an answer has begun nothing can be said any more: the connection is closed in its middle."""
        if not self.started:
            await response(scope, receive, self.send)


class _Body:
    """Counts what comes in and looks at the clock."""

    def __init__(self, receive: Receive, headers: Mapping[bytes, bytes], settings: ApiSettings) -> None:
        self._receive = receive
        self._limit = settings.max_body
        self._timeout_s = settings.body_timeout_s
        self._until: float | None = None
        self._complete = False
        self._bytes = 0
        self._check(_declared(headers))

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()  # only the end of the connection can follow
        loop = asyncio.get_running_loop()
        if self._until is None:
            self._until = loop.time() + self._timeout_s
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(
                408,
                "slow-body",
                f"the body was not complete within {self._timeout_s:g} seconds",
                headers={"Connection": "close"},
            ) from None
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            self._check(self._bytes)
        return message

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ApiError(413, "too-large", f"a body has at most {self._limit} bytes", headers={"Connection": "close"})


def _declared(headers: Mapping[bytes, bytes]) -> int:
    text = headers.get(b"content-length", b"0")
    return int(text) if text.isdigit() and len(text) < 20 else 0


def _first_of_each(scope: Scope) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        found.setdefault(name, value)
    return found


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    """The caller's own, so that both logs can be compared, if it is a UUID."""
    given = headers.get(b"x-request-id", b"")
    return given.decode() if _REQUEST_ID.match(given) else str(uuid.uuid4())
