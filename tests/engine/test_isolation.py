"""`runner: isolated` with the real bubblewrap: what a command can reach there, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from engine.isolation import bubblewrap
from engine.process.abort import Abort
from engine.script.program import PYTHON, SHELL, Program
from tests.engine.conftest import Engine
from tests.system.installed import installed

_INSTALL_S = 60


def _left_out(why: str) -> NoReturn:
    """PENSTOCK_TEST_BUBBLEWRAP=required: then it is a failure."""
    say = pytest.fail if os.environ.get("PENSTOCK_TEST_BUBBLEWRAP") == "required" else pytest.skip
    say(f"bubblewrap is left out: {why}")


def _find() -> Path | None:
    path = Path("/usr/bin/bwrap")
    return path if path.exists() else None


@pytest.fixture(scope="module", autouse=True)
def apart() -> None:
    installed("bubblewrap", _find, _left_out, within_s=_INSTALL_S)
    bubblewrap.cache_clear()  # somebody may have looked before it was there
    if bubblewrap() is None:
        _left_out("the kernel lets it make no namespaces here")


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of this host on which somebody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def isolated(kind: str, body: str) -> Program:
    return Program(kind, body=body.encode(), sha256=hashlib.sha256(body.encode()).hexdigest(), isolated=True)


def test_a_command_reaches_its_payload_and_its_work_folder_and_nothing_else(
    engine: Engine, tmp_path: Path, listening: int
) -> None:
    secret = tmp_path / "of-another-run"
    secret.write_text("secret")
    body = f"""
import json, os, socket, sys

def refusal(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return os.strerror(error.errno)
    return "done"

def entries(folder):
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

os.makedirs("artifacts/public")
open("artifacts/public/made.txt", "w").write("made")
print(json.dumps({{
    "payload": json.load(sys.stdin),
    "interfaces": [name for _, name in socket.if_nameindex()],
    "network": refusal(socket.create_connection, ("127.0.0.1", {listening}), 5),
    "root": refusal(open, "/etc/penstock-was-here", "w"),
    "device": refusal(os.mknod, "disk", 0o600 | 0o60000, os.makedev(8, 0)),
    "homes": entries("/root") + entries("/home") + entries("/srv") + entries("/run"),
    "other": os.path.exists({str(secret)!r}),
    "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
    "capabilities": [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")],
    "task": os.environ["TASK_ID"],
    "strange": sorted(os.environ.keys() - {{"TASK_ID", "RUN_ID", "MARK", "PATH", "PWD", "LC_CTYPE"}}),
}}))
"""
    found = engine(["not", "used"], b'{"n": 9007199254740993, "s": "$(touch x)"}', program=isolated(PYTHON, body))
    assert found.outcome.status == "completed", found.log
    told = json.loads(found.lines[-1])
    assert told.pop("processes") <= 3  # bubblewrap's own, and the command
    assert told == {
        "payload": {"n": 9007199254740993, "s": "$(touch x)"},
        "interfaces": ["lo"],
        "network": "Connection refused",
        "root": "Read-only file system",
        "device": "Operation not permitted",
        "homes": [],
        "other": False,
        "capabilities": ["0000000000000000"],
        "task": "task-1",
        "strange": [],
    }
    [artifact] = found.outcome.artifacts
    assert (artifact.name, artifact.public) == ("public/made.txt", True)


def test_a_cancel_ends_the_whole_tree_of_an_isolated_command(engine: Engine, tmp_path: Path) -> None:
    # Three have sessions of their own and lost their parents; none hears a SIGTERM.
    body = """
trap '' TERM
for number in 1 2 3; do (setsid bash -c 'echo begun; exec sleep 600' &); done
sleep 600
"""

    def cancel(abort: Abort) -> None:
        async def when_begun() -> None:
            log = tmp_path / "log-1.txt"
            async with asyncio.timeout(20):
                while not log.exists() or log.read_bytes().count(b"begun") < 3:
                    await asyncio.sleep(0.01)
            abort.request("cancelled", "cancelled", "cancelled by the test")

        waiting.append(asyncio.ensure_future(when_begun()))

    waiting: list[asyncio.Future[None]] = []
    # That nothing of the run is alive afterwards is looked at by `engine`.
    found = engine(["not", "used"], program=isolated(SHELL, body), when=cancel, kill_grace_s=0.0)
    assert (found.outcome.status, found.outcome.reason) == ("cancelled", "cancelled"), found


def test_a_file_runs_isolated_from_what_was_checked(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "checked.sh"
    path.write_text('cat; echo "$1"; ls /root')
    path.chmod(0o755)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    program = Program(SHELL, str(path), sha256=digest, arguments=("--bind / /",), isolated=True)
    found = engine(["not", "used"], b"{}", program=program)
    assert (found.outcome.status, found.log) == ("completed", b"{}--bind / /\n")
    path.write_text("echo swapped")
    refused = engine(["not", "used"], b"{}", program=program)
    assert (refused.outcome.reason, refused.outcome.exit) == ("not-admitted", None)
