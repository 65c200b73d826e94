"""Room: whether there is space on the disk to run anything."""

from __future__ import annotations

import os
from pathlib import Path


def free_bytes(folder: Path) -> int:
    """What a process without special rights may still write to the file system of the folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
