"""The folder of a run: fresh at the start, gone at the end, whatever the command made of it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.workdir import Wiped, Workdir, wipe_path

NOBODY = 65534
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def nest(folder: int, depth: int) -> None:
    """Makes d/d/d/... below the descriptor, deeper than any path could name."""
    fd = os.dup(folder)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def as_nobody(action: Callable[[Path], None], prepare: Callable[[Path], None] | None = None) -> None:
    """Plays the action as a user without rights, in a child process with a folder of its own.

    `prepare` is played by root before."""
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    if prepare is not None:
        prepare(home)
    os.chown(home, NOBODY, NOBODY)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            action(home)
            code = 0
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(code)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def workdir(tmp_path: Path) -> Iterator[Workdir]:
    made = Workdir.create(tmp_path / "work", "run")
    yield made
    made.wipe()


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    os.umask(before)
    yield os.umask
    os.umask(before)


# --- creating


def test_a_fresh_folder_has_mode_0700_and_an_empty_artifacts_folder(workdir: Workdir) -> None:
    assert [mode(p) for p in (workdir.path.parent, workdir.path, workdir.path / "artifacts")] == [0o700] * 3
    assert os.listdir(workdir.fd) == ["artifacts"]
    assert os.listdir(workdir.path / "artifacts") == []


def test_the_descriptor_is_of_the_folder_and_is_not_inherited(workdir: Workdir) -> None:
    assert os.path.samestat(os.fstat(workdir.fd), workdir.path.stat())
    assert not os.get_inheritable(workdir.fd)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o277, 0o777])
def test_the_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: Callable[[int], int], mask: int) -> None:
    umask(mask)
    made = Workdir.create(tmp_path / "work", "run")
    assert [mode(p) for p in (made.path.parent, made.path, made.path / "artifacts")] == [0o700] * 3
    assert made.wipe() == Wiped(True)


@root_only
def test_a_user_without_rights_gets_its_folder_under_any_umask() -> None:
    def action(home: Path) -> None:
        os.umask(0o777)
        made = Workdir.create(home / "work", "run")
        assert [mode(p) for p in (made.path.parent, made.path, made.path / "artifacts")] == [0o700] * 3
        assert made.wipe() == Wiped(True)

    as_nobody(action)


def test_a_name_that_is_taken_is_an_error_and_stays_untouched(workdir: Workdir) -> None:
    (workdir.path / "kept").touch()
    with pytest.raises(FileExistsError):
        Workdir.create(workdir.path.parent, "run")
    assert (workdir.path / "kept").exists()


def test_a_name_that_is_taken_by_a_link_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to("elsewhere")
    with pytest.raises(FileExistsError):
        Workdir.create(tmp_path, "run")
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "../up", "nul\0"])
def test_a_name_that_is_not_one_component_is_refused(tmp_path: Path, name: str) -> None:
    for call in (Workdir.create, wipe_path):
        with pytest.raises(ValueError, match="not the name of a folder"):
            call(tmp_path, name)
    assert os.listdir(tmp_path) == []


def test_a_root_that_is_a_file_is_an_error_and_leaves_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "root").touch()
    before = open_descriptors()
    with pytest.raises(NotADirectoryError):
        Workdir.create(tmp_path / "root", "run")
    assert open_descriptors() == before


# --- wiping


def test_an_untouched_folder_is_removed_and_its_root_stays(workdir: Workdir) -> None:
    assert workdir.wipe() == Wiped(True)
    assert os.listdir(workdir.path.parent) == []


def test_the_common_case_takes_four_system_calls(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    code = (
        "import os, sys; from pathlib import Path; from engine.workdir import Workdir\n"
        "made = Workdir.create(Path(sys.argv[1]), 'run'); os.getppid(); made.wipe(); os.getppid()"
    )
    trace = tmp_path / "trace"
    played = subprocess.run(
        ["strace", "-o", str(trace), sys.executable, "-c", code, str(tmp_path / "work")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
    )
    if played.returncode != 0:
        pytest.skip(f"strace is not allowed here: {played.stderr.decode(errors='replace')[-200:]}")
    calls = trace.read_text().split("getppid()")[1].splitlines()[1:]
    names = [call.split("(")[0] for call in calls if "(" in call]
    assert len(names) == 4, names  # two folders, the proof that it was the right one, and close
    assert names[-1] == "close"


def test_wiping_twice_does_nothing_more(workdir: Workdir) -> None:
    first = workdir.wipe()
    again = Workdir.create(workdir.path.parent, "run")
    assert workdir.wipe() is first
    assert again.path.exists()
    assert again.wipe() == Wiped(True)


def test_wiping_closes_every_descriptor(tmp_path: Path) -> None:
    before = open_descriptors()
    made = Workdir.create(tmp_path, "run")
    nest(made.fd, 20)
    assert made.wipe() == Wiped(True)
    assert open_descriptors() == before


def test_three_thousand_levels_are_removed_with_few_descriptors(tmp_path: Path) -> None:
    import resource

    made = Workdir.create(tmp_path, "run")
    artifacts = os.open("artifacts", os.O_RDONLY, dir_fd=made.fd)
    nest(artifacts, 3000)
    os.close(artifacts)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 6, hard))
    try:
        wiped = made.wipe()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert wiped == Wiped(True)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a hundred thousand files take long to make on a disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    made = tempfile.mkdtemp(dir="/dev/shm")
    yield Path(made)
    shutil.rmtree(made)


def test_a_hundred_thousand_files_are_removed(memory: Path) -> None:
    workdir = Workdir.create(memory, "run")
    for number in range(100_000):
        os.close(os.open(f"{number}", os.O_CREAT | os.O_WRONLY, dir_fd=workdir.fd))
    assert workdir.wipe() == Wiped(True)
    assert os.listdir(memory) == []


def test_many_folders_are_removed_in_batches(workdir: Workdir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.workdir.remove._BATCH", 7)
    for number in range(100):
        (workdir.path / f"{number}" / "below").mkdir(parents=True)
        (workdir.path / f"{number}" / "below" / "file").touch()
    assert workdir.wipe() == Wiped(True)


@root_only
def test_folders_of_mode_000_and_500_are_removed_by_a_user_without_rights() -> None:
    def action(home: Path) -> None:
        made = Workdir.create(home / "work", "run")
        for closed in (0o000, 0o500, 0o300, 0o600):
            deep = made.path / f"{closed:o}" / "below"
            deep.mkdir(parents=True)
            (deep / "file").touch(0)
            deep.chmod(closed)
            deep.parent.chmod(closed)
        (made.path / "artifacts" / "x").touch()
        (made.path / "artifacts").chmod(0)
        made.path.chmod(0)
        assert made.wipe() == Wiped(True)
        assert os.listdir(home / "work") == []

    as_nobody(action)


@root_only
def test_what_belongs_to_another_user_is_set_aside() -> None:
    def prepare(home: Path) -> None:
        (home / "foreign" / "folder").mkdir(parents=True)
        (home / "foreign" / "folder" / "file").touch()

    def action(home: Path) -> None:
        assert wipe_path(home, "foreign") == Wiped(False, str(home / ".leftover-foreign"))
        (home / "run").mkdir()
        (home / "run" / "mine").touch()
        (home / "link").symlink_to(".leftover-foreign/folder")
        assert wipe_path(home, "link") == wipe_path(home, "run") == Wiped(True)
        assert os.listdir(home / ".leftover-foreign" / "folder") == ["file"]

    as_nobody(action, prepare)


def test_names_with_newlines_and_broken_utf8_are_removed(workdir: Workdir) -> None:
    for name in (b"a\nb", b"\xff\xfe", b" ", b"-rf", b"\x1b[2J", b"x" * 255, "ü".encode()):
        os.mkdir(name, dir_fd=workdir.fd)
        os.close(os.open(b"%b/%b" % (name, name), os.O_CREAT | os.O_WRONLY, dir_fd=workdir.fd))
    assert workdir.wipe() == Wiped(True)


def test_links_are_removed_and_never_followed(workdir: Workdir, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "below").mkdir(parents=True)
    (outside / "precious").write_text("kept")
    (workdir.path / "folder").symlink_to(outside)
    (workdir.path / "file").symlink_to(outside / "precious")
    (workdir.path / "dangling").symlink_to("nowhere")
    (workdir.path / "self").symlink_to("self")
    (workdir.path / "artifacts").rmdir()
    (workdir.path / "artifacts").symlink_to(outside)
    os.link(outside / "precious", workdir.path / "hard")
    assert workdir.wipe() == Wiped(True)
    assert (outside / "precious").read_text() == "kept"
    assert (outside / "below").is_dir()


def test_pipes_and_sockets_are_removed(workdir: Workdir, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("pipe", dir_fd=workdir.fd)
    monkeypatch.chdir(workdir.path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        monkeypatch.undo()
        assert workdir.wipe() == Wiped(True)


def test_a_folder_without_its_artifacts_is_removed(workdir: Workdir) -> None:
    (workdir.path / "artifacts").rmdir()
    assert workdir.wipe() == Wiped(True)
    assert not workdir.path.exists()


def test_artifacts_that_became_a_file_are_removed(workdir: Workdir) -> None:
    (workdir.path / "artifacts").rmdir()
    (workdir.path / "artifacts").touch()
    assert workdir.wipe() == Wiped(True)


@pytest.mark.parametrize("decoy", ["nothing", "empty folder", "full folder", "file", "link"])
def test_a_folder_that_the_command_moved_away_is_found_and_removed(
    workdir: Workdir, tmp_path: Path, decoy: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "precious").mkdir(parents=True)
    moved = tmp_path / "moved"
    (workdir.path / "file").touch()
    workdir.path.rename(moved)
    match decoy:
        case "empty folder":
            workdir.path.mkdir()
        case "full folder":
            (workdir.path / "a" / "b").mkdir(parents=True)
        case "file":
            workdir.path.touch()
        case "link":
            workdir.path.symlink_to(outside)
    assert workdir.wipe() == Wiped(True)
    assert not moved.exists()
    assert not os.path.lexists(workdir.path)
    assert (outside / "precious").is_dir()


def test_an_emptied_folder_behind_an_empty_decoy_is_removed(workdir: Workdir, tmp_path: Path) -> None:
    workdir.path.rename(tmp_path / "moved")
    workdir.path.mkdir()
    assert workdir.wipe() == Wiped(True)
    assert not (tmp_path / "moved").exists()


def test_a_folder_that_the_command_removed_itself_is_gone(workdir: Workdir) -> None:
    shutil.rmtree(workdir.path)
    assert workdir.wipe() == Wiped(True)


# --- what cannot be removed


@pytest.fixture
def immutable(workdir: Workdir) -> Iterator[Path]:
    path = workdir.path / "deep" / "immutable"
    path.parent.mkdir()
    path.write_text("stays")
    if shutil.which("chattr") is None or subprocess.run(["chattr", "+i", path], capture_output=True).returncode:
        pytest.skip("immutable files cannot be made here")
    yield path
    for stuck in workdir.path.parent.rglob("immutable"):
        subprocess.run(["chattr", "-i", stuck], check=True)


def test_an_immutable_file_is_set_aside_and_all_around_it_goes(workdir: Workdir, immutable: Path) -> None:
    (workdir.path / "other" / "folder").mkdir(parents=True)
    (workdir.path / "deep" / "file").touch()
    leftover = workdir.path.parent / ".leftover-run"
    assert workdir.wipe() == Wiped(False, str(leftover))
    assert [str(p.relative_to(leftover)) for p in sorted(leftover.rglob("*"))] == ["deep", "deep/immutable"]
    assert not workdir.path.exists()


def test_a_second_leftover_of_one_name_gets_a_number(workdir: Workdir, immutable: Path) -> None:
    (workdir.path.parent / ".leftover-run" / "of an earlier run").mkdir(parents=True)
    assert workdir.wipe() == Wiped(False, str(workdir.path.parent / ".leftover-run.1"))


def test_a_leftover_is_not_set_aside_again(workdir: Workdir, immutable: Path) -> None:
    root = workdir.path.parent
    leftover = str(root / ".leftover-run")
    assert workdir.wipe() == Wiped(False, leftover)
    assert wipe_path(root, ".leftover-run") == Wiped(False, leftover)
    subprocess.run(["chattr", "-i", f"{leftover}/deep/immutable"], check=True)
    assert wipe_path(root, ".leftover-run") == Wiped(True)
    assert os.listdir(root) == []


def mount(*arguments: str | Path) -> None:
    if os.geteuid() != 0 or subprocess.run(["mount", *arguments], capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")


@pytest.mark.parametrize("kind", ["another file system", "a bind of the same one"])
def test_a_mount_is_never_entered(workdir: Workdir, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    point = workdir.path / "deep" / "mounted"
    point.mkdir(parents=True)
    if kind == "another file system":
        mount("-t", "tmpfs", "none", point)
    else:
        mount("--bind", outside, point)
    here = point
    try:
        (point / "precious").write_text("kept")
        (workdir.path / "file").touch()
        wiped = workdir.wipe()
        assert wiped == Wiped(False, str(workdir.path.parent / ".leftover-run"))
        here = Path(str(wiped.leftover)) / "deep" / "mounted"
        assert (here / "precious").read_text() == "kept"
        assert os.listdir(Path(str(wiped.leftover))) == ["deep"]
    finally:
        subprocess.run(["umount", here], check=True)


def test_a_mount_on_the_folder_itself_stays_and_is_reported(workdir: Workdir) -> None:
    mount("-t", "tmpfs", "none", workdir.path)
    try:
        (workdir.path / "precious").touch()
        assert workdir.wipe().removed is False
        assert (workdir.path / "precious").exists()
    finally:
        subprocess.run(["umount", workdir.path], check=True)


# --- folders of earlier processes


def test_stale_folders_files_and_links_are_removed_by_name(tmp_path: Path) -> None:
    (tmp_path / "work" / "folder" / "below").mkdir(parents=True)
    (tmp_path / "work" / "file").touch()
    (tmp_path / "precious").mkdir()
    (tmp_path / "work" / "link").symlink_to(tmp_path / "precious")
    os.mkfifo(tmp_path / "work" / "pipe")
    for name in os.listdir(tmp_path / "work"):
        assert wipe_path(tmp_path / "work", name) == Wiped(True)
    assert os.listdir(tmp_path / "work") == []
    assert (tmp_path / "precious").is_dir()


def test_wiping_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert wipe_path(tmp_path, "nothing") == Wiped(True)
    assert wipe_path(tmp_path / "no root", "nothing") == Wiped(True)


entry_names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40
).filter(lambda name: name not in (".", ".."))
trees = st.recursive(
    st.sampled_from(["file", "link", "pipe", "closed file"]),
    lambda below: st.dictionaries(entry_names, below, max_size=4),
    max_leaves=15,
)


def build(folder: int, tree: dict[str, object]) -> None:
    for name, what in tree.items():
        match what:
            case "link":
                os.symlink("/etc", name, dir_fd=folder)
            case "pipe":
                os.mkfifo(name, dir_fd=folder)
            case dict():
                os.mkdir(name, dir_fd=folder)
                below = os.open(name, os.O_RDONLY, dir_fd=folder)
                build(below, what)
                os.fchmod(below, len(what) * 0o100)
                os.close(below)
            case _:
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0, dir_fd=folder))


@settings(max_examples=60, deadline=None)
@given(tree=st.dictionaries(entry_names.filter(lambda name: name != "artifacts"), trees, max_size=5))
def test_any_tree_is_removed_whole(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]) -> None:
    root = tmp_path_factory.getbasetemp() / "trees"
    made = Workdir.create(root, "run")
    build(made.fd, tree)
    assert made.wipe() == Wiped(True)
    assert os.listdir(root) == []
