"""Zygote: a process that has imported the command and forks whoever runs it, because importing takes most of the time.

What it forks is a process like any other, with arguments, environment, folder and streams of its own. Nothing of a
command has run in the zygote before: only its modules are there. How fast `penstock` starts, and what it imports, is
for tests that start an interpreter.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

_REQUEST_BYTES = 1024 * 1024


def run(
    arguments: Sequence[str | bytes], *, stdin: bytes, env: dict[str, str], cwd: Path, timeout_s: float
) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of `penstock` with these arguments. Raises TimeoutExpired, and has ended it."""
    files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    try:
        os.write(files[0], stdin)
        os.lseek(files[0], 0, os.SEEK_SET)
        mask = os.umask(0)
        os.umask(mask)
        request = {"argv": [os.fsdecode(a) for a in arguments], "env": env, "cwd": str(cwd), "umask": mask}
        zygote = _zygote()
        socket.send_fds(zygote, [json.dumps(request).encode()], files)
        pid = json.loads(zygote.recv(_REQUEST_BYTES))
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


@cache
def _zygote() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.zygote", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
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
        pid = os.fork()
        if pid == 0:
            requests.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            request: dict[str, Any] = json.loads(data)
            return request
        for file in files:
            os.close(file)
        requests.send(json.dumps(pid).encode())
        _, status = os.waitpid(pid, 0)
        requests.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())


def _main() -> None:
    import gc

    from worker.cli.main import COMMANDS, main

    for name in (*COMMANDS, "deployment", "execution", "follow", "running", "terminal"):
        import_module(f"worker.cli.{name.replace('-', '_')}")
    for name in (
        "worker.config",
        "worker.daemons.wiring",
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
    main()


if __name__ == "__main__":
    _main()
