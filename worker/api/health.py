"""Health: whether the process answers, and whether it can do its work. For anybody; tells nothing else."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from worker.api.context import Here
from worker.api.documents import Document
from worker.api.problem import documented

router = APIRouter(tags=["health"])


class Health(Document):
    status: Literal["ok"]


@router.get("/healthz")
async def healthz() -> Health:
    """The process lives."""
    return Health(status="ok")


@router.get("/readyz", responses=documented(503))
async def readyz(here: Here) -> Health:
    """The store answers, so that tasks can be submitted and read."""
    await here.records.counts()
    return Health(status="ok")
