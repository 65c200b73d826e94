"""Vitals: load, memory and disk of this host, as far as this process may use them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from worker.model.worker import Vitals

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def vitals(folder: Path) -> Vitals:
    """`folder`: whose disk is meant. What cannot be known is 0. Takes some tens of microseconds."""
    disk_free, disk_total = disk(folder)
    memory_free, memory_total = memory()
    load = 0.0
    with suppress(OSError):
        load = round(os.getloadavg()[0], 2)
    return Vitals(load, os.cpu_count() or 0, memory_free, memory_total, disk_free, disk_total)


def disk(folder: Path) -> tuple[int, int]:
    """What a process without special rights may still write to the file system of the folder, and its size."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def memory(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> tuple[int, int]:
    """What can be had without swapping, and the whole, in bytes: of the host or, if it is less, of the container."""
    free = total = 0
    with suppress(OSError, ValueError):
        for line in meminfo.read_bytes().splitlines():
            name, _, value = line.partition(b":")
            if name == b"MemTotal":
                total = int(value.split()[0]) * 1024
            elif name == b"MemAvailable":
                free = int(value.split()[0]) * 1024
                break
    with suppress(OSError, ValueError):  # no limit reads `max`
        most = int((cgroup / "memory.max").read_bytes())
        used = int((cgroup / "memory.current").read_bytes())
        for line in (cgroup / "memory.stat").read_bytes().splitlines():
            if line.startswith(b"inactive_file "):
                used -= int(line.split()[1])  # given back when somebody needs it
                break
        if not total or most < total:
            free, total = min(free or most, max(0, most - used)), most
    return free, total
