"""History: how many tasks were recorded when, for a chart."""

from __future__ import annotations

from time import time
from typing import Annotated

from fastapi import APIRouter, Query

from worker.api.caller import Asker
from worker.api.context import Here
from worker.api.documents import Document, counts_of, known_time
from worker.api.listing import readable_scripts
from worker.api.problem import documented
from worker.model.overview import Span

router = APIRouter(tags=["status"])


class Bucket(Document):
    """The tasks that were recorded from `at` on, until the next one: how many have each status now."""

    at: str
    tasks: dict[str, int]


class HistoryDocument(Document):
    """Oldest first. `bucketS`: how long each is, in seconds."""

    bucket_s: float
    buckets: list[Bucket]


@router.get("/status/history", responses=documented(400, 401, 403, 429, 503))
async def get_history(
    here: Here,
    caller: Asker,
    hours: Annotated[int, Query(ge=1, le=24 * 31)] = 24,
    buckets: Annotated[int, Query(ge=1, le=120)] = 48,
) -> HistoryDocument:
    """How many tasks were recorded when, and what became of them; of the scripts that the caller may read."""
    caller.needs("tasks:read")
    span = Span.until(int(time() * 1000), hours * 3600 * 1000, buckets)
    counts = await here.records.history(span, readable_scripts(here, caller))
    return HistoryDocument(
        bucket_s=span.bucket_ms / 1000,
        buckets=[
            Bucket(at=known_time(at), tasks=counts_of(each) or {})
            for at, each in zip(span.starts(), counts, strict=True)
        ],
    )
