"""The artifact store as a folder: each run's files in their place, and nothing else reachable."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.artifacts import collect
from worker.store.files import Files

TASK = "0d8f3a52-2c5e-4a43-9f0e-0b1c7f6d9e11"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "store")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    (folder / "log").write_bytes(b"one\ntwo\n")
    (folder / "index").write_bytes(b"\0\1")
    (folder / "empty").touch()
    return folder


def modes(folder: Path) -> set[tuple[bool, int]]:
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (folder, *folder.rglob("*"))}


def test_every_file_stands_in_its_place_for_nobody_else_to_read(files: Files, spool: Path, tmp_path: Path) -> None:
    run = files.run(TASK, 2)
    run.put("public/a.txt", [b"one", b"two"])
    run.commit()
    run.keep_log(spool / "log", spool / "index")
    place = tmp_path / "store" / "0d" / TASK / "2"
    assert (place / "artifacts" / "public" / "a.txt").read_bytes() == b"onetwo"
    assert (place / "log.txt").read_bytes() == b"one\ntwo\n"
    assert (place / "log.idx").read_bytes() == b"\0\1"
    assert run.log_path == place / "log.txt"
    assert modes(tmp_path / "store") == {(True, 0o700), (False, 0o600)}
    assert os.listdir(spool) == ["empty"]


def test_what_is_stored_can_be_read_and_listed_by_another_object(files: Files, spool: Path) -> None:
    writing = files.run(TASK, 0)
    writing.put("b/c", [b"x"])
    writing.put("a", [])
    writing.keep_log(spool / "log", spool / "index")
    reading = files.run(TASK, 0)
    assert reading.names() == ("a", "b/c")
    with reading.open("b/c") as artifact, reading.open_log() as log, reading.open_log_index() as index:
        assert (artifact.read(), log.read(), index.read()) == (b"x", b"one\ntwo\n", b"\0\1")


def test_collecting_into_the_store_keeps_each_run_apart(files: Files, tmp_path: Path) -> None:
    for run in (0, 1):
        folder = tmp_path / f"run-{run}"
        (folder / "artifacts").mkdir(parents=True)
        (folder / "artifacts" / "result").write_text(f"of run {run}")
        fd = os.open(folder, os.O_RDONLY)
        collected = collect(fd, files.run(TASK, run), max_count=9, max_bytes=99, max_total_bytes=99)
        os.close(fd)
        assert [artifact.name for artifact in collected.artifacts] == ["result"]
    for run in (0, 1):
        with files.run(TASK, run).open("result") as file:
            assert file.read() == f"of run {run}".encode()


def test_a_task_without_artifacts_and_with_an_empty_log_costs_no_folder(
    files: Files, spool: Path, tmp_path: Path
) -> None:
    run = files.run(TASK, 0)
    run.commit()
    run.keep_log(spool / "empty", spool / "index")
    assert run.names() == ()
    with pytest.raises(FileNotFoundError):
        run.open_log()
    assert not (tmp_path / "store").exists()
    assert os.listdir(spool) == ["log"]


def test_a_log_without_an_index_is_kept(files: Files, spool: Path) -> None:
    run = files.run(TASK, 0)
    run.keep_log(spool / "log")
    assert run.log_path.exists()
    with pytest.raises(FileNotFoundError):
        run.open_log_index()


def test_a_log_that_never_was_a_file_becomes_one(files: Files) -> None:
    run = files.run(TASK, 1)
    run.keep_log(b"one\n", b"\0\1")
    with run.open_log() as log, run.open_log_index() as index:
        assert (log.read(), index.read()) == (b"one\n", b"\0\1")
    assert modes(run.log_path.parent) == {(True, 0o700), (False, 0o600)}
    files.run(TASK, 2).keep_log(b"", b"")
    with pytest.raises(FileNotFoundError):
        files.run(TASK, 2).open_log()


def test_a_log_kept_again_replaces_the_earlier(files: Files, spool: Path) -> None:
    run = files.run(TASK, 0)
    run.keep_log(spool / "log")
    (spool / "log").write_bytes(b"again")
    run.keep_log(spool / "log")
    with run.open_log() as log:
        assert log.read() == b"again"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    if not os.access("/dev/shm", os.W_OK) or os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    made = tempfile.mkdtemp(dir="/dev/shm")
    yield Path(made)
    shutil.rmtree(made)


def test_a_log_on_another_file_system_is_copied_and_removed_there(files: Files, elsewhere: Path) -> None:
    content = os.urandom(3 * 1024 * 1024)
    (elsewhere / "log").write_bytes(content)
    run = files.run(TASK, 0)
    run.keep_log(elsewhere / "log")
    with run.open_log() as log:
        assert log.read() == content
    assert os.listdir(elsewhere) == []
    assert os.listdir(run.log_path.parent) == ["log.txt"]
    assert stat.S_IMODE(run.log_path.stat().st_mode) == 0o600


def test_a_log_that_is_a_link_or_missing_is_an_error(files: Files, spool: Path) -> None:
    (spool / "link").symlink_to("log")
    for name in ("link", "missing"):
        with pytest.raises(OSError):
            files.run(TASK, 0).keep_log(spool / name)
    assert (spool / "log").exists()


def test_removing_a_task_removes_all_its_runs_and_no_other_task(files: Files, spool: Path, tmp_path: Path) -> None:
    other = TASK[:-1] + "2"
    for task in (TASK, other):
        for run in (0, 1):
            files.run(task, run).put("a/b", [b"x"])
    files.run(TASK, 0).keep_log(spool / "log")
    assert files.remove(TASK)
    assert os.listdir(tmp_path / "store" / "0d") == [other]
    assert files.run(TASK, 0).names() == ()
    assert files.run(other, 1).names() == ("a/b",)
    assert files.remove(TASK)


def test_removing_a_task_of_which_nothing_was_stored_is_fine(files: Files, tmp_path: Path) -> None:
    assert files.remove(TASK)
    assert not (tmp_path / "store").exists()


def test_no_link_in_the_store_leads_out_of_it(files: Files, spool: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / TASK / "artifacts").mkdir(parents=True)
    (outside / TASK / "artifacts" / "a").write_text("secret")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "0d").symlink_to(outside)
    run = files.run(TASK, 0)
    for read in (lambda: run.open("a"), run.open_log):
        with pytest.raises(FileNotFoundError):
            read()
    with pytest.raises(NotADirectoryError):
        run.put("a", [b"x"])
    with pytest.raises(NotADirectoryError):
        run.keep_log(spool / "log")
    assert run.names() == ()
    assert not files.remove(TASK)
    assert (outside / TASK / "artifacts" / "a").read_text() == "secret"
    assert (spool / "log").exists()


@pytest.mark.parametrize("task_id", ["", ".", "..", ".hidden", "a/b", "../x", "a\n", "a\0", "ä", "x" * 65, "-a"])
def test_a_hostile_task_id_is_refused(files: Files, task_id: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the id of a task"):
        files.run(task_id, 0)
    with pytest.raises(ValueError, match="not the id of a task"):
        files.remove(task_id)
    assert not (tmp_path / "store").exists()


def test_a_negative_run_is_refused(files: Files) -> None:
    with pytest.raises(ValueError, match="not the number of a run"):
        files.run(TASK, -1)


@pytest.mark.parametrize("name", ["", ".", "..", "/etc/passwd", "../log.txt", "a/../../log.txt", "a\0", "a\nb"])
def test_a_hostile_artifact_name_is_refused_on_write_and_on_read(files: Files, spool: Path, name: str) -> None:
    run = files.run(TASK, 0)
    run.keep_log(spool / "log")
    with pytest.raises(OSError):
        run.put(name, [b"x"])
    with pytest.raises(FileNotFoundError):
        run.open(name)
    assert run.log_path.read_bytes() == b"one\ntwo\n"


@given(task_id=st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z"), run=st.integers(0, 10**6))
def test_every_allowed_task_id_has_a_place_of_its_own_below_the_root(task_id: str, run: int) -> None:
    root = Path("/nowhere")
    place = Files(root).run(task_id, run).log_path
    assert place.parts == ("/", "nowhere", task_id[:2], task_id, *([str(run)] if run else []), "log.txt")
    assert not {".", ".."} & set(place.parts)
