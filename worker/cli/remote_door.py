"""Remote door: the tasks of a server, over its HTTP API."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from worker.cli import exit_codes, remote_values
from worker.cli.answer_fields import moment_ms, object_of
from worker.cli.door import Away, Busy, Door, Form
from worker.cli.event_stream import EventStream, StreamEvent
from worker.cli.failure import Failure, unknown
from worker.cli.moment import Moment
from worker.cli.pulled import Pulled
from worker.cli.remote_client import Client, NotFound, part
from worker.cli.remote_keyring import RemoteKeyring
from worker.cli.remote_roster import RemoteRoster
from worker.cli.verdict import Verdict, remote_verdict
from worker.model.answers import Cancelled, CancelOutcome
from worker.model.live_log import LiveEnd, LiveLines
from worker.model.status import Status
from worker.model.task import TASK_ID

if TYPE_CHECKING:
    from worker.cli.keyring import Keyring
    from worker.cli.registry.registry_door import RegistryDoor
    from worker.cli.roster import Roster
    from worker.cli.schedule_door import ScheduleDoor
    from worker.cli.server import Server
    from worker.cli.submitting import Accepted, Request
    from worker.cli.workflow_door import WorkflowDoor
    from worker.model.audit import AuditFilter, AuditPage
    from worker.model.listing import TaskPage
    from worker.model.live_log import LiveLogPart
    from worker.model.overview import Overview
    from worker.model.task import ArtifactRecord, Run, Task

# The most that a server gives at once.
_PAGE = 200
_PAYLOAD_BYTES = 64 * 1024 * 1024
_SOURCES = ("stdout", "stderr", "worker")
# Between two tries of what a broken connection has cut.
_TRIES = 5
_LONGEST_PAUSE_S = 5.0


class RemoteSite:
    """A server, and what is shown there to be let in."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Door]:
        async with Client(self.server) as client:
            yield RemoteDoor(client)

    @asynccontextmanager
    async def keys(self) -> AsyncIterator[Keyring]:
        async with Client(self.server) as client:
            yield RemoteKeyring(client)

    @asynccontextmanager
    async def workers(self) -> AsyncIterator[Roster]:
        async with Client(self.server) as client:
            yield RemoteRoster(client)

    @asynccontextmanager
    async def schedules(self) -> AsyncIterator[ScheduleDoor]:
        from worker.cli.remote_schedules import RemoteSchedules

        async with Client(self.server) as client:
            yield RemoteSchedules(client)

    @asynccontextmanager
    async def registry(self) -> AsyncIterator[RegistryDoor]:
        from worker.cli.registry.remote_registry import RemoteRegistry

        async with Client(self.server) as client:
            yield RemoteRegistry(client)

    async def available_files(self) -> list[dict[str, Any]]:
        from worker.cli.remote_documents import document

        async with Client(self.server) as client:
            found = await client.get("/scripts/available")
            files: list[dict[str, Any]] = client.read(lambda: document("available-files", found))["files"]
            return files

    @asynccontextmanager
    async def workflows(self) -> AsyncIterator[WorkflowDoor]:
        from worker.cli.remote_workflows import RemoteWorkflows

        async with Client(self.server) as client:
            yield RemoteWorkflows(client)

    async def declared_workflow(self, name: str) -> dict[str, Any] | None:
        return None

    async def verdict(self, token: str) -> Verdict:
        return await remote_verdict(self.server, token)

    async def scripts(self) -> list[dict[str, Any]]:
        async with Client(self.server) as client:
            found = await client.get("/scripts")
            return client.read(lambda: remote_values.scripts(found))

    async def script(self, name: str) -> dict[str, Any]:
        async with Client(self.server) as client:
            with _known_script(name):
                whole = await client.get(f"/scripts/{part(name)}")
                schema = await client.get(f"/scripts/{part(name)}/schema")
            return client.read(lambda: remote_values.script(whole, schema))

    async def file(self, name: str) -> str:
        async with Client(self.server) as client:
            return (await client.read_all("/files", {"name": name})).decode("utf-8", "replace")

    async def files(self, folder: str | None) -> tuple[list[dict[str, Any]], bool]:
        async with Client(self.server) as client:
            found = await client.get("/files/list", {} if folder is None else {"folder": folder})
            return client.read(lambda: remote_values.shared_files(found))

    async def form(self, script: str, *, typed: bool) -> Form:
        # How large a payload may be is for the server to say: here it only has to fit into memory.
        if not typed:
            return Form({}, _PAYLOAD_BYTES)
        async with Client(self.server) as client:
            with _known_script(script):
                schema = await client.get(f"/scripts/{part(script)}/schema")
            return Form(client.read(lambda: object_of(schema)), _PAYLOAD_BYTES)


class RemoteDoor:
    """For as long as its client is open."""

    patience_s = 120.0

    def __init__(self, client: Client) -> None:
        self._client = client

    async def task(self, task_id: str) -> Task:
        if not TASK_ID.match(task_id):
            raise _no_task(task_id)
        try:
            found = await self._client.get(f"/tasks/{task_id}")
        except NotFound:
            raise _no_task(task_id) from None
        return self._client.read(lambda: remote_values.task(found))

    async def tasks(self, *, script: str | None, status: Status | None, limit: int, before: str | None) -> TaskPage:
        from worker.model.listing import TaskPage

        query = {"script": script, "status": status and status.value}
        asked = {name: value for name, value in query.items() if value is not None}
        tasks: list[Task] = []
        while True:
            some = {**asked, "limit": str(min(_PAGE, limit - len(tasks))), **({"cursor": before} if before else {})}
            found = await self._client.get("/tasks", some)
            page = self._client.read(lambda found=found: remote_values.page(found))  # type: ignore[misc]
            tasks += page.tasks[: limit - len(tasks)]
            before = page.next
            if before is None or len(tasks) == limit:
                return TaskPage(tuple(tasks), page.total, before)

    async def submit(self, request: Request) -> Accepted:
        from worker.cli.submitting import Accepted

        if request.command:
            return await self._submit_command(request)
        options = request.options
        about: dict[str, Any] = {
            "id": request.task_id,
            "idempotencyKey": options.key,
            "priority": options.priority,
            "tags": list(options.tags),
            "dueAt": options.due.text if options.due else None,
            "deadline": options.deadline.text if options.deadline else None,
            "target": str(options.target).split(" ") if options.target else None,
        }
        head = json.dumps({name: value for name, value in about.items() if value})
        # The payload goes as it is: no number in it is to be read and written anew.
        body = head[:-1].encode() + b', "payload": ' + _one_object(request.payload) + b"}"
        with _known_script(request.script):
            found = await self._client.post(
                f"/scripts/{part(request.script)}/execute", body, {"async": "true"}, again=True
            )
        task_id, created = self._client.read(lambda: remote_values.accepted(found))
        return Accepted(task_id, created, True)

    async def _submit_command(self, request: Request) -> Accepted:
        from worker.cli.submitting import Accepted

        asked = json.loads(request.payload)
        timeout = {"timeout": asked.pop("maxRunTime")} if "maxRunTime" in asked else {}
        body = {**asked, **timeout, "id": request.task_id, "tags": list(request.options.tags)}
        target = part(str(request.options.target or "_any").replace(" ", ","))
        path = f"/workers/{target}/{request.script}"
        found = await self._client.post(path, body, {"async": "true"}, again=True)
        task_id, created = self._client.read(lambda: remote_values.accepted(found))
        return Accepted(task_id, created, True)

    async def rerun(self, task_id: str) -> Accepted:
        from worker.cli.submitting import Accepted

        if not TASK_ID.match(task_id):
            raise _no_task(task_id)
        try:
            found = await self._client.post(f"/tasks/{task_id}/rerun", {}, again=False)
        except NotFound:
            raise _no_task(task_id) from None
        new_id, created = self._client.read(lambda: remote_values.accepted(found))
        return Accepted(new_id, created, True)

    async def overview(self) -> Overview:
        found = await self._client.get("/status")
        return self._client.read(lambda: remote_values.overview(found))

    async def audit(
        self, wanted: AuditFilter, span: tuple[Moment | None, Moment | None], limit: int, before: str | None
    ) -> AuditPage:
        now_ms = time.time_ns() // 1_000_000
        asked: dict[str, Any] = {
            "who": wanted.who,
            "action": wanted.action,
            "target": wanted.target,
            "result": wanted.result,
            "since": span[0] and Moment(at_ms=span[0].before_ms(now_ms)).text,
            "until": span[1] and Moment(at_ms=span[1].before_ms(now_ms)).text,
            "limit": str(limit),
            "cursor": before,
        }
        found = await self._client.get("/audit", {name: value for name, value in asked.items() if value is not None})
        return self._client.read(lambda: remote_values.audit_page(found))

    async def cancel(self, task_ids: Sequence[str], *, why: str) -> AsyncIterator[tuple[str, Cancelled]]:
        for task_id in task_ids:
            yield task_id, await self._cancel(task_id, why)

    async def cancel_all(
        self, statuses: Sequence[Status], *, script: str | None, why: str
    ) -> AsyncIterator[tuple[str, Cancelled]]:
        for status in statuses:
            before: str | None = None
            while True:
                page = await self.tasks(script=script, status=status, limit=_PAGE, before=before)
                for task in page.tasks:
                    yield task.id, await self._cancel(task.id, why)
                before = page.next
                if before is None:
                    break

    async def live_log(self, task_id: str, run: int, after: str) -> AsyncGenerator[LiveLogPart, None]:
        place = after if after != "0" else f"{run}.pending"
        stream = EventStream()
        async with self._client.stream(f"/tasks/{task_id}/stream", headers={"Last-Event-ID": place}) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise self._client.not_ours("that is no stream of events")
            async for block in response.aiter_raw():
                for event in self._client.read(lambda block=block: list(stream.feed(block))):  # type: ignore[misc]
                    part = self._client.read(lambda event=event: _part_of(event, run))  # type: ignore[misc]
                    if part is not None:
                        yield part
                    if isinstance(part, LiveEnd):
                        return
        raise self._client.away("the stream ended too early")

    def kept_bytes(self, part_id: str) -> int | None:
        """Ids are `<run>.log.<lines>.<bytes of the kept log>`."""
        step = part_id.split(".")
        return int(step[3]) if len(step) == 4 and step[1] == "log" else None

    async def kept_log(self, task_id: str, run: Run, offset: int = 0) -> BinaryIO:
        path = f"/tasks/{task_id}/log"
        return await self._file(path, {"run": str(run.number)}, offset, run.log_bytes)

    async def artifact(self, task_id: str, run: Run, artifact: ArtifactRecord) -> BinaryIO:
        path = f"/tasks/{task_id}/artifacts/{'/'.join(map(part, artifact.name.split('/')))}"
        return await self._file(path, {"run": str(run.number)}, 0, artifact.size)

    async def _cancel(self, task_id: str, why: str) -> Cancelled:
        if not TASK_ID.match(task_id):
            return Cancelled(CancelOutcome.UNKNOWN)
        try:
            found = await self._client.post(f"/tasks/{task_id}/cancel", {"why": why}, again=True)
        except NotFound:
            return Cancelled(CancelOutcome.UNKNOWN)
        except Failure as failure:
            if failure.exit_code != exit_codes.DATA:
                raise
            task = await self.task(task_id)
            if not task.status.final:
                raise
            return Cancelled(CancelOutcome.FINAL, task.status, task.runs[-1].worker)
        return self._client.read(lambda: remote_values.cancelled(found))

    async def _file(self, path: str, query: dict[str, str], offset: int, size: int) -> BinaryIO:
        """Bytes `offset` to `size` of it, for a thread. FileNotFoundError when there is none."""
        blocks = self._bytes(path, query, offset, size)
        try:
            first = await anext(blocks, b"")
        except NotFound as error:
            raise FileNotFoundError(str(error)) from None
        return cast("BinaryIO", Pulled(blocks, first))

    async def _bytes(self, path: str, query: dict[str, str], offset: int, size: int) -> AsyncGenerator[bytes, None]:
        """Goes on where a broken connection has cut it. Never more than it should be."""
        tries = 0
        while offset < size:
            try:
                headers = {"Range": f"bytes={offset}-"} if offset else {}
                async with self._client.stream(path, query, headers) as response:
                    if offset and not response.headers.get("content-range", "").startswith(f"bytes {offset}-"):
                        raise self._client.not_ours("it sends another part than was asked for")
                    async for block in response.aiter_raw():
                        offset += len(block)
                        if offset > size:
                            raise self._client.not_ours("it sends more than it has recorded")
                        tries = 0
                        yield block
                if offset < size:
                    raise self._client.away("the answer ended too early")
            except (Away, Busy) as error:
                tries += 1
                if tries == _TRIES or error.after_s > _LONGEST_PAUSE_S:
                    raise
                await _pause(tries, error.after_s)


def _part_of(event: StreamEvent, run: int) -> LiveLogPart | None:
    """What an event of the stream means for who reads the log of that run; None: nothing."""
    from engine.log import Chunk

    if event.name not in ("log", "status", "done"):
        return None
    found = object_of(json.loads(event.data))
    number = found.get("runId")
    if type(number) is not int:
        raise ValueError("an event of no run")
    if event.name == "log" and number == run:
        source, line, time = found.get("source"), found.get("line"), found.get("time")
        if source not in _SOURCES or not isinstance(line, str):
            raise ValueError("not a line of a log")
        data = line.encode("utf-8", "replace") + (b"" if found.get("more") is True else b"\n")
        time_ms = moment_ms(time) if isinstance(time, str) else 0
        return LiveLines(event.id, Chunk(source, time_ms, data))
    if number > run:  # the run before it has ended, and what it was is in the record
        return LiveEnd(event.id, Status.EXCEPTION)
    if number == run and event.name != "log":
        status = Status(str(found.get("status")))
        if status.final:
            return LiveEnd(event.id, status)
    return None


def _one_object(payload: bytes) -> bytes:
    """JSON that cannot break out of the body around it. Raises PayloadError."""
    from engine.schema import parse_payload

    parse_payload(payload, max_bytes=len(payload))
    return payload


def _no_task(task_id: str) -> Failure:
    return Failure(exit_codes.NO_INPUT, f"no task {task_id[:100]!r}")


async def _pause(tries: int, least_s: float) -> None:
    import asyncio

    await asyncio.sleep(max(least_s, min(0.2 * 2**tries, _LONGEST_PAUSE_S)))


class _known_script:
    """A script that the server does not know is wrong usage, as it is here."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, NotFound):
            raise unknown("script", self._name, []) from None
