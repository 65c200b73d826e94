"""Stdin: what a command reads, as a sealed file in memory.

A file has no reader to wait for: three megabytes that nobody reads, or a child that inherits the descriptor and
keeps it, can neither block the worker nor break a pipe.
"""

from __future__ import annotations

import fcntl
import os

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def open_stdin(data: bytes) -> int:
    """A close-on-exec descriptor, opened read-only at offset 0, that reads as `data` and then end-of-file."""
    writable = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        written = os.write(writable, data)
        while written < len(data):
            written += os.write(writable, memoryview(data)[written:])
        fcntl.fcntl(writable, fcntl.F_ADD_SEALS, _SEALS)
        # Opened anew: the command gets an offset and an access mode of its own.
        return os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writable)
