"""App: the Celery application, with one Celery task for each script. Makes no connection by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import celery
from celery import signals
from kombu import Exchange, Queue

from worker.broker.delivery import Delivery
from worker.broker.envelope import TASK_PREFIX
from worker.broker.rabbit_queues import quorum_queue
from worker.broker.source import Unreadable

_TRANSPORTS = {
    "amqp": "worker.broker.rabbit_transport:Transport",
    "amqps": "worker.broker.rabbit_transport:SSLTransport",
}


class Receiver(Protocol):
    """Who takes deliveries: the part of a worker that performs tasks."""

    def start(self, concurrency: int) -> None:
        """Called once, before the first delivery; raises when the worker cannot work."""

    def receive(self, delivery: Delivery | Unreadable) -> None:
        """Called in the consumer's thread; returns at once."""

    def stop(self, *, now: bool = False) -> None:
        """No further delivery comes. Returns when nothing runs any more. `now`: what runs is ended at once."""


class ScriptTask(celery.Task):  # type: ignore[misc]
    """The Celery task of a script, for its name. Deliveries go to the receiver; see `celery_consumer`."""

    abstract = True
    acks_late = True
    ignore_result = True

    def run(self, **payload: Any) -> None:
        raise NotImplementedError("a script runs in a worker; enqueue it with send_task, delay or apply_async")


class App(celery.Celery):  # type: ignore[misc]
    """Celery, plus who receives its deliveries; None in a program that only publishes."""

    receiver: Receiver | None = None
    plain: Mapping[str, str] = MappingProxyType({})
    """The script of each queue that is opened for plain documents."""


def make_app(broker_url: str, scripts: Iterable[str], queues: Iterable[str], default_queue: str) -> App:
    """A Celery app for these scripts. A worker of it consumes `queues`; a task without one goes to `default_queue`.

    In RabbitMQ the queues are quorum queues; see `rabbit_queues`.
    """
    scheme = broker_url.partition("://")[0]
    rabbit = scheme.startswith("amqp")
    app = App("penstock", set_as_current=False, autofinalize=False, fixups=[])
    names = sorted({*queues, default_queue})
    app.conf.update(
        broker_url=broker_url,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        broker_transport=_TRANSPORTS.get(scheme),
        # A message is published when the broker has said so.
        broker_transport_options={"confirm_publish": True} if rabbit else {},
        result_backend=None,
        task_ignore_result=True,
        accept_content=["json"],
        task_serializer="json",
        event_serializer="json",
        task_protocol=2,
        task_default_queue=default_queue,
        task_default_exchange=default_queue,
        task_default_routing_key=default_queue,
        task_queues=[quorum_queue(name) if rabbit else _list(name) for name in names],
        task_create_missing_queues=False,
        task_acks_late=True,
        worker_consumer="worker.broker.celery_consumer:Consumer",
        worker_prefetch_multiplier=1,
        # Celery has none to cancel, so a run goes on; this spares a warning at each loss.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        enable_utc=True,
        timezone="UTC",
    )
    app.finalize()
    # Celery's own Celery tasks (chord, map, backend_cleanup ...) would let a message ask for more than a script.
    for name in [name for name in app.tasks if name.startswith("celery.")]:
        del app.tasks[name]
    for script in scripts:
        task = type("ScriptTask", (ScriptTask,), {"name": TASK_PREFIX + script, "__module__": __name__})
        app.register_task(task())
    signals.setup_logging.connect(_logging_is_ours, weak=False)
    return app


def _list(name: str) -> Queue:
    return Queue(name, Exchange(name, type="direct"), routing_key=name)


def consume_nothing(app: App) -> None:
    """Celery's consumer leaves all queues alone: in Redis they are consumed without it (`RedisSource`)."""
    app.amqp.queues.deselect(list(app.amqp.queues))


def _logging_is_ours(**_: Any) -> None:
    """A receiver for this signal keeps Celery from changing how the program logs."""
