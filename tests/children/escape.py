"""Tries to leave processes behind: `double-fork`, `sessions` (200 of them) or `fork-for-ever`."""

import os
import sys
import time


def detach():
    """Fork, a session of its own, fork again, every descriptor closed. True in the one that got away."""
    if os.fork():
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 64)
    return True


kind = sys.argv[1]
if kind == "double-fork":
    if detach():
        time.sleep(600)
        os._exit(0)
elif kind == "sessions":
    for _ in range(200):
        if os.fork() == 0:
            os.setsid()
            os.closerange(0, 64)
            time.sleep(600)
            os._exit(0)
elif kind == "fork-for-ever" and detach():
    # Always another process, always in another session; each lives for an instant.
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if os.fork():
            os._exit(0)
        os.setsid()
time.sleep(0.1)
