"""A client over a real connection that sends exactly what it is told, and a site whose API it talks to."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.system.conftest import Deployment, running_up
from tests.system.site import DEADLINE_S, eventually
from worker.config import load_settings
from worker.daemons.wiring import open_access, open_store
from worker.model.api_key import NewKey
from worker.model.audit import AuditEntry
from worker.model.worker import Pulse, WorkerCard, WorkerProcess
from worker.store.workers import Workers

BASE = "/api/v1"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """Status and code, of what has to be a problem document as it is promised."""
        assert self.headers["content-type"] == "application/problem+json", self
        found = self.json
        keys = {"type", "title", "status", "detail", "instance", "error", "message", "problems"}
        assert set(found) == keys, found
        assert found["status"] == self.status
        assert found["detail"] == found["message"]
        assert found["type"] == f"urn:penstock:error:{found['error']}"
        assert found["instance"] == f"urn:uuid:{self.headers['x-request-id']}"
        return self.status, found["error"]

    @property
    def pointers(self) -> list[str]:
        return [problem["pointer"] for problem in self.json["problems"]]


@dataclass(frozen=True)
class Api:
    """`key` None: nothing is proved."""

    host: str
    port: int
    key: str | None = None

    def with_key(self, key: str | None) -> Api:
        return replace(self, key=key)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=_named(headers))

    def post(self, path: str, value: Any = None, **headers: str) -> Answer:
        body = b"" if value is None else json.dumps(value).encode()
        return self.send("POST", path, body, {"Content-Type": "application/json", **_named(headers)})

    def put(self, path: str, value: Any, **headers: str) -> Answer:
        body = json.dumps(value).encode()
        return self.send("PUT", path, body, {"Content-Type": "application/json", **_named(headers)})

    def delete(self, path: str) -> Answer:
        return self.send("DELETE", path)

    def send(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE_S)
        try:
            proof = {"X-API-Key": self.key} if self.key else {}
            where = (
                path
                if path.startswith("/") and path.split("?")[0] in ("/healthz", "/readyz", "/metrics")
                else BASE + path
            )
            connection.request(method, where, body or None, {**proof, **(headers or {})})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """What comes back for these bytes until the server closes the connection."""
        with socket.create_connection((self.host, self.port), DEADLINE_S) as connection:
            connection.sendall(data)
            found = bytearray()
            try:
                while block := connection.recv(65536):
                    found += block
            except ConnectionResetError:
                pass  # it was closed before all was read
            return bytes(found)


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def running_api(deployment: Deployment) -> Iterator[Api]:
    """`penstock up` with its API, and a key that may do everything."""
    for _ in running_up(deployment, "--concurrency", "8"):
        log = deployment.home / "up-of-the-test.log"
        found = eventually(lambda: re.search(r"API listens on http://([0-9.]+):([0-9]+)", log.read_text()), "the API")
        first = deployment.home / ".penstock" / "api-key"
        eventually(first.exists, "the first key, which is made before the server serves")
        yield Api(found[1], int(found[2]), make_key(deployment, "all", "*"))


def make_key(deployment: Deployment, name: str, *scopes: str, role: str | None = None) -> str:
    async def make() -> str:
        settings = load_settings(deployment.home, environ={})
        async with open_store(settings) as store:
            made = await open_access(settings, store).keys.create(NewKey(name, frozenset(scopes), role))
            return made.text

    return asyncio.run(make())


def gone_worker(deployment: Deployment, name: str) -> None:
    """A worker that has ended."""
    card = WorkerCard(name, "i", WorkerProcess("elsewhere", 1), "0", (), ("penstock",), 1, 5000)

    async def leave() -> None:
        async with open_store(load_settings(deployment.home, environ={})) as store:
            await Workers(store.redis).enter(card, (), Pulse())
            await Workers(store.redis).leave(card, Pulse())

    asyncio.run(leave())


def audit_of(deployment: Deployment) -> tuple[AuditEntry, ...]:
    """The newest entries first."""

    async def read() -> tuple[AuditEntry, ...]:
        settings = load_settings(deployment.home, environ={})
        async with open_store(settings) as store:
            return (await open_access(settings, store).audit.read(limit=1000)).entries

    return asyncio.run(read())
