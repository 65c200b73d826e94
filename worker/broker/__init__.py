"""Broker: Celery and kombu, by which tasks are enqueued and delivered. Knows no record and no command."""

from worker.broker.app import TASK_PREFIX, App, Receiver, make_app
from worker.broker.delivery import Delivery, Enqueued
from worker.broker.pool import stop_worker
from worker.broker.publish import Publisher

__all__ = ["TASK_PREFIX", "App", "Delivery", "Enqueued", "Publisher", "Receiver", "make_app", "stop_worker"]
