"""Embedded: the one store server of a folder, started by whoever comes first and shared by the others."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from worker.embedded.errors import EmbeddedError
from worker.embedded.locate import Server, locate
from worker.embedded.lock import Lock
from worker.embedded.patience import Patience, Progress
from worker.embedded.probe import StoreState, ping, shut_down, socket_path
from worker.embedded.process import ServerProcess

SHUTDOWN_S = 10.0
TERMINATE_S = 5.0
KILL_S = 5.0
# A log of the store this large starts anew; one older one is kept.
LOG_BYTES = 4 * 1024 * 1024
LOG_TAIL_BYTES = 2000
LOADING = "the store is loading its data"


class Embedded:
    """The store of `folder`.

    `url` is for redis-py, `celery_url` for Celery and kombu; both are known before the start.

    `owned` says that this object started the server: then the server ends with `stop()`, or with this
    process. An object that attached to another's server does not end it, and loses it when the owner ends.
    """

    def __init__(self, folder: Path, *, server: Server | None = None) -> None:
        """`server` is the program to run, `locate()` unless given. Raises EmbeddedError for too long a path."""
        self.folder = folder.absolute()
        self.socket = socket_path(self.folder)
        self.log = self.folder / "store.log"
        self.url = f"unix://{quote(str(self.socket))}?db=0"
        self.celery_url = f"redis+socket://{quote(str(self.socket))}?virtual_host=0"
        self._server = server
        self._process: ServerProcess | None = None
        self._pid = os.getpid()
        # Held by the process that may start and stop the server.
        self._ownership = Lock(self.folder / "store.lock")

    @classmethod
    def attach(cls, folder: Path, *, progress: Progress | None = None) -> Embedded:
        """The store that runs in `folder`; waits while it loads. Raises EmbeddedError when none runs."""
        embedded = cls(folder)
        patience = Patience(progress)
        while (found := ping(embedded.socket)) is not StoreState.READY:
            if found is StoreState.ABSENT:
                raise EmbeddedError(f"no store runs in {embedded.folder}: start one with `penstock up`")
            patience.step(found, LOADING, f"the store in {embedded.folder} does not answer")
        return embedded

    @property
    def owned(self) -> bool:
        return self._process is not None and self._pid == os.getpid()

    @property
    def alive(self) -> bool:
        """Whether the server runs, as far as can be told without waiting."""
        if self._process is not None and self.owned:
            return self._process.alive
        return ping(self.socket) is not StoreState.ABSENT

    def start(self, *, progress: Progress | None = None) -> Embedded:
        """Start the server, or attach to the one that another process started; returns when it can be used.

        Blocks up to ten seconds, longer only while the server reports that it loads its data. Called again
        while it runs it does nothing; called again after the server died it starts a new one. Raises
        EmbeddedError.
        """
        if self._process is not None:
            # Asked and not remembered: the news of a death may not have reached us yet.
            if ping(self.socket) is not StoreState.ABSENT:
                return self
            self.stop()
        self._pid = os.getpid()
        _private(self.folder)
        patience = Patience(progress)
        while not self._ownership.take():
            # The owner writes the server's number when the server is ready; one without a number is on its
            # way up or down, and an answer may come from a server that is ending.
            found = ping(self.socket)
            if found is StoreState.READY and self._ownership.read():
                return self
            patience.step(
                found,
                "another process is starting the store",
                f"the store in {self.folder}, which another process started, does not answer",
            )
        try:
            self._launch(progress)
        except BaseException:
            self._end()
            raise
        return self

    def stop(self) -> None:
        """End the server when it is ours, and wait for that.

        Never raises for a server that is gone; twice is fine.
        """
        if not self.owned or self._process is None:
            return
        if self._ownership.fd is not None:
            self._ownership.write("")
        shut_down(self.socket)
        self._process.wait(SHUTDOWN_S if self._process.alive else 0)
        self._end()

    def __enter__(self) -> Embedded:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.alive:
            process.end(terminate_s=TERMINATE_S, kill_s=KILL_S)
        self._ownership.release()

    def _launch(self, progress: Progress | None) -> None:
        self._ownership.write("")
        server = self._server or locate()
        # Held by the server itself, so that two never write to one append-only file: a server whose owner was
        # killed may still be syncing.
        alone = Lock(self.folder / "server.lock")
        patience = Patience(progress)
        while not alone.take():
            shut_down(self.socket)
            patience.step(
                StoreState.SILENT,
                "an earlier store is ending",
                f"an earlier store in {self.folder} does not end",
            )
        try:
            offset = self._start_log()
            assert alone.fd is not None
            self._process = ServerProcess(server.path, self._arguments(), log=self.log, inherited_fd=alone.fd)
        finally:
            alone.release()
        self._await_ready(self._process, offset, progress)
        self._ownership.write(f"{self._process.pid}\n")

    def _await_ready(self, process: ServerProcess, offset: int, progress: Progress | None) -> None:
        patience = Patience(progress)
        while (found := ping(self.socket)) is not StoreState.READY:
            if not process.alive:
                raise EmbeddedError(
                    f"the embedded store ended at its start ({process.ending()}); "
                    f"the end of {self.log}:\n{self._log_tail(offset)}"
                )
            patience.step(found, LOADING, f"the embedded store does not answer; see {self.log}")

    def _arguments(self) -> list[str]:
        return [
            *("--port", "0"),
            *("--unixsocket", str(self.socket)),
            *("--unixsocketperm", "600"),
            *("--dir", str(self.folder)),
            *("--logfile", str(self.log)),
            *("--daemonize", "no"),
            *("--appendonly", "yes"),
            *("--appendfsync", "everysec"),
            *("--save", ""),
            # A full store must refuse and not forget.
            *("--maxmemory-policy", "noeviction"),
        ]

    def _start_log(self) -> int:
        """Make room in the log and return where this start's lines begin."""
        try:
            size = self.log.stat().st_size
        except FileNotFoundError:
            return 0
        if size < LOG_BYTES:
            return size
        self.log.replace(self.log.with_suffix(".log.1"))
        return 0

    def _log_tail(self, offset: int) -> str:
        with open(self.log, "rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(offset, end - LOG_TAIL_BYTES))
            return log.read().decode("utf-8", "replace").strip() or "(nothing was written)"


def _private(folder: Path) -> None:
    """Make `folder` with mode 0700 whatever the umask; one that is there is narrowed, another user's is
    refused.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.stat()
        if facts.st_uid != os.geteuid():
            raise EmbeddedError(f"the folder of the embedded store belongs to another user: {folder}")
        if facts.st_mode & 0o777 != 0o700:
            folder.chmod(0o700)
    except OSError as failure:
        raise EmbeddedError(f"the folder of the embedded store cannot be used: {failure}") from failure
