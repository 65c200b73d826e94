"""dramatiq on Redis, with its default middleware and a result of each task."""

from __future__ import annotations

from typing import Any

import command
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

_results = RedisBackend(url=command.RESULTS)
_broker = RedisBroker(url=command.STORE)
_broker.add_middleware(Results(backend=_results))
dramatiq.set_broker(_broker)
_held = RedisBroker(url=command.STORE, namespace="held")
_held.declare_queue("default")
_sent: dict[str, Any] = {}


@dramatiq.actor(store_results=True)
def perform(script: str, payload: dict[str, Any]) -> int:
    return command.run(script, payload)


def enqueue(script: str, payload: dict[str, Any], held: bool) -> str:
    message = (_held if held else _broker).enqueue(perform.message(script, payload))
    _sent[message.message_id] = message
    return str(message.message_id)


def completed(task_id: str) -> bool:
    return bool(_results.get_result(_sent[task_id]) == 0)
