"""Becomes the server: `launch.py <owner's pid> <program> <argument>...`. Run by path, never imported.

It asks the kernel to end the server when its owner ends, by whatever signal, and then replaces itself by the
server, so that nothing stays in memory. The alternative, a watcher process that holds a pipe, costs an
interpreter for as long as the store runs; a hook between fork and exec is not safe in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    owner, program, arguments = int(sys.argv[1]), sys.argv[2], sys.argv[2:]
    # A blocked SIGTERM would be inherited over exec and would hold back the signal asked for below.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o077)
    if sys.platform == "linux":
        # SIGTERM and not SIGKILL: the server then writes and syncs what it has accepted.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        # The owner may have ended before the request was made.
        if os.getppid() != owner:
            sys.exit("the process that started the store is gone")
    os.execv(program, arguments)  # noqa: S606 - a fixed argv; that is what this file is for


main()
