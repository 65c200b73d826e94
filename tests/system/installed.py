"""A Debian package that a test needs: installed when that is allowed, and else left out with a clear reason."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


def installed(
    package: str, find: Callable[[], Path | None], left_out: Callable[[str], NoReturn], *, within_s: float
) -> Path:
    """What `find` finds, before or after the installation. `left_out` is told why there is none."""
    found = find()
    if found is None:
        with Path(tempfile.gettempdir(), "penstock-tests-install.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side
            if find() is None:
                _install(package, left_out, within_s)
        found = find()
    return found or left_out(f"{package} is not there after its installation")


def _install(package: str, left_out: Callable[[str], NoReturn], within_s: float) -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        left_out(f"no {package} here, and only root with apt-get may install it")
    # Debian starts a service at its installation unless this says no; that of a host stays as it is.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    wait = ["-o", f"DPkg::Lock::Timeout={within_s:g}", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=20"]
    until = time.monotonic() + within_s
    try:
        for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
            done = subprocess.run(
                ["apt-get", "-qq", *wait, *command],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=max(1.0, until - time.monotonic()),
                check=False,
            )
            if done.returncode:
                left_out(f"apt-get {command[0]} failed: {done.stderr.decode()[-300:]}")
    except subprocess.TimeoutExpired:
        left_out(f"it could not be installed within {within_s:g} s")
    finally:
        if ours:
            policy.unlink()
