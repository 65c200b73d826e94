"""Version document: a version of a registered script as the JSON that `penstock scripts` prints, as the API."""

from __future__ import annotations

from typing import Any

from worker.model.registration import Registration
from worker.model.times import known_time


def in_history(each: Registration) -> dict[str, Any]:
    """Without what it declares."""
    return {
        "version": each.version,
        "digest": each.digest,
        "sha256": each.sha256,
        "removed": each.removed,
        "registeredBy": each.by,
        "registeredAt": known_time(each.at),
    }


def of_version(each: Registration) -> dict[str, Any]:
    return {"name": each.name, **in_history(each), "declaration": dict(each.declaration)}
