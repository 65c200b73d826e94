"""Outcomes: the ends of runs that could not be recorded yet, on the disk, so that no death of a worker loses them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import structlog
from msgspec import to_builtins

from worker.model.status import Status
from worker.model.task import ArtifactRecord, Claim, Resolution, ShortLog
from worker.store import Records

_logger = structlog.get_logger("penstock.worker")
_SUFFIX = ".outcome"


def spool_outcome(folder: Path, claim: Claim, end: Resolution, *, next_run: bool) -> Path:
    """Write it, synced, under a name that is there only when all of it is. Raises OSError."""
    path = folder / f"{claim.task_id}-{claim.run}{_SUFFIX}"
    draft = path.with_suffix(".draft")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump({"claim": to_builtins(claim), "end": to_builtins(end), "next_run": next_run}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    return path


def spooled(path: Path) -> tuple[Claim, Resolution, bool]:
    """Claim, end and whether another run follows. Raises OSError, ValueError for a file that is none of ours."""
    document = json.loads(path.read_text("utf-8"))
    end = document["end"]
    artifacts = tuple(ArtifactRecord(**artifact) for artifact in end.pop("artifacts"))
    status = Status(end.pop("status"))
    short = end.pop("log")
    log = ShortLog(**short) if short else None
    return (
        Claim(**document["claim"]),
        Resolution(status=status, artifacts=artifacts, log=log, **end),
        document["next_run"],
    )


async def record_spooled(folder: Path, records: Records) -> None:
    """Record what a dead worker could not. What was rescued meanwhile stays as it is. Raises StoreUnavailable."""
    for path in _spooled_in(folder):
        claim, end, next_run = spooled(path)
        resolved = await records.resolve(claim, end, next_run=next_run)
        _logger.info("outcome of a dead worker", task=claim.task_id, run=claim.run, recorded=resolved.outcome.value)
        path.unlink()


def _spooled_in(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{_SUFFIX}"))
