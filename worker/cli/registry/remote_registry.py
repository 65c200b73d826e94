"""Remote registry: the registered scripts of a server, over its HTTP API. The server records what is done with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.script.load import NAME
from worker.cli import exit_codes
from worker.cli.answer_fields import object_of
from worker.cli.failure import Failure
from worker.cli.remote_client import Client, Conflict, NotFound
from worker.cli.remote_documents import document
from worker.model.registration import Registration


class RemoteRegistry:
    """For as long as its client is open."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def history(self, name: str) -> list[dict[str, Any]]:
        try:
            found = await self._client.get(f"/scripts/{_named(name)}/versions")
        except NotFound:
            return []
        versions: list[dict[str, Any]] = self._client.read(lambda: document("script-versions", found))["versions"]
        return versions

    async def version(self, name: str, number: int) -> dict[str, Any]:
        try:
            return self._read(await self._client.get(f"/scripts/{_named(name)}/versions/{number}"))
        except NotFound:
            message = f"no version {number} of the script {name[:100]} is registered"
            raise Failure(exit_codes.NO_INPUT, message) from None

    async def diff(self, name: str, one: int, other: int) -> str:
        try:
            found = await self._client.get(f"/scripts/{_named(name)}/diff", {"from": str(one), "to": str(other)})
        except NotFound:
            message = f"the script {name[:100]} has no such two versions"
            raise Failure(exit_codes.NO_INPUT, message) from None
        return self._client.read(lambda: _text(object_of(found)["diff"]))

    async def register(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        with _refusals(name, also="conflict"):
            # Not again when no answer came: the one that was made would be told as a conflict.
            return self._read(await self._client.post("/scripts", {**asked, "name": name}, again=False))

    async def update(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        with _refusals(name):
            return self._read(await self._client.put(f"/scripts/{_named(name)}", asked))

    async def delete(self, name: str) -> int:
        with _refusals(name):
            await self._client.delete(f"/scripts/{_named(name)}", again=False)
        newest: int = (await self._newest(name))["version"]
        return newest

    async def to_approve(self, name: str) -> Registration:
        from worker.cli.notice import notice

        newest = await self._newest(name)
        if newest["removed"]:
            raise _unknown(name)
        found = await self.version(name, newest["version"])
        registration = Registration(name, found["version"], found["declaration"], by=found["registeredBy"])
        # Who approves signs what was shown, whatever the server calls it.
        if registration.digest != found["digest"]:
            raise self._client.not_ours("its digest is not that of what the script declares")
        if registration.path is not None:
            notice(f"{registration.path} is on the server, and cannot be looked at here; its SHA-256 is what counts")
        return registration

    async def approve(self, found: Registration, approval: str) -> None:
        with _refusals(found.name):
            await self._client.post(f"/scripts/{_named(found.name)}/approvals", {"approval": approval}, again=False)

    async def _newest(self, name: str) -> dict[str, Any]:
        versions = await self.history(name)
        if not versions:
            raise _unknown(name)
        return versions[0]

    def _read(self, found: Any) -> dict[str, Any]:
        return self._client.read(lambda: document("script-version", found))


def _named(name: str) -> str:
    if not NAME.fullmatch(name):
        raise Failure(exit_codes.USAGE, f"not a script name: {name[:100]!r}")
    return name


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise ValueError("not a text")
    return found


def _unknown(name: str) -> Failure:
    return Failure(exit_codes.NO_INPUT, f"no script {name[:100]} is registered")


@contextmanager
def _refusals(name: str, *, also: str = "") -> Iterator[None]:
    """As they are told here. `also`: the code of a conflict with a script that is there already."""
    try:
        yield
    except NotFound:
        raise _unknown(name) from None
    except Conflict as error:
        if error.code not in ("declared-in-file", also):
            raise
        raise Failure(exit_codes.NOT_ALLOWED, *error.messages) from None
