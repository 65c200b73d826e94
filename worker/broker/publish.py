"""Publish: put the hint that a recorded run is pending into its queue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from worker.broker.delivery import HINT_HEADER
from worker.broker.envelope import TASK_PREFIX, seal
from worker.broker.kombu_redis import binding, list_key, list_keys
from worker.broker.source import BrokerAway
from worker.model.target import worker_of

if TYPE_CHECKING:
    from worker.broker.app import App

# A quorum queue without its majority confirms nothing.
_CONFIRM_S = 10.0


class Publisher(Protocol):
    async def publish(self, script: str, task_id: str, queue: str, priority: int = 0) -> None:
        """`priority`: 0 to 9, 9 the most urgent.

        Raises BrokerAway. The record stays pending then, and a worker publishes it again.
        """

    async def waiting(self, queue: str) -> int:
        """How many messages lie in the queue that nobody has taken yet. Raises BrokerAway."""

    async def drop(self, queue: str) -> None:
        """Remove a queue that nobody will consume any more, and what lies in it. Raises BrokerAway."""


class RedisPublisher:
    """Writes what Celery's producer writes, without Celery."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def publish(self, script: str, task_id: str, queue: str, priority: int = 0) -> None:
        # For kombu on Redis 0 is the most urgent. The queue of a single worker knows no priorities.
        steps = 0 if worker_of(queue) else 9 - priority
        message = seal(TASK_PREFIX + script, task_id, queue, {HINT_HEADER: 1}, priority=steps)
        try:
            await self._redis.lpush(list_key(queue, steps), message)
        except (RedisError, OSError) as error:
            raise BrokerAway(str(error) or type(error).__name__) from error

    async def waiting(self, queue: str) -> int:
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key in list_keys(queue):
                    pipe.llen(key)
                return sum(await pipe.execute())
        except (RedisError, OSError) as error:
            raise BrokerAway(str(error) or type(error).__name__) from error

    async def drop(self, queue: str) -> None:
        try:
            await self._redis.unlink(binding(queue)[0], *list_keys(queue))
        except (RedisError, OSError) as error:
            raise BrokerAway(str(error) or type(error).__name__) from error


class CeleryPublisher:
    """Through Celery and kombu, for brokers other than Redis. One publish at a time."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._one = asyncio.Lock()

    async def publish(self, script: str, task_id: str, queue: str, priority: int = 0) -> None:
        async with self._one:
            await asyncio.to_thread(self._publish, script, task_id, queue, priority)

    async def waiting(self, queue: str) -> int:
        async with self._one:
            return await asyncio.to_thread(self._waiting, queue)

    async def drop(self, queue: str) -> None:
        async with self._one:
            await asyncio.to_thread(self._drop, queue)

    def _drop(self, queue: str) -> None:
        from amqp.exceptions import AMQPError  # type: ignore[import-untyped]
        from kombu.exceptions import OperationalError

        try:
            with self._app.connection_for_write() as connection, connection.channel() as channel:
                channel.queue_delete(queue)
        except (OperationalError, AMQPError, OSError) as error:
            raise BrokerAway(str(error) or type(error).__name__) from error

    def _waiting(self, queue: str) -> int:
        from amqp.exceptions import AMQPError, NotFound
        from kombu.exceptions import OperationalError

        try:
            with self._app.connection_for_write() as connection, connection.channel() as channel:
                return int(channel.queue_declare(queue, passive=True).message_count)
        except NotFound:
            return 0
        except (OperationalError, AMQPError, OSError) as error:
            raise BrokerAway(str(error) or type(error).__name__) from error

    def _publish(self, script: str, task_id: str, queue: str, priority: int) -> None:
        from amqp.exceptions import AMQPError, PreconditionFailed
        from kombu.exceptions import OperationalError

        from worker.broker.rabbit_queues import quorum_queue

        if worker_of(queue) and queue not in self._app.amqp.queues:
            self._app.amqp.queues.add(quorum_queue(queue))

        def send() -> None:
            self._app.send_task(
                TASK_PREFIX + script,
                task_id=task_id,
                queue=queue,
                headers={HINT_HEADER: 1},
                priority=priority,
                retry=True,
                retry_policy={"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
                confirm_timeout=_CONFIRM_S,
            )

        try:
            try:
                send()
            except PreconditionFailed:
                # The queue is there in another form, as a producer made it: use it as it is.
                self._app.amqp.queues[queue].no_declare = True
                send()
        except (OperationalError, AMQPError, OSError) as error:
            raise BrokerAway(str(error) or type(error).__name__) from error
