"""A store server that outlives workers, and that a test may kill, freeze and start again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.system.site import eventually
from worker.embedded import Embedded
from worker.embedded.locate import Server


class StoreServer:
    """The product's own server, owned by this process, with its append-only file on."""

    def __init__(self, folder: Path, *, fsync: str = "everysec", server: Server | None = None) -> None:
        self._folder = folder
        self._embedded = Embedded(folder, server=server)
        self._fsync = fsync
        self.socket = self._embedded.socket
        self.celery_url = self._embedded.celery_url

    @property
    def pid(self) -> int:
        return int((self._folder / "store.lock").read_text())

    def start(self) -> None:
        self._embedded.start()
        with self.client() as server:
            server.config_set("appendfsync", self._fsync)

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        with redis.Redis(unix_socket_path=str(self.socket), protocol=2) as server:
            yield server

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        eventually(lambda: not self._embedded.alive, "the end of the store")

    def restart(self) -> None:
        self.kill()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        self._embedded.stop()
