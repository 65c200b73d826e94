"""Context: what the routes stand on. Made by wiring, the same for all requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request
from redis.asyncio import Redis

from worker.api.endings import Endings
from worker.api.rate import RateLimit
from worker.broker import Publisher
from worker.config import Catalog, Settings
from worker.model.access import Principal
from worker.store import Files, LiveLog, Records


class Authenticator(Protocol):
    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """`headers` by their lower-case names."""


@dataclass(frozen=True, slots=True)
class Context:
    settings: Settings
    catalog: Catalog
    records: Records
    live_log: LiveLog
    files: Files
    publisher: Publisher
    broker: Redis | None
    """The Redis with the queues; None: the broker is another kind."""
    authenticator: Authenticator
    endings: Endings
    rate_limit: RateLimit | None


async def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


Here = Annotated[Context, Depends(_context)]
