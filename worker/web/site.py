"""Site: what is asked for outside of the API. ASGI, without a framework: it says the same to everybody."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from worker.web.assets import Asset, Assets

# What is the API's. All else is a page, a file of the page, or nothing.
_API = ("/api/", "/healthz", "/readyz", "/metrics")
_NAME = r"[^/]+"
_PAGES = re.compile(
    r"/(?:(?:scripts|tasks|workflows|schedules|workers)(?:/" + _NAME + r")?"
    r"|workflow-runs/" + _NAME + r"|keys|audit|register|login)?\Z"
)
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Vary": "Accept-Encoding",
}
# The shell is asked for each time, and mostly answered with 304; a file has another path when it changes.
_FRESH, _FOREVER = "no-cache", "public, max-age=31536000, immutable"
_TEXT = "text/plain; charset=utf-8"


class Site:
    """The page in front of the API."""

    def __init__(self, api: ASGIApp, assets: Assets) -> None:
        self._api = api
        self._assets = assets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_API):
            await self._api(scope, receive, send)
            return
        path: str = scope["path"]
        file = self._assets.files.get(path.removeprefix(self._assets.base + "/"))
        if scope["method"] not in ("GET", "HEAD"):
            await _tell(scope, send, 405, "the page is only read", ("Allow", "GET, HEAD"))
        elif file is not None and path.startswith(self._assets.base):
            await _answer(scope, send, file, _FOREVER)
        elif path.startswith("/assets/") or path == "/favicon.ico":
            await _tell(scope, send, 404, "there is no such file")
        else:
            # The page itself says that there is nothing, with its way back.
            await _answer(scope, send, self._assets.shell, _FRESH, 200 if _PAGES.match(path) else 404)


async def _answer(scope: Scope, send: Send, asset: Asset, caching: str, status: int = 200) -> None:
    asked = {name: value.decode("latin-1") for name, value in scope["headers"]}
    packed = "gzip" in asked.get(b"accept-encoding", "")
    tag = f'"{asset.tag}{"-gz" if packed else ""}"'
    headers = {"Cache-Control": caching, "ETag": tag}
    if status == 200 and tag in (each.strip() for each in asked.get(b"if-none-match", "").split(",")):
        await _send(scope, send, 304, headers, b"")
        return
    body = asset.packed if packed else asset.content
    headers |= {"Content-Type": asset.type, "Content-Length": str(len(body))}
    if packed:
        headers["Content-Encoding"] = "gzip"
    await _send(scope, send, status, headers, body)


async def _tell(scope: Scope, send: Send, status: int, text: str, *more: tuple[str, str]) -> None:
    body = f"{text}\n".encode()
    headers = {"Content-Type": _TEXT, "Content-Length": str(len(body)), "Cache-Control": "no-store", **dict(more)}
    await _send(scope, send, status, headers, body)


async def _send(scope: Scope, send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    pairs = [(name.lower().encode(), value.encode()) for name, value in {**_HEADERS, **headers}.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
