"""Health: whether the process answers, and whether it can do its work. For anybody; tells nothing else."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter

from worker.api.context import Here
from worker.api.documents import Document
from worker.api.problem import documented
from worker.store import StoreUnavailable

router = APIRouter(tags=["health"])
_READY_S = 2.0


class Health(Document):
    status: Literal["ok"]


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> Health:
    """The process lives."""
    return Health(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses=documented(503))
async def readyz(here: Here) -> Health:
    """The store answers, so that tasks can be submitted and read."""
    try:
        # Who asks decides by it where to send work; it is of no use to them when the answer itself takes long.
        async with asyncio.timeout(_READY_S):
            await here.records.counts()
    except TimeoutError:
        raise StoreUnavailable("no answer in time") from None
    return Health(status="ok")
