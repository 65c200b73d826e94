"""Prints, as JSON, in which state a command is started."""

import json
import os
import stat

with open("/proc/self/status") as file:
    STATUS = dict(line.split(":", 1) for line in file if ":" in line)


def signals(field):
    mask = int(STATUS[field].strip(), 16)
    return [number for number in range(1, 65) if mask >> (number - 1) & 1]


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


fds = [fd for fd in range(256) if is_open(fd)]
umask = os.umask(0)
os.umask(umask)
# Python itself ignores SIGPIPE and SIGXFSZ; who is started by posix_spawn, as by make, inherits glibc's own two.
own = {13, 25, 32, 33}
print(
    json.dumps(
        {
            "fds": fds,
            "umask": umask,
            "ignored": [number for number in signals("SigIgn") if number not in own],
            "blocked": signals("SigBlk"),
            "session": os.getsid(0) == os.getpid(),
            "tty": any(os.isatty(fd) for fd in (0, 1, 2)),
            "cwd": os.getcwd(),
            "mode": stat.S_IMODE(os.stat(".").st_mode),
            "entries": {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in os.scandir(".")},
        }
    )
)
