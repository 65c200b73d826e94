"""huey on Redis: its own blocking queue, results in a hash."""

from __future__ import annotations

from typing import Any

import command
from huey import RedisHuey

huey = RedisHuey("bench", url=command.STORE)
_held = RedisHuey("held", url=command.STORE)


@huey.task(name="perform")
def perform(script: str, payload: dict[str, Any]) -> int:
    return command.run(script, payload)


@_held.task(name="perform")
def perform_held(script: str, payload: dict[str, Any]) -> int:
    return command.run(script, payload)


def enqueue(script: str, payload: dict[str, Any], held: bool) -> str:
    return str((perform_held if held else perform)(script, payload).id)


def completed(task_id: str) -> bool:
    return bool(huey.result(task_id, preserve=True) == 0)
