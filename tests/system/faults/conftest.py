"""Sites for faults, in temporary folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.faults.fault_site import FaultSite


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a short name, for the store's socket."""
    folder = Path(tempfile.mkdtemp(prefix="pf"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def site(folder: Path) -> Iterator[FaultSite]:
    with FaultSite(folder) as site:
        yield site


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own with 24 MiB, that a test may fill."""
    if os.geteuid() != 0:
        pytest.skip("a full disk needs a file system of its own, which only root may mount")
    folder = Path(tempfile.mkdtemp(prefix="pd"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip(f"a full disk needs a file system of its own: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()
