"""Remote workflows: those of a server, over its HTTP API. The server records what is done with them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from worker.cli import exit_codes
from worker.cli.answer_fields import object_of
from worker.cli.door import Form
from worker.cli.failure import Failure, unknown
from worker.cli.remote_client import Client, Conflict, NotFound, part
from worker.cli.remote_documents import document
from worker.cli.remote_values import flag, identifier
from worker.cli.workflow_door import Started
from worker.model.task import TASK_ID
from worker.model.workflow_run import WORKFLOW_NAME

# How large a payload may be is for the server to say: here it only has to fit into memory.
_PAYLOAD_BYTES = 64 * 1024 * 1024


class RemoteWorkflows:
    """For as long as its client is open."""

    patience_s = 120.0

    def __init__(self, client: Client) -> None:
        self._client = client

    async def find(self, name: str) -> dict[str, Any] | None:
        if not WORKFLOW_NAME.match(name):
            return None
        try:
            found = await self._client.get(f"/workflows/{part(name)}")
        except NotFound:
            return None
        return self._client.read(lambda: document("workflow-details", found))

    async def runs(self, workflow: str | None, status: str | None, limit: int) -> dict[str, Any]:
        asked = {"workflow": workflow, "status": status, "limit": str(limit)}
        found = await self._client.get(
            "/workflow-runs", {name: value for name, value in asked.items() if value is not None}
        )
        return self._client.read(lambda: document("workflow-runs", found))

    async def run(self, run_id: str) -> dict[str, Any]:
        if not TASK_ID.match(run_id):
            raise _no_run(run_id)
        try:
            found = await self._client.get(f"/workflow-runs/{run_id}")
        except NotFound:
            raise _no_run(run_id) from None
        return self._client.read(lambda: document("workflow-run", found))

    async def start(self, name: str, parameters: Sequence[str], source: str | None, run_id: str | None) -> Started:
        from engine.schema import parse_payload
        from worker.cli.payload import payload_from

        schema: dict[str, Any] = {}
        if parameters:
            found = await self.find(name)
            if found is None:
                raise unknown("workflow", name, [])
            schema = self._client.read(lambda: object_of(found["definition"].get("schema", {})))
        payload = payload_from(parameters, source, form=Form(schema, _PAYLOAD_BYTES))
        # JSON that cannot break out of the body around it; it goes as it is.
        parse_payload(payload, max_bytes=len(payload))
        # An id of its own before it is sent: one whose answer was lost is not started twice.
        head = json.dumps({"id": run_id or str(uuid.uuid4())})
        body = head[:-1].encode() + b', "payload": ' + payload + b"}"
        try:
            answer = await self._client.post(f"/workflows/{part(name)}/execute", body, again=True)
        except NotFound:
            raise unknown("workflow", name, []) from None
        return self._started(answer)

    async def rerun(self, run_id: str) -> Started:
        if not TASK_ID.match(run_id):
            raise _no_run(run_id)
        try:
            return self._started(await self._client.post(f"/workflow-runs/{run_id}/rerun", {}, again=False))
        except NotFound:
            raise _no_run(run_id) from None

    async def cancel(self, run_id: str, why: str) -> tuple[str, str]:
        if not TASK_ID.match(run_id):
            raise _no_run(run_id)
        try:
            answer = await self._client.post(f"/workflow-runs/{run_id}/cancel", {"why": why}, again=True)
        except NotFound:
            raise _no_run(run_id) from None
        except Conflict as conflict:
            if conflict.code != "final":
                raise
            return "final", (await self.run(run_id))["status"]
        found = self._client.read(lambda: document("workflow-cancel", answer))
        return found["outcome"], found["status"]

    async def list(self) -> list[dict[str, Any]]:
        found = await self._client.get("/workflows")
        workflows: list[dict[str, Any]] = self._client.read(lambda: document("workflows", found))["workflows"]
        return workflows

    def _started(self, found: Any) -> Started:
        return self._client.read(lambda: Started(identifier(found, "runId"), flag(found, "created")))


def _no_run(run_id: str) -> Failure:
    return Failure(exit_codes.NO_INPUT, f"no workflow run {run_id[:100]!r}")
