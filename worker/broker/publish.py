"""Publish: put the hint that a recorded run is pending into its queue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from worker.broker.delivery import HINT_HEADER
from worker.broker.envelope import TASK_PREFIX, seal
from worker.broker.kombu_redis import list_key
from worker.broker.source import BrokerAway

if TYPE_CHECKING:
    from worker.broker.app import App


class Publisher(Protocol):
    async def publish(self, script: str, task_id: str, queue: str) -> None:
        """Raises BrokerAway. The record stays pending then, and a worker publishes it again."""


class RedisPublisher:
    """Writes what Celery's producer writes, without Celery."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def publish(self, script: str, task_id: str, queue: str) -> None:
        message = seal(TASK_PREFIX + script, task_id, queue, {HINT_HEADER: 1})
        try:
            await self._redis.lpush(list_key(queue, 0), message)
        except (RedisError, OSError) as error:
            raise BrokerAway(str(error) or type(error).__name__) from error


class CeleryPublisher:
    """Through Celery and kombu, for brokers other than Redis. One publish at a time."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._one = asyncio.Lock()

    async def publish(self, script: str, task_id: str, queue: str) -> None:
        async with self._one:
            await asyncio.to_thread(self._publish, script, task_id, queue)

    def _publish(self, script: str, task_id: str, queue: str) -> None:
        from kombu.exceptions import OperationalError

        try:
            self._app.send_task(
                TASK_PREFIX + script,
                task_id=task_id,
                queue=queue,
                headers={HINT_HEADER: 1},
                retry=True,
                retry_policy={"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
            )
        except (OperationalError, OSError) as error:
            raise BrokerAway(str(error) or type(error).__name__) from error
