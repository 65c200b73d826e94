"""Zygote: a process that has imported the command and forks whoever runs it, because importing takes most of the time.

What it forks is a process like any other, with arguments, environment, folder and streams of its own, as /proc tells
too. Nothing of a command has run in the zygote before: only its modules are there. How fast `penstock` starts, and what
it imports, is for tests that start an interpreter.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

_REQUEST_BYTES = 1024 * 1024
# For arguments and environment of what is forked, where /proc looks for them: the zygote's own have to be as long.
_ROOM = "." * 16384


def run(
    arguments: Sequence[str | bytes], *, stdin: bytes, env: dict[str, str], cwd: Path, timeout_s: float
) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of `penstock` with these arguments. Raises TimeoutExpired, and has ended it."""
    files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    try:
        os.write(files[0], stdin)
        os.lseek(files[0], 0, os.SEEK_SET)
        zygote = _zygote()
        pid = begin(arguments, files, env=env, cwd=cwd)
        zygote.settimeout(timeout_s)
        try:
            code = json.loads(zygote.recv(_REQUEST_BYTES))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            zygote.settimeout(None)
            zygote.recv(_REQUEST_BYTES)
            raise subprocess.TimeoutExpired(["penstock", *map(str, arguments)], timeout_s) from None
        finally:
            zygote.settimeout(None)
        return code, *(os.pread(file, os.fstat(file).st_size, 0) for file in files[1:])  # type: ignore[return-value]
    finally:
        for file in files:
            os.close(file)


def begin(
    arguments: Sequence[str | bytes],
    files: Sequence[int],
    *,
    env: Mapping[str, str],
    cwd: str | Path,
    stays: bool = False,
    session: bool = False,
) -> int:
    """Fork one, whose stdin, stdout and stderr are these files; its number. `stays`: the zygote abandons it at once."""
    mask = os.umask(0)
    os.umask(mask)
    argv = [os.fsdecode(a) for a in arguments]
    asked = {"argv": argv, "env": dict(env), "cwd": str(cwd), "umask": mask, "stays": stays, "session": session}
    zygote = _zygote()
    socket.send_fds(zygote, [json.dumps(asked).encode()], files)
    pid: int = json.loads(zygote.recv(_REQUEST_BYTES))
    return pid


@cache
def _zygote() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.zygote", str(theirs.fileno()), _ROOM],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "ROOM": _ROOM},
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(requests: socket.socket) -> dict[str, Any]:
    """Forks for each request, one after the other. Returns in the child only."""
    while True:
        data, files, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, 3)
        if not data:
            os._exit(0)
        request: dict[str, Any] = json.loads(data)
        pid = _abandoned() if request["stays"] else os.fork()
        if pid == 0:
            requests.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            return request
        for file in files:
            os.close(file)
        requests.send(json.dumps(pid).encode())
        if not request["stays"]:
            _, status = os.waitpid(pid, 0)
            requests.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())


def _abandoned() -> int:
    """As fork, but whose child the process is, is for the kernel to say, which has done so when it begins."""
    told, tell = os.pipe()
    allowed, allow = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid:
            os.write(tell, str(pid).encode())
            os._exit(0)
        os.read(allowed, 1)
    else:
        os.waitpid(between, 0)
        pid = int(os.read(told, 20))
        os.write(allow, b"!")
    for end in (told, tell, allowed, allow):
        os.close(end)
    return pid


def _show(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Where /proc looks for arguments and environment stand those of the zygote: write these over them."""
    with open("/proc/self/stat") as file:
        # proc(5): fields 48 to 51, of which the third is the first behind the name.
        argv_begin, argv_end, env_begin, env_end = map(int, file.read().rpartition(")")[2].split()[45:49])
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        for begins, room, texts in (
            (argv_begin, argv_end - argv_begin, argv),
            (env_begin, env_end - env_begin, [f"{name}={value}" for name, value in env.items()]),
        ):
            text = b"".join(os.fsencode(each) + b"\0" for each in texts)
            memory.seek(begins)
            memory.write(text[: room - 1].ljust(room, b"\0"))


def _main() -> None:
    import gc

    from worker.cli.main import COMMANDS, main

    for name in (*COMMANDS, "deployment", "execution", "follow", "running", "terminal"):
        import_module(f"worker.cli.{name.replace('-', '_')}")
    for name in (
        "worker.config",
        "worker.daemons.beating",
        "worker.daemons.serving",
        "worker.daemons.wiring",
        "worker.daemons.worker",
        "worker.operations.cancel",
        "engine.execute",
        "redis.asyncio",
        "worker.cli.remote_door",
    ):
        import_module(name)
    gc.collect()
    gc.freeze()
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    sys.argv = ["penstock", *request["argv"]]
    _show([sys.executable, "-m", "worker.cli.main", *request["argv"]], request["env"])
    if request["session"]:
        os.setsid()
    # As an interpreter opens them: what it found out about the zygote's own need not be true of these.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    main()


if __name__ == "__main__":
    _main()
