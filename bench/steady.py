"""A command that writes lines at a steady pace: `steady.py <lines per second> <seconds>`.

Each line begins with the monotonic time at which it was made, in nanoseconds, and its number. It writes once a
millisecond all that is due, and catches up when it was late.
"""

import os
import sys
import time

TEXT = b" a line of a log, as a build writes it, about a hundred characters\n"


def main(per_s: int, seconds: float) -> None:
    total, number = int(per_s * seconds), 0
    begun = time.monotonic()
    while number < total:
        due = min(total, int((time.monotonic() - begun) * per_s) + 1)
        stamp = time.monotonic_ns()
        block = b"".join(b"%d %d" % (stamp, each) + TEXT for each in range(number, due))
        while block:
            block = block[os.write(1, block) :]
        number = due
        time.sleep(max(0.001, begun + number / per_s - time.monotonic()))


main(int(sys.argv[1]), float(sys.argv[2]))
