"""What outlives the supervisors of a run is found by the work folder and ended, and nobody else is."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from engine.process.slots import Slots
from engine.process.strays import end_strays

OF_THE_RUN = {"TASK_ID": "task-1", "RUN_ID": "3"}
RUNS = [("task-1", "3")]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    work = tmp_path / "work" / "one-1-abcdef"
    (work / "0123456789abcdef" / "artifacts").mkdir(parents=True)
    return work


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(stack: ExitStack, *argv: str, **options: Any) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(argv or ("/bin/sleep", "600"), **{"env": {}, "start_new_session": True, **options})
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def test_a_process_is_found_by_its_folder_or_its_environment(work: Path, stack: ExitStack) -> None:
    there = start(stack, cwd=work / "0123456789abcdef" / "artifacts")
    elsewhere = start(stack, cwd="/", env=OF_THE_RUN)
    ended, clean = end_strays(work, RUNS)
    assert sorted(ended) == sorted(f"sleep ({process.pid})" for process in (there, elsewhere))
    assert clean
    assert (there.wait(5), elsewhere.wait(5)) == (-9, -9)


def test_a_child_of_one_goes_with_it_whatever_it_made_of_itself(work: Path, stack: ExitStack) -> None:
    command = "cd /; env -i setsid sleep 600 & echo $!; wait"
    parent = start(stack, "/bin/sh", "-c", command, cwd=work / "0123456789abcdef", env=OF_THE_RUN, stdout=-1)
    assert parent.stdout
    with parent.stdout:
        child = os.pidfd_open(int(parent.stdout.readline()))
    stack.callback(os.close, child)
    ended, clean = end_strays(work, RUNS)
    assert len(ended) == 2 and clean


def test_a_folder_that_is_gone_already_still_tells(work: Path, stack: ExitStack) -> None:
    folder = work / "0123456789abcdef"
    process = start(stack, cwd=folder)
    (folder / "artifacts").rmdir()
    folder.rmdir()
    assert end_strays(work, RUNS) == ((f"sleep ({process.pid})",), True)


@pytest.mark.parametrize(
    "env",
    [{}, {"TASK_ID": "task-1"}, {"TASK_ID": "task-1", "RUN_ID": "4"}, {"TASK_ID": "task-1-3", "RUN_ID": "0123abcd"}],
)
def test_another_run_is_left_alone(work: Path, stack: ExitStack, env: dict[str, str]) -> None:
    neighbour = work.parent / f"{work.name}-too"
    neighbour.mkdir()
    process = start(stack, cwd=neighbour, env=env)
    assert end_strays(work, RUNS) == ((), True)
    assert process.poll() is None


def test_a_person_who_looks_into_the_folder_is_left_alone(work: Path, stack: ExitStack) -> None:
    ours, theirs = pty.openpty()
    stack.callback(os.close, ours)
    command = "echo here; exec sleep 600"
    process = start(
        stack, "setsid", "--ctty", "sh", "-c", command, cwd=work, stdin=theirs, stdout=theirs, start_new_session=False
    )
    os.close(theirs)
    assert os.read(ours, 100).startswith(b"here")
    assert end_strays(work, RUNS) == ((), True)
    assert process.poll() is None


def test_a_run_of_the_same_name_below_a_living_supervisor_is_left_alone(work: Path, tmp_path: Path) -> None:
    """Of another deployment on the same host."""

    async def scene() -> None:
        folder = os.open(tmp_path, os.O_RDONLY)
        null = os.open(os.devnull, os.O_RDWR)
        async with Slots() as slots:
            slot = slots.acquire()
            argv = ["/bin/sh", "-c", "echo here; exec sleep 600"]
            output: asyncio.Future[dict[int, int]] = asyncio.get_running_loop().create_future()
            exited = slot.start(argv, OF_THE_RUN, null, folder, on_output=output.set_result)
            readers = await output
            assert os.read(readers[1], 100) == b"here\n"
            assert end_strays(work, RUNS) == ((), True)
            assert not exited.done()
            slot.kill()
            await exited
            slots.release(slot)
        for fd in (folder, null, *readers.values()):
            os.close(fd)

    asyncio.run(scene())


def test_a_folder_that_never_was_has_none(tmp_path: Path) -> None:
    assert end_strays(tmp_path / "none", ()) == ((), True)
