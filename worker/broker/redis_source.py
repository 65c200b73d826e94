"""Redis source: deliveries straight from kombu's lists, without Celery's consumer."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from worker.broker.delivery import PLAIN_HEADER, Delivery, is_hint, read_body
from worker.broker.envelope import TASK_PREFIX, NotAMessage, is_script, no_script, open_envelope, seal
from worker.broker.redis_ahead import RedisAhead
from worker.broker.redis_queues import RedisQueues, Taken
from worker.broker.source import BrokerAway, Unreadable

_BEAT_S = 4.0


class RedisSource:
    """A delivery may name a script that is not there; a message that names none is unreadable.

    `plain` names the script of a queue in which a document without an envelope is the payload of a new task. `own`: a
    queue that nobody else consumes.
    """

    def __init__(
        self,
        redis: Redis,
        consumer: str,
        queues: Sequence[str],
        plain: Mapping[str, str] = MappingProxyType({}),
        own: str | None = None,
    ) -> None:
        self._queues = RedisQueues(redis, consumer, queues, own)
        self._ahead = RedisAhead(self._queues)
        self._plain = plain

    async def open(self) -> None:
        with _BROKER_ERRORS:
            await self._queues.open()

    async def take(self, room: int) -> Sequence[Delivery | Unreadable]:
        with _BROKER_ERRORS:
            taken = await self._ahead.take(room)
            if self._plain:
                taken = [await self._enveloped(one) for one in taken]
        return [self._read(one) for one in taken]

    def pause(self) -> None:
        self._ahead.pause()

    async def tend(self) -> None:
        await asyncio.gather(self._queues.keep_acknowledging(), self._beat())

    async def close(self) -> None:
        with _BROKER_ERRORS:
            await self._ahead.close()
            await self._queues.close()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            try:
                await self._queues.beat()
            except (RedisError, OSError):
                continue  # who takes from the broker notices and says so

    async def _enveloped(self, taken: Taken) -> Taken:
        """A plain document gets an envelope, and so an id, before anything is done with it."""
        script = self._plain.get(taken.queue)
        if script is None:
            return taken
        try:
            open_envelope(taken.raw)
        except NotAMessage:
            sealed = seal(TASK_PREFIX + script, str(uuid.uuid4()), taken.queue, {PLAIN_HEADER: 1}, body=taken.raw)
            return await self._queues.replace(taken, sealed)
        return taken

    def _read(self, taken: Taken) -> Delivery | Unreadable:
        def acknowledge() -> None:
            self._queues.acknowledge(taken)

        try:
            envelope = open_envelope(taken.raw)
            if not is_script(envelope.name):
                raise NotAMessage(no_script(envelope.name))
        except NotAMessage as error:
            return Unreadable(taken.queue, taken.raw, str(error), acknowledge)
        return Delivery(
            task_id=envelope.task_id,
            script=envelope.script,
            queue=taken.queue,
            hint=is_hint(envelope.headers),
            read=lambda most: read_body(envelope, most),
            acknowledge=acknowledge,
            eta=envelope.headers.get("eta"),
            expires=envelope.headers.get("expires"),
            raw=lambda: taken.raw,
        )


class _BrokerErrors:
    """Says BrokerAway of what the client of Redis raises. A generator would cost more than what it holds."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, AuthenticationError | NoPermissionError):
            raise BrokerAway(f"it refuses this account, which may have been revoked: {error}") from error
        if isinstance(error, RedisError | OSError):
            raise BrokerAway(str(error) or type(error).__name__) from error


_BROKER_ERRORS = _BrokerErrors()
