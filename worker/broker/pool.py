"""Pool: where Celery expects its processes or threads, the receiver that performs our tasks.

A Celery pool runs Python functions; ours are commands, which the receiver runs on one event loop of its own. What
is left for the pool is to start and stop it with the worker, and to bring acknowledgements back to Celery's thread.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Any

from celery.concurrency.base import BasePool
from celery.utils.log import get_logger
from celery.worker import state

_logger = get_logger("penstock.broker")


class Pool(BasePool):  # type: ignore[misc]
    signal_safe = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._done: deque[Any] = deque()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def on_start(self) -> None:
        self.app.receiver.start(self.limit)

    def on_stop(self) -> None:
        # The connection is still open: what ends now is acknowledged before the worker goes.
        self.app.receiver.stop()
        self._acknowledge()

    def on_terminate(self) -> None:
        self.app.receiver.stop(now=True)
        self._acknowledge()

    def register_with_event_loop(self, loop: Any) -> None:
        loop.add_reader(self._wake_reader, self._on_wake)

    def acknowledge_later(self, message: Any) -> None:
        """From any thread: acknowledge in the thread that owns the connection."""
        self._done.append(message)
        self.wake()

    def wake(self) -> None:
        """From any thread: let Celery's loop look around now."""
        try:
            os.write(self._wake_writer, b"\0")
        except BlockingIOError:
            pass  # so many wake-ups are on the way that one more says nothing new

    def _on_wake(self) -> None:
        try:
            os.read(self._wake_reader, 4096)
        except BlockingIOError:
            pass
        self._acknowledge()

    def _acknowledge(self) -> None:
        while self._done:
            message = self._done.popleft()
            message.ack_log_error(_logger, (Exception,))

    def on_apply(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("this pool runs scripts only")


def stop_worker(exit_code: int) -> None:
    """From any thread: the Celery worker of this process takes nothing more, finishes what runs, then exits."""
    state.should_stop = exit_code
