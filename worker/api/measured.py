"""Measured: counts every request and its answer."""

from __future__ import annotations

from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.api.meters import Meters

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Measured:
    """What no route is for counts as the route `none`, so that callers cannot make up labels."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = monotonic()
        status, stream = 0, False

        async def watched(message: Message) -> None:
            nonlocal status, stream
            if message["type"] == "http.response.start":
                status = message["status"]
                stream = any(value.startswith(b"text/event-stream") for _, value in message["headers"])
                if stream:
                    self._count(scope, status, None)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            if not stream:
                self._count(scope, status, monotonic() - started_s)

    def _count(self, scope: Scope, status: int, duration_s: float | None) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._meters.answered(method, _route(scope), status, duration_s)


def _route(scope: Scope) -> str:
    """As it is declared, with its prefix; FastAPI has no public name for that, and a test holds on to this one."""
    if "route" not in scope:
        return "none"
    found = scope.get("fastapi", {}).get("effective_route_context") or scope["route"]
    return str(getattr(found, "path", "none"))
