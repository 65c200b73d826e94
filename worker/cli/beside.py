"""Beside: a `penstock up` started for the time of one command, and ended with it however that ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from worker.cli import exit_codes
from worker.cli.deployment import store_runs
from worker.cli.failure import Failure
from worker.config import Settings

_POLL_S = 0.02
_TAIL_BYTES = 2000
# What comes on top of the grace that running commands have: the worker's and the store's own end.
_END_S = 30.0


class Beside:
    """The process and its log, which is `up.log` in the state folder and starts anew each time."""

    def __init__(self, settings: Settings) -> None:
        """Starts it. In a session of its own, so that Ctrl-C reaches it through us only."""
        self._settings = settings
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log = settings.state_dir / "up.log"
        with open(self._log, "wb", opener=_private) as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "worker.cli.main",
                    "-C",
                    str(settings.home),
                    "up",
                    "--no-api",
                    "--lifeline",
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def ready(self) -> None:
        """Returns when the store can be used. Raises Failure with the end of the log when the process ends first."""
        while not store_runs(self._settings):
            if self._process.poll() is not None:
                raise self.failure()
            await asyncio.sleep(_POLL_S)

    async def ended(self) -> None:
        """Returns when the process has ended, which it should not by itself."""
        while self._process.poll() is None:  # noqa: ASYNC110 - a process sets no asyncio.Event
            await asyncio.sleep(_POLL_S * 10)

    def failure(self) -> Failure:
        """Why there is no worker any more."""
        code = self._process.returncode
        kept = code if code in (exit_codes.DATA, exit_codes.UNAVAILABLE) else exit_codes.TRY_AGAIN
        return Failure(kept, f"the worker ended with exit code {code}; the end of {self._log}:", *self._tail())

    async def stop(self) -> None:
        """End it as SIGTERM does: running commands have their grace. Called twice: no-op."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, self._settings.worker.shutdown_grace_s + _END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                await asyncio.to_thread(self._process.wait)
        if self._process.stdin:
            self._process.stdin.close()

    def _tail(self) -> list[str]:
        with open(self._log, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return log.read().decode("utf-8", "replace").splitlines()[-10:]


def _private(path: str, flags: int) -> int:
    fd = os.open(path, flags | os.O_NOFOLLOW, 0o600)
    os.fchmod(fd, 0o600)
    return fd
