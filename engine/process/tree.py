"""Tree: what is below a supervisor, and its end.

A supervisor is a child subreaper: whatever its command starts, also after `setsid` or a double fork, is its
descendant, and becomes its direct child when everything between them has ended. Only direct children are ever
signalled by number: the kernel cannot give their number to a stranger before we have reaped them.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False  # `typing` would take a megabyte in a supervisor
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # what `signal` makes its enums of


def children() -> list[int]:
    """The direct children of this single-threaded process, zombies included. May miss one that is being born."""
    pid = os.getpid()
    try:
        with open(f"/proc/self/task/{pid}/children", "rb") as file:
            return [int(number) for number in file.read().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return _children_of(pid)


def _children_of(parent: int) -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _parent(entry) == parent]


def _parent(pid: str) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def names(most: int = 20) -> list[str]:
    """What still lives below, as `name (pid)`, for the log; children of children included where they can be seen."""
    found: list[str] = []
    queue = children()
    while queue and len(found) < most:
        pid = queue.pop(0)
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                stat = file.read()
            name, rest = stat[stat.index(b"(") + 1 : stat.rindex(b")")], stat[stat.rindex(b")") + 2 :]
            if rest[:1] != b"Z":
                found.append(f"{name.decode('utf-8', 'backslashreplace')} ({pid})")
            with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
                queue += [int(number) for number in file.read().split()]
        except (OSError, ValueError):
            continue
    return found


def signal_all(number: int) -> None:
    """Send a signal to every direct child and, while it is one, to its whole process group."""
    own = os.getpgrp()
    groups = set()
    for pid in children():
        try:
            group = os.getpgid(pid)
            # The group of a child that we have not reaped exists as long as the child, so it cannot be a
            # stranger's; its members are all of one session, and that session was made below us.
            if group != own and group not in groups:
                groups.add(group)
                os.killpg(group, number)
            elif group == own:
                os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def reap() -> bool:
    """Collect every child that has ended. True while there are others."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True


def end_all(rounds: int) -> bool:
    """SIGKILL everything below until nothing is left. False when something still lives after so many rounds.

    A round in which nothing ended waits a little longer each time, up to 20 ms: a process in uninterruptible sleep
    cannot be killed before it wakes.
    """
    pause_ms = 0
    for _ in range(rounds):
        if not reap():
            return True
        signal_all(signal.SIGKILL)
        if pause_ms:
            select.poll().poll(pause_ms)
        else:
            os.sched_yield()
        pause_ms = min(20, pause_ms + 1)
    return not reap()
