"""Remote client: requests to the API of a server, and what can go wrong with them as failures with an exit code.

What may be asked twice is asked again after a while. Redirects are not followed: the key is for one server only.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

import httpx2

from engine.errors import PayloadError, Problem
from worker.cli import exit_codes
from worker.cli.door import Away, Busy
from worker.cli.failure import Failure
from worker.cli.server import Server

_T = TypeVar("_T")
BASE = "/api/v1"
_TRIES = 3
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
# For a whole answer, however slowly it drips in.
_ANSWER_S = 60.0
# Far above the largest document: a task with all of its runs and its payload.
_ANSWER_BYTES = 64 * 1024 * 1024
_PROBLEM_BYTES = 1024 * 1024
# Comments come every 15 seconds where nothing else does.
_SILENCE_S = 45.0


class NotFound(Failure):
    """There is nothing of that name, says the server."""

    def __init__(self, message: str) -> None:
        super().__init__(exit_codes.NO_INPUT, message)


class Forbidden(Failure):
    """The key is known, and may not do that."""

    def __init__(self, message: str) -> None:
        super().__init__(exit_codes.NOT_ALLOWED, f"not allowed: {message}")


class Unproven(Failure):
    """The key or token is not accepted."""

    def __init__(self, message: str) -> None:
        super().__init__(exit_codes.NOT_ALLOWED, message)


class Conflict(Failure):
    """What is there does not allow it, says the server. `code` says which: see docs/api.md."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(exit_codes.DATA, f"conflict: {message}")


class Client:
    """For one event loop; use it as a context manager."""

    def __init__(self, server: Server) -> None:
        self._server = server
        headers = {"Accept-Encoding": "identity", "User-Agent": "penstock"}
        if server.key is not None:
            headers["Authorization"] = f"Bearer {server.key}"
        self._http = httpx2.AsyncClient(
            base_url=server.url,
            headers=headers,
            timeout=httpx2.Timeout(30.0, connect=10.0),
            # Where nothing is encrypted: one that trusts nobody, and does not have to read whom to trust.
            verify=ssl.create_default_context() if server.encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            # A proxy of the environment would read what is not encrypted.
            trust_env=server.encrypted,
            follow_redirects=False,
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    @property
    def url(self) -> str:
        return self._server.url

    async def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The JSON of the answer."""
        return await self._patiently("GET", path, query, None)

    async def post(
        self, path: str, body: Mapping[str, Any] | bytes, query: Mapping[str, Any] | None = None, *, again: bool
    ) -> Any:
        """`again`: the same request twice does no more than once, so that it is repeated when no answer came."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        if again:
            return await self._patiently("POST", path, query, data)
        return await self._json("POST", path, query, data)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Twice is the same as once, so that it is repeated when no answer came."""
        return await self._patiently("PATCH", path, None, json.dumps(body).encode())

    async def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Not repeated: each counts as a version."""
        return await self._json("PUT", path, None, json.dumps(body).encode())

    async def delete(self, path: str, *, again: bool = True) -> None:
        """`again`: as with `post`."""
        await (self._patiently if again else self._json)("DELETE", path, None, None)

    def read(self, values: Callable[[], _T]) -> _T:
        """What a server of ours cannot have sent is told as that."""
        try:
            return values()
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise self.not_ours(str(error)[:200]) from None

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """An answer whose bytes are read as they come; it has the status 200 or 206. Not repeated."""
        timeout = httpx2.Timeout(30.0, connect=10.0, read=_SILENCE_S)
        with self._failures():
            request = self._http.build_request("GET", BASE + path, params=query, headers=headers, timeout=timeout)
            response = await self._http.send(request, stream=True)
            try:
                if response.status_code not in (200, 206):
                    await self._refused(response)
                self._check_encoding(response)
                yield response
            finally:
                await response.aclose()

    async def read_all(self, path: str, query: Mapping[str, Any]) -> bytes:
        """The bytes of an answer that is no JSON."""
        with self._failures():
            async with asyncio.timeout(_ANSWER_S), self.stream(path, query) as response:
                return await self._read(response, _ANSWER_BYTES)

    def not_ours(self, why: str) -> Failure:
        """For an answer that no server of ours gives."""
        return Failure(exit_codes.UNAVAILABLE, f"{self.url} does not answer as a Penstock API does: {why}")

    def away(self, why: str) -> Away:
        return Away("the server", f"the server at {self.url} does not answer: {why}")

    async def _patiently(self, method: str, path: str, query: Mapping[str, Any] | None, body: bytes | None) -> Any:
        for number in range(_TRIES):
            try:
                return await self._json(method, path, query, body)
            except (Away, Busy) as error:
                if number == _TRIES - 1:
                    raise
                pause_s = _FIRST_PAUSE_S * 3**number * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
                if error.after_s > _LONGEST_PAUSE_S:
                    raise
                await asyncio.sleep(max(pause_s, error.after_s))
        raise AssertionError("unreachable")

    async def _json(self, method: str, path: str, query: Mapping[str, Any] | None, body: bytes | None) -> Any:
        headers = {"Content-Type": "application/json"} if body is not None else None
        with self._failures():
            async with asyncio.timeout(_ANSWER_S):
                request = self._http.build_request(method, BASE + path, params=query, content=body, headers=headers)
                response = await self._http.send(request, stream=True)
                try:
                    if not 200 <= response.status_code < 300:
                        await self._refused(response)
                    self._check_encoding(response)
                    data = await self._read(response, _ANSWER_BYTES)
                finally:
                    await response.aclose()
        if response.status_code == 204 or (response.status_code == 201 and not data):
            return None
        return self._parsed(data)

    async def _read(self, response: httpx2.Response, most: int) -> bytes:
        data = bytearray()
        async for block in response.aiter_raw():
            data += block
            if len(data) > most:
                raise self.not_ours("it sends far too much")
        return bytes(data)

    def _parsed(self, data: bytes) -> Any:
        try:
            return json.loads(data, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise self.not_ours("that is no JSON") from None

    def _check_encoding(self, response: httpx2.Response) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self.not_ours("it encodes what was to be plain")

    async def _refused(self, response: httpx2.Response) -> NoReturn:
        """Raises what the status means."""
        status = response.status_code
        if 300 <= status < 400:
            raise Failure(
                exit_codes.DATA, f"{self.url} redirects to elsewhere, which is not followed: is the address right?"
            )
        if status in (502, 504):
            raise self.away(f"a proxy on the way says {status}")
        code, message, problems = await self._problem(response)
        match status:
            case 401:
                what = "the server does not accept the API key" if self._server.key else "the server wants an API key"
                hint = "give one by PENSTOCK_API_KEY, PENSTOCK_API_KEY_FILE or `penstock login`"
                raise Unproven(f"{what}: {hint}")
            case 403:
                raise Forbidden(message)
            case 404 if code is None:
                raise self.not_ours("it knows nothing of /api/v1")
            case 404:
                raise NotFound(message)
            case 400 if code in ("script-disabled", "browser-only"):
                raise Failure(exit_codes.NOT_ALLOWED, message)
            case 409 if code == "no-worker":
                raise Failure(exit_codes.NO_INPUT, message)
            case 409 if code == "workflow-disabled":
                raise Failure(exit_codes.NOT_ALLOWED, message)
            case 409:
                raise Conflict(code or "", message)
            case 408 | 429 | 503:
                raise Busy("the server", f"try again later: {message}", _seconds(response.headers.get("retry-after")))
            case 400 | 413 | 415 | 422 if problems:
                raise PayloadError(problems)
            case 400 | 413 | 415 | 422:
                raise Failure(exit_codes.DATA, message)
        raise Failure(exit_codes.SOFTWARE, f"the server answers with {status}: {message}")

    async def _problem(self, response: httpx2.Response) -> tuple[str | None, str, list[Problem]]:
        """Code, message and problems of a problem document; no code when it is none."""
        none = (None, "it says no more", list[Problem]())
        try:
            found = json.loads(await self._read(response, _PROBLEM_BYTES))
        except (ValueError, RecursionError):
            return none
        if not isinstance(found, dict) or not isinstance(found.get("error"), str):
            return none
        listed = found.get("problems")
        problems = [
            Problem(each["message"][:2000], each["pointer"][:500])
            for each in (listed if isinstance(listed, list) else [])[:1000]
            if isinstance(each, dict) and isinstance(each.get("message"), str) and isinstance(each.get("pointer"), str)
        ]
        message = found.get("message")
        return found["error"][:100], message[:2000] if isinstance(message, str) else none[1], problems

    def _failures(self) -> _Failures:
        return _Failures(self)


class _Failures:
    """Turns what the library raises into failures of ours. Its own texts name hosts and reasons, never headers."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        match error:
            case None:
                return
            case TimeoutError() | httpx2.TimeoutException():
                raise self._client.away("no answer in time") from None
            case httpx2.RequestError():
                if fault := _certificate(error):
                    message = f"the certificate of {self._client.url} is not trusted: {fault}"
                    raise Failure(exit_codes.UNAVAILABLE, message) from None
                raise self._client.away(str(error) or type(error).__name__) from None
            case httpx2.InvalidURL() | httpx2.StreamError() | UnicodeError():
                raise self._client.not_ours(type(error).__name__) from None


def _certificate(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return None


def part(text: str) -> str:
    """Of a path; dots do not climb."""
    return quote(text, safe="").replace(".", "%2E") if text.strip(".") == "" else quote(text, safe="")


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)
