"""Context: what the routes stand on. Made by wiring, the same for all requests."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from msgspec import Struct
from redis.asyncio import Redis

from worker.api.endings import Endings
from worker.api.meters import Meters
from worker.api.streams import Streams
from worker.auth.authenticator import Authenticator
from worker.auth.session_proof import SessionProof
from worker.broker import Publisher
from worker.config import Catalog, Settings
from worker.model.rate import RateLimit
from worker.operations.address import Fleet
from worker.operations.registered_scripts import RegisteredScripts
from worker.schedules.declared import Declared
from worker.schedules.target import Targets
from worker.store import Files, LiveLog, Records
from worker.store.api_keys import ApiKeys
from worker.store.audit import Audit
from worker.store.schedules import Schedules
from worker.store.webhooks import Webhooks
from worker.store.workflow_runs import WorkflowRuns
from worker.workflows.definitions import Definitions
from worker.workflows.drive import Driver


class Context(Struct, frozen=True):
    """`broker` is the Redis with the queues, None when the broker is another kind."""

    settings: Settings
    catalog: Catalog
    registered: RegisteredScripts
    records: Records
    live_log: LiveLog
    files: Files
    publisher: Publisher
    fleet: Fleet
    broker: Redis | None
    authenticator: Authenticator
    sessions: SessionProof
    keys: ApiKeys
    audit: Audit
    endings: Endings
    streams: Streams
    meters: Meters
    webhooks: Webhooks
    rate_limit: RateLimit | None
    redis: Redis
    """The store's."""
    schedules: Schedules
    declared: Declared
    scheduled: Targets
    definitions: Definitions
    workflow_runs: WorkflowRuns
    driver: Driver


async def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


Here = Annotated[Context, Depends(_context)]
