"""Local door: the deployment in a folder of this machine, its store and its files."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from worker.cli import exit_codes
from worker.cli.deployment import opened, script_of, store_failures
from worker.cli.door import Door, Form
from worker.cli.failure import Failure

if TYPE_CHECKING:
    from worker.broker import Publisher
    from worker.cli.keyring import Keyring
    from worker.cli.moment import Moment
    from worker.cli.registry.registry_door import RegistryDoor
    from worker.cli.roster import Roster
    from worker.cli.schedule_door import ScheduleDoor
    from worker.cli.submitting import Accepted, Request
    from worker.cli.verdict import Verdict
    from worker.cli.workflow_door import WorkflowDoor
    from worker.config import Settings
    from worker.daemons.wiring import Deployment, Store
    from worker.model.answers import Cancelled
    from worker.model.audit import AuditEntry, AuditFilter, AuditPage, Result
    from worker.model.listing import TaskPage
    from worker.model.live_log import LiveLogPart
    from worker.model.overview import Overview
    from worker.model.status import Status
    from worker.model.task import ArtifactRecord, Run, Task


class LocalSite:
    """Reads the deployment when it is first asked for something, and once."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @cached_property
    def settings(self) -> Settings:
        """Raises DeclarationError."""
        from worker.config import load_settings

        return load_settings(self.home)

    @cached_property
    def deployment(self) -> Deployment:
        """Raises DeclarationError with every problem of the settings and of all scripts."""
        from worker.daemons.wiring import open_deployment

        return open_deployment(self.home)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Door]:
        async with opened(self.settings) as store:
            yield LocalDoor(self, store)

    async def catch_up(self, name: str | None = None, store: Store | None = None) -> None:
        """See registered scripts too, if the store can be asked; not when a file declares that one."""
        from worker.cli.notice import notice
        from worker.daemons.wiring import registered_scripts

        deployment = self.deployment
        if name is not None and deployment.catalog.declares(name):
            return
        if store is not None:
            await registered_scripts(deployment, store).look()
            return
        try:
            async with opened(self.settings) as found:
                await registered_scripts(deployment, found).look()
        except Failure as error:
            # An embedded store that does not run is no news.
            if not self.settings.embedded:
                notice(f"registered scripts are not seen: {error}")

    @asynccontextmanager
    async def keys(self) -> AsyncIterator[Keyring]:
        from worker.cli.local_keyring import LocalKeyring

        async with opened(self.settings) as store:
            yield LocalKeyring(self.settings, store)

    @asynccontextmanager
    async def workers(self) -> AsyncIterator[Roster]:
        from worker.cli.local_roster import LocalRoster

        async with opened(self.settings) as store:
            yield LocalRoster(self.settings, store, lambda: self._publisher(store))

    def _publisher(self, store: Store) -> Publisher:
        """What is wrong with a script keeps nobody from a worker, as far as that is possible."""
        from worker.broker import RedisPublisher
        from worker.daemons.sources import publisher

        return RedisPublisher(store.broker) if store.broker is not None else publisher(self.deployment, store)

    @asynccontextmanager
    async def schedules(self) -> AsyncIterator[ScheduleDoor]:
        from worker.cli.local_schedules import local_schedules

        async with local_schedules(self.home) as schedules:
            yield schedules

    @asynccontextmanager
    async def registry(self) -> AsyncIterator[RegistryDoor]:
        from worker.cli.registry.local_registry import local_registry

        async with local_registry(self.home) as registry:
            yield registry

    async def available_files(self) -> list[dict[str, Any]]:
        from worker.config.available import available
        from worker.model.times import known_time
        from worker.operations.registered_scripts import named_files

        await self.catch_up()
        return [
            {"path": f.path, "name": f.name, "kind": f.kind, "size": f.size, "modifiedAt": known_time(f.modified_ms)}
            for f in available(self.home, named_files(self.deployment.catalog))
        ]

    @asynccontextmanager
    async def workflows(self) -> AsyncIterator[WorkflowDoor]:
        from worker.cli.local_workflows import local_workflows

        async with local_workflows(self.home) as workflows:
            yield workflows

    async def declared_workflow(self, name: str) -> dict[str, Any] | None:
        from worker.cli.local_workflows import workflow_of_file

        return workflow_of_file(self.home, name)

    async def verdict(self, token: str) -> Verdict:
        from worker.cli.verdict import local_verdict

        return local_verdict(self.settings, token)

    async def scripts(self) -> list[dict[str, Any]]:
        from worker.config.script_document import script_summary

        await self.catch_up()
        deployment = self.deployment
        return [script_summary(prepared, deployment.settings.default_queue) for prepared in deployment.catalog]

    async def script(self, name: str) -> dict[str, Any]:
        from worker.config.script_document import script_details, script_summary

        await self.catch_up(name)
        prepared = script_of(self.deployment.catalog, name)
        return {**script_summary(prepared, self.deployment.settings.default_queue), **script_details(prepared)}

    async def file(self, name: str) -> str:
        from worker.operations.shared_files import NoSharedFile, NotText, TooLarge, read_shared

        api = self.settings.api
        try:
            return read_shared(api.folders, name, max_bytes=api.max_file)
        except NoSharedFile as error:
            raise Failure(exit_codes.NO_INPUT, str(error)) from None
        except (NotText, TooLarge) as error:
            raise Failure(exit_codes.DATA, str(error)) from None

    async def files(self, folder: str | None) -> tuple[list[dict[str, Any]], bool]:
        from worker.operations.shared_files import NoSharedFile, list_all

        try:
            found, complete = list_all(self.settings.api.folders, folder)
        except NoSharedFile as error:
            raise Failure(exit_codes.NO_INPUT, str(error)) from None
        return [file.document() for file in found], complete

    async def form(self, script: str, *, typed: bool) -> Form:
        await self.catch_up(script)
        prepared = script_of(self.deployment.catalog, script)
        if not prepared.script.enabled:
            raise Failure(exit_codes.NOT_ALLOWED, f"the script {script} is disabled")
        return Form(prepared.schema.document, prepared.script.limits.payload_bytes)


class LocalDoor:
    """For as long as its store is open."""

    patience_s = 15.0

    def __init__(self, site: LocalSite, store: Store) -> None:
        self._site = site
        self._store = store

    async def task(self, task_id: str) -> Task:
        from worker.model.task import TASK_ID

        with store_failures():
            task = await self._store.records.get(task_id) if TASK_ID.match(task_id) else None
        if task is None:
            raise Failure(exit_codes.NO_INPUT, f"no task {task_id[:100]!r}")
        return task

    async def tasks(self, *, script: str | None, status: Status | None, limit: int, before: str | None) -> TaskPage:
        with store_failures():
            return await self._store.records.list(script=script, status=status, limit=limit, before=before)

    async def _submit_command(self, request: Request) -> Accepted:
        from worker.cli.local import entry, local_principal, record
        from worker.cli.submitting import Accepted
        from worker.config.commands import asked_commands
        from worker.daemons.sources import publisher
        from worker.daemons.wiring import fleet_of
        from worker.operations.address import NobodyMeant
        from worker.operations.command import audited, submit_command

        deployment, options = self._site.deployment, request.options
        detail = audited(str(options.target or "_any"), request.task_id, request.payload)
        done = False
        with store_failures():
            try:
                submitted = await submit_command(
                    asked_commands()[request.script],
                    request.payload,
                    target=options.target,
                    fleet=fleet_of(deployment.settings, self._store),
                    records=self._store.records,
                    publisher=publisher(deployment, self._store),
                    trigger="cli",
                    principal=local_principal(),
                    address=None,
                    task_id=request.task_id,
                    tags=options.tags,
                )
                done = True
            except NobodyMeant as error:
                raise Failure(exit_codes.NO_INPUT, str(error)) from None
            finally:
                action = f"commands.{request.script}"
                said = entry(action, request.script, done=done, detail=detail)
                await record(deployment.settings, self._store, [said])
        return Accepted(submitted.task_id, submitted.created, True)

    async def submit(self, request: Request) -> Accepted:
        if request.command:
            return await self._submit_command(request)
        from engine.errors import PayloadError
        from worker.broker import BrokerAway
        from worker.cli.local import local_principal
        from worker.cli.notice import notice
        from worker.cli.submitting import Accepted
        from worker.daemons.sources import publisher
        from worker.daemons.wiring import fleet_of
        from worker.operations.address import NobodyMeant
        from worker.operations.submit import Conflict, RunsInPage, ScriptDisabled, submit

        deployment, options = self._site.deployment, request.options
        with store_failures():
            await self._site.catch_up(request.script, self._store)
            due_at, deadline = request.times(await self._now_ms() if options.due or options.deadline else 0)
            try:
                submitted = await submit(
                    script_of(deployment.catalog, request.script),
                    request.payload,
                    records=self._store.records,
                    publisher=publisher(deployment, self._store),
                    default_queue=deployment.settings.default_queue,
                    trigger="cli",
                    principal=local_principal(),
                    task_id=request.task_id,
                    tags=options.tags,
                    priority=options.priority,
                    due_at=due_at,
                    deadline=deadline,
                    key=options.key,
                    target=options.target,
                    fleet=fleet_of(deployment.settings, self._store),
                )
            except Conflict as error:
                await self._audit_submit(request, "failed", "conflict")
                raise Failure(exit_codes.DATA, f"conflict: {error}") from None
            except NobodyMeant as error:
                await self._audit_submit(request, "failed", str(error))
                raise Failure(exit_codes.NO_INPUT, str(error)) from None
            except (ScriptDisabled, RunsInPage) as error:
                await self._audit_submit(request, "failed", str(error))
                raise Failure(exit_codes.NOT_ALLOWED, str(error)) from None
            except PayloadError as error:
                await self._audit_submit(request, "failed", f"malformed payload, {len(error.problems)} problems")
                raise
            except BrokerAway:
                await self._audit_submit(request, "allowed", request.task_id)
                # The error's text may hold the URL with its password.
                notice("the task is recorded, but the broker cannot be reached; a worker publishes it when it is back")
                return Accepted(request.task_id, True, False)
            await self._audit_submit(request, "allowed", submitted.task_id, submitted.digest)
        return Accepted(submitted.task_id, submitted.created, True)

    async def rerun(self, task_id: str) -> Accepted:
        from worker.broker import BrokerAway
        from worker.cli.local import entry, local_principal
        from worker.cli.submitting import Accepted
        from worker.daemons.sources import publisher
        from worker.daemons.wiring import fleet_of
        from worker.operations.address import NobodyMeant
        from worker.operations.rerun import NotFinal, PayloadForgotten, rerun
        from worker.operations.submit import ScriptDisabled

        deployment, task, new_id = self._site.deployment, await self.task(task_id), str(uuid.uuid4())
        with store_failures():
            await self._site.catch_up(task.script, self._store)
        prepared = script_of(deployment.catalog, task.script)
        published = True
        with store_failures():
            try:
                await rerun(
                    task,
                    prepared,
                    records=self._store.records,
                    publisher=publisher(deployment, self._store),
                    default_queue=deployment.settings.default_queue,
                    trigger="cli",
                    principal=local_principal(),
                    address=None,
                    task_id=new_id,
                    fleet=fleet_of(deployment.settings, self._store),
                )
            except NobodyMeant as error:
                raise Failure(exit_codes.NO_INPUT, str(error)) from None
            except (NotFinal, PayloadForgotten) as error:
                raise Failure(exit_codes.DATA, f"conflict: {error}") from None
            except ScriptDisabled as error:
                raise Failure(exit_codes.NOT_ALLOWED, str(error)) from None
            except BrokerAway:
                published = False
            await self._record([entry("tasks.rerun", task_id, detail=new_id)])
        return Accepted(new_id, True, published)

    async def overview(self) -> Overview:
        from worker.daemons.sources import publisher
        from worker.operations.overview import overview
        from worker.store.workers import Workers

        deployment = self._site.deployment
        with store_failures():
            return await overview(
                self._store.records,
                publisher(deployment, self._store),
                Workers(self._store.redis),
                deployment.catalog,
                deployment.settings.default_queue,
            )

    async def audit(
        self, wanted: AuditFilter, span: tuple[Moment | None, Moment | None], limit: int, before: str | None
    ) -> AuditPage:
        from msgspec.structs import replace

        from worker.daemons.wiring import open_audit

        with store_failures():
            now = await self._now_ms()
            since, until = (None if moment is None else moment.before_ms(now) for moment in span)
            audit = open_audit(self._site.settings, self._store)
            return await audit.read(replace(wanted, since=since, until=until), limit=limit, before=before)

    async def cancel(self, task_ids: Sequence[str], *, why: str) -> AsyncIterator[tuple[str, Cancelled]]:
        from worker.cli.local import entry, local_principal
        from worker.operations.cancel import cancel

        entries = []
        by = local_principal().name
        try:
            with store_failures():
                async for task_id, answer in cancel(self._store.records, task_ids, by=by, why=why):
                    outcome = answer.outcome.value
                    done = outcome in ("cancelled", "requested", "already")
                    entries.append(entry("tasks.cancel", task_id, done=done, detail=outcome))
                    yield task_id, answer
        finally:
            await self._record(entries)

    async def cancel_all(
        self, statuses: Sequence[Status], *, script: str | None, why: str
    ) -> AsyncIterator[tuple[str, Cancelled]]:
        from worker.cli.local import entry, local_principal
        from worker.operations.cancel import cancel_all

        count, by = 0, local_principal().name
        try:
            with store_failures():
                async for answer in cancel_all(self._store.records, statuses, script=script, by=by, why=why):
                    count += 1
                    yield answer
        finally:
            # One entry for all that were meant together: their records say the rest.
            which = "waiting" if len(statuses) == 1 else "waiting or running"
            await self._record([entry("tasks.cancel", script or "*", detail=f"all {which}: {count} tasks")])

    async def live_log(self, task_id: str, run: int, after: str) -> AsyncGenerator[LiveLogPart, None]:
        parts = cast("AsyncGenerator[LiveLogPart, None]", self._store.live_log.follow(task_id, run, after))
        with store_failures():
            async with aclosing(parts):
                async for part in parts:
                    yield part

    def kept_bytes(self, part_id: str) -> int | None:
        return None

    async def kept_log(self, task_id: str, run: Run, offset: int = 0) -> BinaryIO:
        import io

        from worker.operations.logs import open_log, viewed

        try:
            file: BinaryIO = open_log(self._store.files, task_id, run)
        except FileNotFoundError:
            # It ran on another host, perhaps a moment ago.
            with store_failures():
                view = await viewed(self._store.live_log, task_id, run.number)
            if not view.chunks:
                raise
            file, offset = io.BytesIO(view.data), max(0, offset - view.lost_bytes)
        file.seek(offset)
        return file

    async def artifact(self, task_id: str, run: Run, artifact: ArtifactRecord) -> BinaryIO:
        return self._store.files.run(task_id, run.number).open(artifact.name)

    async def _now_ms(self) -> int:
        """By the clock that will be looked at."""
        seconds, microseconds = await self._store.redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def _audit_submit(self, request: Request, result: Result, detail: str, digest: str | None = None) -> None:
        from worker.cli.local import local_principal
        from worker.model.audit import AuditEntry

        script = request.script
        entry = AuditEntry.by(local_principal(), "scripts.execute", result, script, digest=digest, detail=detail)
        await self._record([entry])

    async def _record(self, entries: Sequence[AuditEntry]) -> None:
        from worker.cli.local import record

        await record(self._site.settings, self._store, entries)
