"""A clock that a test can step: of one program, by libfaketime. The clock of the machine stays as it is.

What is monotonic goes on as it did, as it does when an operator or a time server steps the clock of a host.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import NoReturn

import pytest

from tests.system.installed import installed
from worker.embedded.locate import Server, locate

_INSTALL_S = 120


class SteppedClock:
    """`env` gives a program this clock; `step` moves it while the program runs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._library = _library()
        self._file = folder / "clock"
        self._ahead_s = 0
        self.step(0)

    @property
    def env(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, seconds: int) -> None:
        """Forward, or back; the program sees it at its next look at the clock."""
        self._ahead_s += seconds
        written = self._file.with_suffix(".new")
        written.write_text(f"{self._ahead_s:+d}s\n")
        written.replace(self._file)  # never half a line

    def server(self) -> Server:
        """The server of the embedded store, with this clock."""
        real = locate()
        program = self._file.with_name("server-with-a-clock")
        given = " ".join(f"{name}='{value}'" for name, value in self.env.items())
        program.write_text(f"#!/bin/sh\nexec env {given} '{real.path}' \"$@\"\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return Server(program, real.kind)


def _library() -> Path:
    """libfaketime, installed when that is allowed; else the test is skipped with the reason."""
    return installed("libfaketime", _find, _left_out, within_s=_INSTALL_S)


def _find() -> Path | None:
    places = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), *Path("/usr").glob("l*/faketime/libfaketime.so.1")]
    return next(iter(places), None)


def _left_out(why: str) -> NoReturn:
    pytest.skip(f"steps of the clock are left out: {why}")
