"""Amend: a schedule with some of its fields changed, as somebody would have written it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.model.schedule import Schedule
from worker.model.sealing import Unsealable
from worker.schedules.read import written

_RUNS = ("script", "workflow")


def amended(before: Schedule, fields: Mapping[str, Any]) -> dict[str, Any]:
    """For `read_schedule`. Who names a workflow takes the script away, and the other way round.

    With something else to run the payload of before is not handed on: that is what one script or workflow was trusted
    with, secrets included. Raises Unsealable for one that cannot be read here, unless it gets another payload.
    """
    if before.unreadable and "payload" not in fields:
        # An empty one may be valid too, and would be kept in its place.
        raise Unsealable(before.unreadable)
    old = written(before)
    after = {**old, **fields}
    for one, other in (_RUNS, _RUNS[::-1]):
        if one in fields and other not in fields:
            after.pop(other, None)
    if "workflow" in after and "target" not in fields:
        after.pop("target", None)
    if "payload" not in fields and [old.get(key) for key in _RUNS] != [after.get(key) for key in _RUNS]:
        after.pop("payload")
    return after
