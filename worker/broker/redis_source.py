"""Redis source: deliveries straight from kombu's lists, without Celery's consumer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from worker.broker.delivery import Delivery, is_hint, read_body
from worker.broker.envelope import TASK_PREFIX, NotAMessage, open_envelope
from worker.broker.redis_queues import RedisQueues, Taken
from worker.broker.source import BrokerAway, Unreadable

_BEAT_S = 4.0


class RedisSource:
    """`scripts` are the names that deliveries may have; a message for another is unreadable."""

    def __init__(self, redis: Redis, consumer: str, queues: Sequence[str], scripts: Collection[str]) -> None:
        self._queues = RedisQueues(redis, consumer, queues)
        self._scripts = scripts

    async def open(self) -> None:
        async with _broker_errors():
            await self._queues.open()

    async def take(self, room: int) -> Sequence[Delivery | Unreadable]:
        async with _broker_errors():
            taken = await self._queues.take(room)
        return [self._read(one) for one in taken]

    async def tend(self) -> None:
        await asyncio.gather(self._queues.keep_acknowledging(), self._beat())

    async def close(self) -> None:
        async with _broker_errors():
            await self._queues.close()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            try:
                await self._queues.beat()
            except (RedisError, OSError):
                continue  # who takes from the broker notices and says so

    def _read(self, taken: Taken) -> Delivery | Unreadable:
        def acknowledge() -> None:
            self._queues.acknowledge(taken)

        try:
            envelope = open_envelope(taken.raw)
            if not envelope.name.startswith(TASK_PREFIX) or envelope.script not in self._scripts:
                raise NotAMessage(f"no script is declared for {envelope.name[:100]!a}")
        except NotAMessage as error:
            return Unreadable(taken.queue, taken.raw, str(error), acknowledge)
        return Delivery(
            task_id=envelope.task_id,
            script=envelope.script,
            queue=taken.queue,
            hint=is_hint(envelope.headers),
            read=lambda most: read_body(envelope, most),
            acknowledge=acknowledge,
        )


@asynccontextmanager
async def _broker_errors() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise BrokerAway(str(error) or type(error).__name__) from error
