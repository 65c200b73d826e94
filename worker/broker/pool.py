"""Pool: where Celery expects its processes or threads, the receiver that performs our tasks.

A Celery pool runs Python functions; ours are commands, which the receiver runs on one event loop of its own. What
is left for the pool is to start and stop it with the worker, and to bring calls back into Celery's thread.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from celery.concurrency.base import BasePool
from celery.utils.log import get_logger
from celery.worker import state

_logger = get_logger("penstock.broker")
# While the last runs end, heartbeats are due every few seconds.
_LOOK_S = 1.0
# There is one worker in a process, as for Celery, whose `state` is of the process too.
_running: Pool | None = None


class Pool(BasePool):  # type: ignore[misc]
    signal_safe = False
    consumer: Any = None
    """Celery's, as soon as there is one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._calls: deque[Callable[[], None]] = deque()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._asked = self._at_once = False

    def on_start(self) -> None:
        global _running
        _running = self
        self.app.receiver.start(self.limit)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, self._on_signal)

    def on_stop(self) -> None:
        self._end(now=False)

    def on_terminate(self) -> None:
        self._end(now=True)

    def register_with_event_loop(self, loop: Any) -> None:
        loop.add_reader(self._wake_reader, self._on_wake)

    def call_soon(self, call: Callable[[], None]) -> None:
        """From any thread: call it in the thread that owns the connection."""
        self._calls.append(call)
        self.wake()

    def on_apply(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("this pool runs scripts only")

    def _on_signal(self, *_: Any) -> None:
        """The same as in a worker without Celery: finish what runs; the second time, end it.

        Celery's own handlers would take a second SIGTERM for the first, and end with 1 after Ctrl-C. While the
        receiver stops, signals are its own.
        """
        self._at_once = self._asked
        self._asked = True
        if state.should_stop is None:
            stop_worker(0)

    def wake(self) -> None:
        try:
            os.write(self._wake_writer, b"\0")
        except BlockingIOError:
            pass  # so many wake-ups are on the way that one more says nothing new

    def _on_wake(self) -> None:
        try:
            os.read(self._wake_reader, 4096)
        except BlockingIOError:
            pass
        while self._calls:
            self._calls.popleft()()

    def _end(self, *, now: bool) -> None:
        """Celery's loop has ended, its connection is open: what ends now is acknowledged before the worker goes."""
        ended = threading.Event()

        def attend() -> None:
            while not ended.is_set():
                self._attend()

        # The receiver wants this thread, for its signals; nobody else uses the connection meanwhile.
        attending = threading.Thread(target=attend, name="attending")
        attending.start()
        try:
            self.app.receiver.stop(now=now or self._at_once)
        finally:
            ended.set()
            self.wake()
            attending.join()
        self._on_wake()

    def _attend(self) -> None:
        """In the place of Celery's loop: heartbeats, what the broker says, calls."""
        consumer = self.consumer
        connection = consumer and consumer.connection
        amqp = connection if connection and connection.transport.driver_type == "amqp" else None
        lost = (*consumer.connection_errors, *consumer.channel_errors) if amqp else ()
        try:
            sockets = [amqp.connection.sock] if amqp else []
            ready, _, _ = select.select([self._wake_reader, *sockets], [], [], _LOOK_S)
            if amqp:
                if sockets[0] in ready:
                    amqp.drain_events(timeout=_LOOK_S)
                amqp.heartbeat_check()
        except TimeoutError:
            pass
        except (*lost, OSError, AttributeError) as error:
            # What is not acknowledged comes again, and is found to be done.
            _logger.info("the broker is gone: %r", error)
            consumer.connection = None
        self._on_wake()


def stop_worker(exit_code: int) -> None:
    """From any thread: the Celery worker of this process takes nothing more, finishes what runs, then exits."""
    state.should_stop = exit_code
    # Celery's loop may wait for a heartbeat, half a minute.
    if _running:
        _running.wake()
