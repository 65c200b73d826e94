"""Celery consumer: every message becomes a delivery or something unreadable; none is judged or dropped by Celery.

Of Celery's consumer the connection, its loop and the reconnecting are used; of its steps those three that serve
queues. Strategies, tracing, ETA, gossip, remote control and delayed delivery are not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.consumer import tasks
from celery.worker.consumer.connection import Connection

from worker.broker.rabbit_message import enveloped, read_message
from worker.broker.rabbit_queues import declare
from worker.broker.source import Unreadable

_logger = get_logger("penstock.broker")


class Tasks(tasks.Tasks):  # type: ignore[misc]
    requires = (Connection,)

    def start(self, c: Any) -> None:
        if c.connection.transport.driver_type == "amqp":
            declare(c.connection, list(c.app.amqp.queues.consume_from.values()))
        c.held_back = False
        super().start(c)

    def qos_global(self, c: Any) -> bool:
        """Quorum queues know the prefetch count of a consumer only."""
        return False


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Everything but `receipt`s is for Celery to call, in its own thread."""

    event_dispatcher = None
    held_back = False

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]
        default_steps = (
            "celery.worker.consumer.connection:Connection",
            "worker.broker.celery_consumer:Tasks",
            "celery.worker.consumer.consumer:Evloop",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pool.consumer = self

    def update_strategies(self) -> None:
        """There are none."""

    def create_task_handler(self, *_: Any, **__: Any) -> Callable[[Any], None]:
        receive = self.app.receiver.receive

        def on_message(message: Any) -> None:
            queue, receipt = self._queue_of(message), Receipt(message, self)
            try:
                read = read_message(message, queue, plain=self.app.plain, acknowledge=receipt)
            except Exception as error:
                # A fault of ours must not end the worker; the message is kept with the others of which no task came.
                _logger.exception("a message cannot be read")
                why = f"it cannot be read: {type(error).__name__}"
                read = Unreadable(queue, enveloped(message, queue), why, receipt)
            receive(read)

        return on_message

    def ensure_connected(self, conn: Any) -> Any:
        """For ever, at most five seconds apart. Celery's own way grows to half a minute, and shows our transport."""

        def on_error(error: Exception, interval: float) -> None:
            _logger.warning("the broker is away; trying again in %.1f s: %r", interval, error)

        return conn.ensure_connection(
            on_error, interval_start=0.2, interval_step=0.4, interval_max=5.0, callback=state.maybe_shutdown
        )

    def hold_back(self) -> None:
        """Let the broker give messages to others: here is no room."""
        if not self.held_back and self.task_consumer:
            self.held_back = True
            self.task_consumer.cancel()

    def go_on(self) -> None:
        if self.held_back and self.task_consumer:
            self.held_back = False
            self.task_consumer.consume()

    def _queue_of(self, message: Any) -> str:
        """The routing key need not be the queue's name: whoever binds exchanges chooses it."""
        info = message.delivery_info or {}
        for queue, tag in self.task_consumer._active_tags.items():
            if tag == info.get("consumer_tag"):
                return str(queue)
        return str(info.get("routing_key") or "")


class Receipt:
    """What is owed to the broker for one message. From any thread; the first word holds."""

    __slots__ = ("_consumer", "_message")

    def __init__(self, message: Any, consumer: Consumer) -> None:
        self._message = message
        self._consumer = consumer

    def __call__(self) -> None:
        """Acknowledge."""
        self._consumer.pool.call_soon(lambda: self._settle(self._message.ack))

    def give_back(self) -> None:
        """Another worker shall have it. Nothing more comes until `resume`."""

        def back() -> None:
            self._consumer.hold_back()
            self._settle(self._message.requeue)

        self._consumer.pool.call_soon(back)

    def resume(self) -> None:
        self._consumer.pool.call_soon(self._consumer.go_on)

    def _settle(self, settle: Callable[[], None]) -> None:
        if self._message.acknowledged:
            return
        try:
            settle()
        except (*self._consumer.connection_errors, *self._consumer.channel_errors, AttributeError) as error:
            # Its connection is gone. The broker delivers it again, and the record tells whoever gets it.
            _logger.info("a message stays with the broker: %r", error)
