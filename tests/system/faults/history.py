"""History: what producers and commands say they did, in files outside the store, one line for each mark.

A line is `<kind> <task> <run> <pid> <seconds>`, appended with one write, so that any number of processes may share a
file and a kill leaves no half line.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from worker.model.listing import Event
from worker.model.task import Task

TRIED, ACCEPTED = "tried", "accepted"
START, TICK, END = "start", "tick", "end"
# In front of a bash program, which finds the file in $HISTORY. `printf` is built in: no process, one write.
BASH_MARK = """\
mark() { printf '%s %s %s %s %s\\n' "$1" "$TASK_ID" "$RUN_ID" "$$" "$EPOCHREALTIME" >> "$HISTORY"; }
"""


class Mark(Struct, frozen=True):
    """`tried` and `accepted` are a producer's (`run` is 0), `start`, `tick` and `end` a command's."""

    kind: str
    task: str
    run: int = 0
    pid: int = 0
    at_us: int = 0

    @property
    def at_ms(self) -> int:
        """As the store counts: cut, not rounded."""
        return self.at_us // 1000


class Histories(Struct, frozen=True):
    """`once`: names of scripts whose commands must not start twice for one task.

    `forgotten`: names of scripts whose tasks may have no record any more, when they have ended.
    `one_clock`: commands and the store read the same clock, so that their times can be compared.
    """

    producers: tuple[Mark, ...]
    commands: tuple[Mark, ...]
    events: tuple[Event, ...]
    tasks: Mapping[str, Task]
    once: frozenset[str] = frozenset()
    forgotten: frozenset[str] = frozenset()
    one_clock: bool = True

    def ids(self, kind: str) -> frozenset[str]:
        return frozenset(mark.task for mark in self.producers if mark.kind == kind)


def append(path: Path, kind: str, task: str, run: int = 0) -> None:
    seconds, rest = divmod(time.time_ns(), 10**9)
    line = f"{kind} {task} {run} {os.getpid()} {seconds}.{rest // 1000:06d}\n"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def read(path: Path) -> tuple[Mark, ...]:
    """The last line is left out while it is being written."""
    return tuple(_parsed(path.read_text().rpartition("\n")[0].splitlines())) if path.exists() else ()


def _parsed(lines: Iterable[str]) -> Iterable[Mark]:
    for line in lines:
        kind, task, run, pid, at = line.split(" ")
        seconds, _, fraction = at.partition(".")
        yield Mark(kind, task, int(run), int(pid), int(seconds) * 1_000_000 + int(fraction))
