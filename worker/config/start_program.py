"""The fixed command of `exec` and `shell`: reads what is asked for on stdin and becomes that program.

Run by its path, as `python -I -S start_program.py WHAT`: it knows the standard library only. WHAT is JSON: by their
names the absolute paths of the programs that there are, or the path of the shell. What stdin says was checked by the
worker, against the schemas in its settings; nothing else than these paths is ever started.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, NoReturn

# As shells say it.
_CANNOT_RUN = 126
_NOT_FOUND = 127


def main(what: str) -> NoReturn:
    known, asked = json.loads(what), json.load(sys.stdin.buffer)
    argv = _argv(known, asked)
    # What it is to do was in the payload; a program that reads on has nothing to read.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    # Python ignores them, and a program would inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    # Python sets it by itself when no locale is given.
    env = {name: value for name, value in os.environb.items() if name != b"LC_CTYPE"}
    folder = asked.get("cwd")
    try:
        if folder is not None:
            os.chdir(folder)
    except OSError as error:
        _fail(f"cannot work in {folder}: {error.strerror}", _CANNOT_RUN)
    try:
        os.execve(argv[0], argv, env)  # noqa: S606 - that is what it is for
    except OSError as error:
        not_there = isinstance(error, FileNotFoundError)
        _fail(f"cannot run {argv[0].decode()}: {error.strerror}", _NOT_FOUND if not_there else _CANNOT_RUN)


def _argv(known: dict[str, Any], asked: dict[str, Any]) -> list[bytes]:
    if "shell" in known:
        # Whatever it begins with is no option of the shell.
        words = [known["shell"], "-c", "--", asked["text"]]
    else:
        words = [known["programs"][asked["program"]], *asked["args"]]
    return [word.encode() for word in words]


def _fail(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
