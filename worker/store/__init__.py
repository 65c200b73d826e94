"""The records in Redis: tasks, runs, their indexes, events and live logs. Knows no queue and no broker."""

from worker.store.connect import connect
from worker.store.dead_letters import DeadLetters
from worker.store.errors import InvalidName, StoreError, StoreUnavailable, UnknownTask
from worker.store.files import Files, RunFiles
from worker.store.live_log import LiveLog
from worker.store.live_log_writer import LiveLogWriter
from worker.store.records import Records
from worker.store.script import StoreLimits

__all__ = [
    "DeadLetters",
    "Files",
    "InvalidName",
    "LiveLog",
    "LiveLogWriter",
    "Records",
    "RunFiles",
    "StoreError",
    "StoreLimits",
    "StoreUnavailable",
    "UnknownTask",
    "connect",
]
