"""taskiq with its list queue on Redis; a task that is no coroutine runs in its pool of threads."""

from __future__ import annotations

import asyncio
from typing import Any

import command
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

_results = RedisAsyncResultBackend(command.RESULTS)
broker = ListQueueBroker(command.STORE, queue_name="bench").with_result_backend(_results)
_held = ListQueueBroker(command.STORE, queue_name="held").with_result_backend(_results)
_loop = asyncio.new_event_loop()


@broker.task(task_name="perform")
def perform(script: str, payload: dict[str, Any]) -> int:
    return command.run(script, payload)


def enqueue(script: str, payload: dict[str, Any], held: bool) -> str:
    kicker = perform.kicker().with_broker(_held if held else broker)
    return str(_loop.run_until_complete(kicker.kiq(script, payload)).task_id)


def completed(task_id: str) -> bool:
    result = _loop.run_until_complete(_results.get_result(task_id))
    return bool(not result.is_err and result.return_value == 0)
