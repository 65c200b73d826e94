"""Remote schedules: those of a server, over its HTTP API. The server records what is done with them."""

from __future__ import annotations

import json
from typing import Any

from worker.cli import exit_codes
from worker.cli.answer_fields import object_of
from worker.cli.door import Form
from worker.cli.failure import Failure
from worker.cli.remote_client import Client, NotFound, part
from worker.cli.remote_documents import document
from worker.cli.remote_values import identifier
from worker.cli.schedule_door import Given

# How large a payload may be is for the server to say: here it only has to fit into memory.
_PAYLOAD_BYTES = 64 * 1024 * 1024


class RemoteSchedules:
    """For as long as its client is open."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def list(self) -> list[dict[str, Any]]:
        found = await self._client.get("/schedules")
        schedules: list[dict[str, Any]] = self._client.read(lambda: document("schedules", found))["schedules"]
        return schedules

    async def show(self, name: str) -> dict[str, Any]:
        with _known(name):
            return self._read(await self._client.get(f"/schedules/{part(name)}"))

    async def create(self, name: str, given: Given) -> dict[str, Any]:
        asked = {**given.fields, "payload": await self._payload(given.fields, given)}
        # Not again when no answer came: the one that was made would be told as a conflict.
        return self._read(await self._client.post("/schedules", {"name": name, **asked}, again=False))

    async def update(self, name: str, given: Given) -> dict[str, Any]:
        asked = dict(given.fields)
        with _known(name):
            if given.payload:
                target = given.fields if {"script", "workflow"} & given.fields.keys() else await self.show(name)
                asked["payload"] = await self._payload(target, given)
            return self._read(await self._client.patch(f"/schedules/{part(name)}", asked))

    async def switch(self, name: str, *, enabled: bool) -> None:
        with _known(name):
            verb = "enable" if enabled else "disable"
            await self._client.post(f"/schedules/{part(name)}/{verb}", {}, again=True)

    async def delete(self, name: str) -> None:
        with _known(name):
            # Not again when no answer came: the second would not know it any more.
            await self._client.delete(f"/schedules/{part(name)}", again=False)

    async def trigger(self, name: str) -> str:
        with _known(name):
            found = await self._client.post(f"/schedules/{part(name)}/trigger", {}, again=False)
        return self._client.read(lambda: identifier(found, "taskId", "runId"))

    async def _payload(self, target: dict[str, Any], given: Given) -> dict[str, Any]:
        from worker.cli.payload import payload_from

        form = Form(await self._schema(target) if given.parameters else {}, _PAYLOAD_BYTES)
        payload: dict[str, Any] = json.loads(payload_from(given.parameters, given.source, form=form))
        return payload

    async def _schema(self, target: dict[str, Any]) -> dict[str, Any]:
        """By which `-p` is typed; of what is not there none, which is told with all else that is wrong."""
        try:
            if target.get("script"):
                found = await self._client.get(f"/scripts/{part(target['script'])}/schema")
            elif target.get("workflow"):
                whole = object_of(await self._client.get(f"/workflows/{part(target['workflow'])}"))
                found = object_of(whole.get("definition")).get("schema", {})
            else:
                return {}
        except NotFound:
            return {}
        return self._client.read(lambda: object_of(found))

    def _read(self, found: Any) -> dict[str, Any]:
        return self._client.read(lambda: document("schedule-details", found))


class _known:
    """A schedule that the server does not know is told as it is here."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, NotFound):
            raise Failure(exit_codes.NO_INPUT, "there is no such schedule") from None
