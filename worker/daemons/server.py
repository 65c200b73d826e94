"""Server: the process that serves the HTTP API and the page."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from ipaddress import ip_address
from types import FrameType

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from worker.api.app import make_api
from worker.api.context import Context
from worker.api.endings import Endings
from worker.api.feed import Feed
from worker.api.meters import Meters
from worker.api.sse import STUCK_S
from worker.api.streams import Streams
from worker.config import Settings
from worker.daemons.driving import workflow_definitions, workflow_driver
from worker.daemons.logging import set_up_logging
from worker.daemons.scheduled import ScheduledWorkflows, targets_of
from worker.daemons.sources import publisher
from worker.daemons.wiring import (
    Deployment,
    fleet_of,
    open_access,
    open_store,
    registered_scripts,
    schedules_of,
    store_folder,
)
from worker.embedded import Embedded
from worker.model.audit import AuditEntry
from worker.model.rate import RateLimit
from worker.operations.first_key import ensure_first_key
from worker.schedules.declared import Declared
from worker.store import Records
from worker.store.webhooks import Webhooks
from worker.store.workflow_runs import WorkflowRuns
from worker.web.assets import load_assets
from worker.web.site import Site

# Answers that are being sent when the server ends have so long; whoever waits for a task is answered at once.
_GRACE_S = 10
# A request line and its headers; uvicorn's own default is twice that.
_HEADER_BYTES = 32 * 1024
_FIRST_KEY = AuditEntry(who="penstock up", kind="local", action="keys.create", result="allowed", target="first")


def run_server(
    deployment: Deployment,
    listening: socket.socket,
    ready: Callable[[], None],
    show_key: Callable[[str], None] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; closes the socket. Blocks; main thread only. `ready` is called once it serves.

    With `show_key`, on loopback, a first key is made when there never was one, and shown this once.

    With no broker configured the embedded store is started, or attached to when it runs. Raises EmbeddedError when it
    cannot be had, NotReachable when another store does not answer.
    """
    settings = deployment.settings
    set_up_logging(settings.log)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # for its connections; closing one does not end what its peer does not take
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STUCK_S * 1000))
    with listening, Embedded(store_folder(settings)) if settings.embedded else nullcontext():
        return asyncio.run(_serve(deployment, listening, ready, show_key))


async def _serve(
    deployment: Deployment,
    listening: socket.socket,
    ready: Callable[[], None],
    show_key: Callable[[str], None] | None,
) -> int:
    settings = deployment.settings
    async with open_store(settings, piped=True) as store:
        access = open_access(settings, store)
        if show_key and ip_address(listening.getsockname()[0]).is_loopback:
            key = await ensure_first_key(access.keys, settings.state_dir)
            if key:
                await access.audit.append(_FIRST_KEY)
                show_key(key)
        feed, webhooks = Feed(store.records), Webhooks(store.redis)
        to_broker = publisher(deployment, store)
        definitions = workflow_definitions(deployment, store)
        driver, runs = workflow_driver(deployment, store, to_broker), WorkflowRuns(store.redis)
        rate = settings.api.rate_limit
        context = Context(
            settings=settings,
            catalog=deployment.catalog,
            registered=registered_scripts(deployment, store),
            records=store.records,
            live_log=store.live_log,
            files=store.files,
            publisher=to_broker,
            fleet=fleet_of(settings, store),
            broker=store.broker,
            authenticator=access.authenticator,
            sessions=access.sessions,
            keys=access.keys,
            audit=access.audit,
            endings=Endings(store.records, feed),
            streams=Streams(feed, store.live_log, settings.state_dir / "spool"),
            meters=Meters(),
            webhooks=webhooks,
            rate_limit=RateLimit(*rate) if rate else None,
            redis=store.redis,
            schedules=schedules_of(settings, store),
            declared=Declared(settings.home, deployment.catalog, targets_of(definitions.files)),
            scheduled=ScheduledWorkflows(definitions, runs, driver, deployment.catalog.get),
            definitions=definitions,
            workflow_runs=runs,
            driver=driver,
        )
        config = uvicorn.Config(
            Site(make_api(context), load_assets()),
            log_config=None,
            access_log=False,
            lifespan="off",
            http=_impatient(settings.api.body_timeout_s),
            ws="none",
            loop="asyncio",
            # No header of a request says who sends it.
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=_HEADER_BYTES,
            timeout_graceful_shutdown=_GRACE_S,
        )

        server = _Server(config, ready, feed.stop)
        async with feed.follow(), _sending(settings, webhooks, store.records, feed):
            await server.serve(sockets=[listening])
    return 0


def _sending(settings: Settings, webhooks: Webhooks, records: Records, feed: Feed) -> AbstractAsyncContextManager[None]:
    """The sender of the webhooks; without any its HTTP client is not even imported."""
    if not settings.webhooks:
        return nullcontext()
    from worker.daemons.webhooks import WebhookSender

    return WebhookSender(settings.webhooks, webhooks, records, feed).running()


def _impatient(headers_s: float) -> type[H11Protocol]:
    """Connections that are closed when a request line with its headers is not complete in time.

    uvicorn waits for ever for those, so that some hundred silent connections would use up our file descriptors.
    """

    class Impatient(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self._wait()
            else:
                self._forget()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _wait(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(headers_s, self.transport.abort)

        def _forget(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Impatient


class _Server(uvicorn.Server):
    """Ends by our rules: who waits is answered, and a signal that was heard is not raised once more afterwards."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._on_stop()
