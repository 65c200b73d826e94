"""Folders that serve one run after the other: no run can tell that another was there before."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.workdir import Workdir, Workdirs
from engine.workdir.workdirs import kernel_ns

DEADLINE_S = 10


def change_mode(folder: Path) -> None:
    folder.chmod(0o755)


def change_mode_of_artifacts(folder: Path) -> None:
    (folder / "artifacts").chmod(0o1777)


def leave_a_file(folder: Path) -> None:
    (folder / ".hidden").write_text("secret")


def leave_an_artifact(folder: Path) -> None:
    (folder / "artifacts" / "key").write_text("secret")


def leave_an_attribute(folder: Path) -> None:
    os.setxattr(folder, "user.note", b"secret")


def leave_an_attribute_of_artifacts(folder: Path) -> None:
    os.setxattr(folder / "artifacts", "user.note", b"secret")


def link_artifacts_elsewhere(folder: Path) -> None:
    (folder / "artifacts").rmdir()
    (folder / "artifacts").symlink_to("/tmp")


def remove_artifacts(folder: Path) -> None:
    (folder / "artifacts").rmdir()


def move_away(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def put_another_in_its_place(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.mkdir(mode=0o700)
    (folder / "artifacts").mkdir(mode=0o700)


def nothing(folder: Path) -> None:
    pass


CHANGES = (
    *(change_mode, change_mode_of_artifacts, leave_a_file, leave_an_artifact, leave_an_attribute),
    *(leave_an_attribute_of_artifacts, link_artifacts_elsewhere, remove_artifacts, move_away),
    *(put_another_in_its_place, nothing),
)


async def give_back(workdirs: Workdirs, workdir: Workdir) -> None:
    await workdirs.give_back(workdir, untouched=workdir.untouched())


def assert_fresh(workdir: Workdir) -> None:
    for path in (workdir.path, workdir.path / "artifacts"):
        found = path.lstat()
        assert stat.S_ISDIR(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o700
        assert found.st_uid == os.getuid()
        assert os.listxattr(path) == []
    assert os.listdir(workdir.fd) == ["artifacts"]
    assert list((workdir.path / "artifacts").iterdir()) == []
    assert os.path.samestat(os.fstat(workdir.fd), workdir.path.lstat())


def a_tick_later(folder: Path) -> None:
    """Return when the file system's clock has moved on since the folder was made."""
    probe = folder.parent.parent / "probe"
    deadline = time.monotonic() + DEADLINE_S
    probe.touch()
    while probe.stat().st_ctime_ns <= max(path.stat().st_ctime_ns for path in (folder, folder / "artifacts")):
        assert time.monotonic() < deadline
        probe.touch()


@pytest.mark.parametrize("later_s", [0, 1, 10], ids=["new", "a second old", "old"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_next_run_cannot_tell_what_a_run_did_to_its_folder(
    tmp_path: Path, change: Callable[[Path], None], later_s: int
) -> None:
    async def scene() -> None:
        ahead_s = 0
        workdirs = Workdirs(tmp_path / "work", lambda: kernel_ns() + ahead_s * 10**9)
        for _ in range(3):
            ahead_s = 0
            await give_back(workdirs, workdirs.take())
            ahead_s = later_s
            workdir = workdirs.take()
            assert_fresh(workdir)
            if later_s:
                a_tick_later(workdir.path)
            try:
                change(workdir.path)
            except OSError as error:
                pytest.skip(f"not to be had on this file system: {error}")
            await give_back(workdirs, workdir)
        workdirs.close()

    asyncio.run(scene())
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("ahead_s", [0.3, 1, 10], ids=lambda ahead_s: f"{ahead_s} s ahead")
def test_what_a_run_leaves_is_seen_where_a_file_server_has_another_clock(tmp_path: Path, ahead_s: float) -> None:
    """On the file system whose times are the coarsest that Linux has, with a clock that is not the kernel's."""
    mount = 'mount -t ramfs none "$1" || exit 77; shift; exec "$@"'
    seen = """
import sys
from pathlib import Path
from engine.workdir import Workdirs
from engine.workdir.workdirs import kernel_ns

workdirs = Workdirs(Path(sys.argv[1]), lambda: kernel_ns() + int(float(sys.argv[2]) * 10**9))
for _ in range(20):
    workdir = workdirs.take()
    (workdir.path / "artifacts" / "result").write_text("5")
    assert not workdir.untouched(), "what it left is not seen"
    workdir.wipe()
"""
    run = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", tmp_path, sys.executable, "-c", seen, tmp_path, str(ahead_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if run.returncode == 77 or run.stdout.startswith("unshare:"):
        pytest.skip(f"no namespace for a mount of our own: {run.stdout}")
    assert run.returncode == 0, run.stdout


def test_a_folder_in_which_nothing_was_left_serves_the_next_run(tmp_path: Path) -> None:
    async def scene() -> None:
        workdirs = Workdirs(tmp_path / "work")
        first, second = workdirs.take(), workdirs.take()
        assert first.path != second.path
        await give_back(workdirs, first)
        assert workdirs.take() is first
        for workdir in (first, second):
            await give_back(workdirs, workdir)
        workdirs.close()

    asyncio.run(scene())


def test_a_folder_in_which_something_may_live_on_is_not_used_again(tmp_path: Path) -> None:
    async def scene() -> None:
        workdirs = Workdirs(tmp_path / "work")
        workdir = workdirs.take()
        await workdirs.give_back(workdir, untouched=False)
        assert not workdir.path.exists()
        assert workdirs.take() is not workdir
        workdirs.close()

    asyncio.run(scene())


def test_nothing_stays_on_the_disk_while_there_is_nothing_to_do(tmp_path: Path) -> None:
    async def scene() -> None:
        workdirs = Workdirs(tmp_path / "work")
        await give_back(workdirs, workdirs.take())
        async with asyncio.timeout(DEADLINE_S):
            while list((tmp_path / "work").iterdir()):
                await asyncio.sleep(0.01)
        assert_fresh(workdir := workdirs.take())
        await give_back(workdirs, workdir)
        workdirs.close()

    asyncio.run(scene())
