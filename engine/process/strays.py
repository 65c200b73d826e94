"""Strays: what lives on of runs whose worker and supervisors were all killed at once, found by its work folder.

A supervisor that lives leaves none. Not found is what has neither the folder as its current one, nor the environment
of its run, nor such a parent.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

_SUPERVISORS = (b"penstock-nurse", b"penstock-slot")
# Each round finds what was started while the one before looked.
_ROUNDS = 20
_PAUSE_MS = 5  # for what was killed to end; what is in uninterruptible sleep takes longer


def end_strays(work_root: Path, runs: Collection[tuple[str, str]]) -> tuple[tuple[str, ...], bool]:
    """SIGKILL to whatever still runs in there, or has TASK_ID and RUN_ID of one of the runs.

    `name (pid)` of each, and whether nothing is left. Only for the folder of a worker that lives no more, nor any
    supervisor of it, and runs that it had. Blocks while it reads /proc.
    """
    root = os.fsencode(os.path.realpath(work_root))
    ids = {(os.fsencode(task_id), os.fsencode(run_id)) for task_id, run_id in runs}
    ended: dict[int, str] = {}
    for _ in range(_ROUNDS):
        killed = _kill(root, ids)
        if not killed:
            return tuple(ended.values()), True
        ended |= killed
        select.poll().poll(_PAUSE_MS)
    return tuple(ended.values()), False


class _Process(Struct, frozen=True):
    pid: int
    name: bytes
    parent: int
    on_terminal: bool
    started: bytes
    """In clock ticks since the boot: with the number it is the process, whoever adopts it."""

    @classmethod
    def look(cls, pid: int) -> _Process | None:
        """None when it has ended."""
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                stat = file.read()
            name, rest = stat[stat.index(b"(") + 1 : stat.rindex(b")")], stat[stat.rindex(b")") + 2 :].split()
            return None if rest[0] in (b"Z", b"X") else cls(pid, name, int(rest[1]), rest[4] != b"0", rest[19])
        except (OSError, ValueError, IndexError):
            return None


def _kill(root: bytes, runs: Collection[tuple[bytes, bytes]]) -> dict[int, str]:
    seen = [_Process.look(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()]
    processes = {process.pid: process for process in seen if process}
    strays = {
        pid for pid, process in processes.items() if _is_of(process, root, runs) and not _supervised(pid, processes)
    }
    below = {pid for pid in processes if not strays.isdisjoint(_ancestors(pid, processes))}
    killed = {}
    for pid in sorted((strays | below) - {os.getpid()}):
        with suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                # The number may have become another's since; this one's cannot as long as the handle finds it alive.
                process = _Process.look(pid)
                if process and process.started == processes[pid].started:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    killed[pid] = f"{process.name.decode('utf-8', 'backslashreplace')} ({pid})"
            finally:
                os.close(handle)
    return killed


def _is_of(process: _Process, root: bytes, runs: Collection[tuple[bytes, bytes]]) -> bool:
    with suppress(OSError):
        # A person who looks into the folder has a terminal; a command has none.
        if not process.on_terminal and (os.readlink(f"/proc/{process.pid}/cwd".encode()) + b"/").startswith(
            root + b"/"
        ):
            return True
    try:
        with open(f"/proc/{process.pid}/environ", "rb") as file:
            variables = dict(one.partition(b"=")[::2] for one in file.read().split(b"\0"))
    except OSError:
        return False
    return (variables.get(b"TASK_ID"), variables.get(b"RUN_ID")) in runs


def _supervised(pid: int, processes: dict[int, _Process]) -> bool:
    """Another deployment may have a run of the same name: that one lives below its supervisor."""
    return any(processes[above].name in _SUPERVISORS for above in _ancestors(pid, processes))


def _ancestors(pid: int, processes: dict[int, _Process]) -> list[int]:
    found: list[int] = []
    while (pid := processes[pid].parent if pid in processes else 0) in processes and pid not in found:
        found.append(pid)
    return found
