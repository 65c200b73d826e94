"""What a run leaves in ./artifacts: stored when it is a plain file of its own, refused by name when not."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.artifacts import Artifact, ArtifactProblem, Collected, Discard, FolderStore, collect, content_type
from engine.artifacts.names import shown as shown_name
from engine.workdir import wipe_path

SECRET = "the secret of somebody else"
GIB = 1024**3
NOBODY = 65534


class Memory:
    """A store in memory that reads as a real one does, and keeps nothing of a put that failed."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        self.files[name] = b"".join(chunks)


class Full:
    """A store whose disk is full for some names, after it has read a part."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.stored: list[str] = []

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        for _ in chunks:
            if name in self.refused:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.stored.append(name)


class Run:
    """A run folder with artifacts, and a short way to collect them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.artifacts = folder / "artifacts"
        self.artifacts.mkdir(parents=True)
        self.store = Memory()

    def collect(self, store: object = None, count: int = 1000, size: int = GIB, total: int = GIB) -> Collected:
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return collect(
                fd,
                store or self.store,
                max_count=count,
                max_bytes=size,
                max_total_bytes=total,  # type: ignore[arg-type]
            )
        finally:
            os.close(fd)

    def write(self, name: str, content: str = "content") -> Path:
        path = self.artifacts / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    yield Run(tmp_path / "run")
    assert wipe_path(tmp_path, "run").removed  # pytest itself could not remove what is very deep


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return path


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a hundred thousand entries take long to make on a disk."""
    made = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path)
    yield Path(made)
    shutil.rmtree(made)


def problems(collected: Collected) -> dict[str, str]:
    told = {problem.name: problem.message for problem in collected.problems}
    assert len(told) == len(collected.problems)
    return told


def stored(collected: Collected) -> list[str]:
    return [artifact.name for artifact in collected.artifacts]


# --- what is stored


def test_files_are_stored_verbatim_with_size_digest_type_and_visibility(run: Run) -> None:
    run.write("b.log", "line\r\n\0\n")
    run.write("public/report.html", "<p>")
    run.write("public.html", "not below public")
    run.write("a/b/c.json", "{}")
    collected = run.collect()
    assert collected.problems == ()
    assert collected.artifacts == (
        Artifact("a/b/c.json", 2, hashlib.sha256(b"{}").hexdigest(), "application/json", False),
        Artifact("b.log", 8, hashlib.sha256(b"line\r\n\0\n").hexdigest(), "text/plain", False),
        Artifact("public.html", 16, hashlib.sha256(b"not below public").hexdigest(), "text/html", False),
        Artifact("public/report.html", 3, hashlib.sha256(b"<p>").hexdigest(), "text/html", True),
    )
    assert run.store.files["b.log"] == b"line\r\n\0\n"


def test_an_empty_file_and_a_large_one_are_stored(run: Run) -> None:
    run.write("empty", "")
    content = os.urandom(3 * 1024 * 1024 + 1)
    (run.artifacts / "large").write_bytes(content)
    collected = run.collect()
    assert run.store.files == {"empty": b"", "large": content}
    assert collected.artifacts[1].sha256 == hashlib.sha256(content).hexdigest()


def test_the_order_is_that_of_the_names(run: Run) -> None:
    for name in ("a/b", "a.txt", "a-b", "B", "ä", "a/a/z", "a0"):
        run.write(name)
    assert stored(run.collect()) == sorted(run.store.files, key=str.encode)


@pytest.mark.parametrize("name", ["...", "..foo", ".hidden", "-rf", "a b", "ä\u00a0", "a\\b", "C:", "%2e%2e", "~"])
def test_odd_but_harmless_names_are_stored(run: Run, name: str) -> None:
    run.write(name)
    run.write(f"{name}.d/{name}")
    collected = run.collect()
    assert collected.problems == ()
    assert sorted(stored(collected)) == sorted([name, f"{name}.d/{name}"])


def test_empty_folders_are_no_artifacts_and_no_problem(run: Run) -> None:
    (run.artifacts / "a" / "b").mkdir(parents=True)
    assert run.collect() == Collected()


@pytest.mark.parametrize("missing", [False, True])
def test_an_empty_or_missing_artifacts_folder_holds_nothing(run: Run, missing: bool) -> None:
    if missing:
        run.artifacts.rmdir()
    assert run.collect() == Collected()
    assert run.collect() == Collected()


def test_an_empty_artifacts_folder_costs_one_system_call(run: Run, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    code = (
        "import os, sys; from engine.artifacts import collect, Discard\n"
        "fd, store = os.open(sys.argv[1], os.O_RDONLY), Discard(); os.getppid()\n"
        "collect(fd, store, max_count=1, max_bytes=1, max_total_bytes=1); os.getppid()"
    )
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-o", str(trace), sys.executable, "-c", code, str(run.folder)]
    played = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True)
    if played.returncode != 0:
        pytest.skip(f"strace is not allowed here: {played.stderr.decode(errors='replace')[-200:]}")
    between = trace.read_text().split("getppid()")[1].splitlines()[1:-1]
    assert len(between) == 1, between


# --- what is refused, by name, without stopping the others


def test_a_symlink_to_a_secret_is_refused_by_name(run: Run, secret: Path) -> None:
    run.write("good")
    (run.artifacts / "link").symlink_to(secret)
    (run.artifacts / "relative").symlink_to("../../secret")
    collected = run.collect()
    assert stored(collected) == ["good"]
    assert problems(collected) == {"link": "is a symbolic link", "relative": "is a symbolic link"}


@pytest.mark.parametrize("target", ["nowhere", "/etc", "..", "link", "good"])
def test_a_dangling_link_and_one_to_a_folder_are_refused_by_name(run: Run, target: str) -> None:
    run.write("good")
    (run.artifacts / "link").symlink_to(target)
    collected = run.collect()
    assert stored(collected) == ["good"]
    assert problems(collected) == {"link": "is a symbolic link"}


def test_a_hard_link_of_a_secret_is_refused_by_name(run: Run, secret: Path) -> None:
    run.write("good")
    os.link(secret, run.artifacts / "link")
    collected = run.collect()
    assert stored(collected) == ["good"]
    assert problems(collected) == {"link": "has 2 hard links: it may belong to somebody else"}


def test_a_pipe_and_a_socket_are_refused_without_waiting(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.write("good")
    os.mkfifo(run.artifacts / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(run.artifacts)  # the path of a socket is short
        listening.bind("socket")
        monkeypatch.undo()
        collected = run.collect()
    assert stored(collected) == ["good"]
    assert problems(collected) == {"pipe": "is a named pipe", "socket": "is a socket"}


def test_a_device_is_refused_by_name(run: Run) -> None:
    try:
        os.mknod(run.artifacts / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    run.write("good")
    collected = run.collect()
    assert stored(collected) == ["good"]
    assert problems(collected) == {"zero": "is a device"}


def test_ten_sparse_gigabytes_are_refused_before_reading(run: Run) -> None:
    with (run.artifacts / "sparse").open("wb") as file:
        file.truncate(10 * GIB)
    run.write("good")
    collected = run.collect()
    assert stored(collected) == ["good"]
    assert problems(collected) == {"sparse": f"has {10 * GIB} bytes, more than the {GIB} allowed for one artifact"}


@pytest.mark.parametrize(
    ("name", "shown", "message"),
    [
        (b"a\nb", r"a\nb", "its name holds control characters"),
        (b"\x1b[2J", r"\x1b[2J", "its name holds control characters"),
        (b"del\x7f", r"del\x7f", "its name holds control characters"),
        ("c1\x85".encode(), r"c1\x85", "its name holds control characters"),
        ("line\u2028".encode(), r"line\u2028", "its name holds control characters"),
        ("gpj.\u202eexe".encode(), r"gpj.\u202eexe", "its name holds control characters"),
        (b"\xff\\", r"\xff\\", "its name is not UTF-8"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80", "its name is not UTF-8"),
        (
            b".penstock-part-1",
            ".penstock-part-1",
            "names that begin with .penstock-part- are kept for the store",
        ),
    ],
)
@pytest.mark.parametrize("folder", [False, True])
def test_a_hostile_name_is_refused_and_shown_escaped(
    run: Run, name: bytes, shown: str, message: str, folder: bool
) -> None:
    path = os.fsencode(run.artifacts) + b"/" + name
    if folder:
        os.mkdir(path)
        path += b"/below"
        shown += "/"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    run.write("good")
    collected = run.collect()
    assert stored(collected) == ["good"]
    assert problems(collected) == {shown: message}


def test_a_path_of_1024_bytes_is_stored_and_a_longer_one_is_not(run: Run) -> None:
    deep = "/".join(["x" * 255] * 3 + ["x" * 254])
    run.write(f"{deep}/a")
    run.write(f"{deep}/ab")
    run.write(f"{'y' * 255}/{deep[:511]}/{'z' * 255}/b/c")
    collected = run.collect()
    assert stored(collected) == [f"{deep}/a"]
    assert {problem.message for problem in collected.problems} == {"its name is longer than 1024 bytes"}
    assert all(len(problem.name) <= 257 for problem in collected.problems)


def test_three_thousand_levels_are_refused_once(run: Run) -> None:
    fd = os.open(run.artifacts, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    run.write("good")
    before = len(os.listdir("/proc/self/fd"))
    collected = run.collect()
    assert stored(collected) == ["good"]
    assert problems(collected) == {"d/" * 65: "is more than 64 folders deep"}
    assert len(os.listdir("/proc/self/fd")) == before


def test_sixty_four_levels_are_collected(run: Run) -> None:
    run.write("d/" * 64 + "file")
    assert stored(run.collect()) == ["d/" * 64 + "file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_what_the_worker_may_not_read_is_refused_by_name() -> None:
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    run = Run(home / "run")
    run.write("good")
    run.write("closed").chmod(0)
    run.write("shut/file").parent.chmod(0)
    for path in (home, run.folder, run.artifacts, *run.artifacts.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            collected = run.collect()
            assert stored(collected) == ["good"]
            refused = "cannot be opened: Permission denied"
            assert problems(collected) == {"closed": refused, "shut/": refused}
            run.artifacts.chmod(0)
            assert problems(run.collect()) == {"artifacts/": refused}
            code = 0
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(code)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize("replace", [lambda path: path.symlink_to("/etc"), lambda path: path.touch(), os.mkfifo])
def test_an_artifacts_folder_that_was_replaced_is_a_problem(run: Run, replace: Callable[[Path], None]) -> None:
    run.artifacts.rmdir()
    replace(run.artifacts)
    collected = run.collect()
    assert collected.artifacts == ()
    assert problems(collected) == {"artifacts/": "is no folder any more"}


@pytest.mark.parametrize("where", ["artifacts", "artifacts/mounted"])
def test_another_file_system_is_refused_by_name(run: Run, where: str) -> None:
    point = run.folder / where
    point.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "none", point]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        (point / "file").touch()
        collected = run.collect()
    finally:
        subprocess.run(["umount", point], check=True)
    assert collected.artifacts == ()
    assert problems(collected) == {f"{where}/".removeprefix("artifacts/") or "artifacts/": "is on another file system"}


def test_a_file_from_another_file_system_is_refused_by_name(run: Run) -> None:
    point = run.write("mounted")
    command = ["mount", "--bind", "/proc/self/status", point]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        collected = run.collect()
    finally:
        subprocess.run(["umount", point], check=True)
    assert problems(collected) == {"mounted": "is on another file system"}


# --- races


@pytest.mark.parametrize("attack", ["symlink", "hard link", "folder"])
def test_a_file_that_is_swapped_meanwhile_never_leads_to_a_secret(
    run: Run, tmp_path: Path, secret: Path, attack: str
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text(SECRET)
    spare = run.folder / "spare"
    spare.mkdir()
    target = run.artifacts / "entry"

    def swap() -> None:
        """Puts the honest entry and the hostile one under the same name in turns."""
        while not done.is_set():
            if attack == "folder":
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir(exist_ok=True)
                (target / "file").write_text("honest")
                target.rename(spare / "real")
                target.symlink_to(tmp_path / "outside")
                target.unlink()
                (spare / "real").rename(target)
                continue
            (spare / "honest").write_text("honest")
            (spare / "honest").rename(target)
            if attack == "symlink":
                (spare / "hostile").symlink_to(secret)
            else:
                os.link(secret, spare / "hostile")
            (spare / "hostile").rename(target)

    done = threading.Event()
    swapping = threading.Thread(target=swap)
    run.write("always")
    swapping.start()
    outcomes = set()
    rounds, deadline = 0, time.monotonic() + 60
    try:
        while rounds < 1500 or outcomes != {1, 2}:  # both have to be met, or the race was none
            rounds += 1
            assert time.monotonic() < deadline
            store = Memory()
            collected = run.collect(store)
            assert SECRET.encode() not in store.files.values()
            assert "always" in stored(collected)
            outcomes.add(len(collected.artifacts))
    finally:
        done.set()
        swapping.join()


def test_a_file_that_shrinks_while_it_is_read_is_refused_by_name(run: Run) -> None:
    path = run.write("shrinks", "x" * 1_000_000)
    run.write("stays")

    class Shrinking(Memory):
        def put(self, name: str, chunks: Iterable[bytes]) -> None:
            def shrink() -> Iterator[bytes]:
                for chunk in chunks:
                    os.truncate(path, 300_000)
                    yield chunk

            super().put(name, shrink())

    store = Shrinking()
    collected = run.collect(store)
    assert stored(collected) == list(store.files) == ["stays"]
    assert problems(collected) == {"shrinks": "shrank while it was read: 700000 bytes are missing"}


def test_what_is_appended_while_a_file_is_read_is_ignored(run: Run) -> None:
    path = run.write("grows", "x" * 1_000_000)

    class Growing(Memory):
        def put(self, name: str, chunks: Iterable[bytes]) -> None:
            with path.open("a") as file:
                file.write("y" * 1000)
            super().put(name, chunks)

    store = Growing()
    assert run.collect(store).artifacts[0].size == 1_000_000
    assert store.files == {"grows": b"x" * 1_000_000}


# --- bounds


def test_too_many_files_are_reported_once_with_their_number(run: Run) -> None:
    for number in range(10):
        run.write(f"{number}")
        run.write(f"folder/{number}")
    collected = run.collect(count=3)
    assert stored(collected) == ["0", "1", "2"]
    assert problems(collected) == {"artifacts/": "holds more than 3 files: 17 were left out"}


def test_a_file_that_is_too_large_is_refused_and_the_limit_itself_is_not(run: Run) -> None:
    run.write("exact", "x" * 100)
    run.write("over", "x" * 101)
    collected = run.collect(size=100)
    assert stored(collected) == ["exact"]
    assert problems(collected) == {"over": "has 101 bytes, more than the 100 allowed for one artifact"}


def test_what_would_be_too_much_in_all_is_refused_by_name_and_smaller_ones_still_fit(run: Run) -> None:
    for name, size in (("a", 60), ("b", 60), ("c", 40), ("d", 1)):
        run.write(name, "x" * size)
    collected = run.collect(total=100)
    assert stored(collected) == ["a", "c"]
    assert problems(collected) == {
        "b": "would make 120 bytes in all, more than the 100 allowed",
        "d": "would make 101 bytes in all, more than the 100 allowed",
    }


def test_more_problems_than_a_log_should_hold_are_counted(run: Run) -> None:
    for number in range(1010):
        (run.artifacts / f"{number}").symlink_to("nowhere")
    run.write("good")
    collected = run.collect()
    assert stored(collected) == ["good"]
    assert len(collected.problems) == 1001
    assert collected.problems[-1] == ArtifactProblem("artifacts/", "10 more problems are not listed")


def test_more_entries_than_can_be_looked_at_are_reported(memory: Path) -> None:
    run = Run(memory / "run")
    folder = os.open(run.artifacts, os.O_RDONLY)
    for number in range(100_001):
        os.symlink("x", f"{number}", dir_fd=folder)
    os.close(folder)
    messages = [problem.message for problem in run.collect().problems]
    assert messages[0] == "is a symbolic link"
    assert messages[-1] == "99000 more problems are not listed"
    assert "holds more than 100000 entries, not all were seen" in messages


def test_no_descriptor_is_left_open(run: Run, secret: Path) -> None:
    for name in ("a/b/c", "a/d", "e"):
        run.write(name)
    (run.artifacts / "a" / "link").symlink_to(secret)
    before = len(os.listdir("/proc/self/fd"))
    run.collect(Full("a/d"))
    assert len(os.listdir("/proc/self/fd")) == before


# --- stores


def test_a_store_that_refuses_is_a_problem_with_its_reason(run: Run) -> None:
    for name in ("a", "b", "c"):
        run.write(name)
    store = Full("b")
    collected = run.collect(store)
    assert stored(collected) == store.stored == ["a", "c"]
    assert problems(collected) == {"b": "cannot be stored: No space left on device"}
    assert [problem.lost for problem in collected.problems] == [True]


def test_what_the_command_left_is_told_from_what_the_store_could_not_do(run: Run) -> None:
    for name in ("fine", "full"):
        run.write(name)
    run.write("large", "x" * 2000)
    (run.artifacts / "link").symlink_to("fine")
    collected = run.collect(Full("full"), size=1000)
    assert {problem.name: problem.lost for problem in collected.problems} == {
        "full": True,
        "large": False,
        "link": False,
    }


def test_one_that_is_lost_among_many_that_are_refused_is_not_forgotten(run: Run) -> None:
    for number in range(1000):
        (run.artifacts / f"{number:04}").symlink_to("nowhere")
    run.write("z")
    assert [problem.name for problem in run.collect(Full("z")).problems if problem.lost] == ["artifacts/"]


def test_a_store_that_does_not_read_to_the_end_is_a_problem(run: Run) -> None:
    class Lazy:
        def put(self, name: str, chunks: Iterable[bytes]) -> None:
            next(iter(chunks))

    run.write("long", "x" * 1_000_000)
    collected = run.collect(Lazy())
    assert problems(collected) == {"long": "the store left 737856 of 1000000 bytes"}
    assert collected.problems[0].lost


def test_a_store_that_discards_reads_everything(run: Run) -> None:
    run.write("a", "x" * 1_000_000)
    assert run.collect(Discard()).artifacts[0].sha256 == hashlib.sha256(b"x" * 1_000_000).hexdigest()


def test_a_folder_store_keeps_what_was_collected(run: Run, tmp_path: Path) -> None:
    run.write("a/b.txt", "text")
    run.write("public/c", "")
    store = FolderStore(tmp_path / "kept" / "here")
    assert run.collect(store).problems == ()
    assert store.names() == ("a/b.txt", "public/c")
    assert (tmp_path / "kept" / "here" / "a" / "b.txt").read_text() == "text"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "kept" / "here").rglob("*") if path.is_dir()}
    assert modes == {0o700}
    assert stat.S_IMODE((tmp_path / "kept" / "here" / "a" / "b.txt").stat().st_mode) == 0o600


def test_a_folder_store_makes_nothing_before_something_is_stored(run: Run, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "kept", durable=True)
    run.collect(store)
    store.commit()
    assert store.names() == ()
    with pytest.raises(FileNotFoundError):
        store.open("a")
    assert not (tmp_path / "kept").exists()


def test_the_later_content_of_a_name_replaces_the_earlier(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, durable=True)
    for content in (b"first and long", b"second"):
        store.put("a/b", [content])
        store.commit()
    with store.open("a/b") as file:
        assert file.read() == b"second"
    assert os.listdir(tmp_path / "a") == ["b"]


def test_a_put_that_fails_leaves_the_earlier_content_and_no_part(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.EIO, "broken")

    store = FolderStore(tmp_path)
    store.put("a", [b"whole"])
    for name in ("a", "b"):
        with pytest.raises(OSError, match="broken"):
            store.put(name, broken())
    assert store.names() == ("a",)
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_a_folder_store_follows_no_link_below_its_root(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text(SECRET)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "folder").symlink_to(outside)
    (kept / "file").symlink_to(outside / "file")
    store = FolderStore(kept)
    for name in ("folder/file", "file"):
        with pytest.raises(FileNotFoundError):
            store.open(name)
    with pytest.raises(NotADirectoryError):
        store.put("folder/file", [b"overwritten"])
    store.put("file", [b"replaces the link itself"])
    assert store.names() == ("file",)
    assert (outside / "file").read_text() == SECRET


def test_a_folder_store_may_stand_behind_a_link_of_the_operator(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    store = FolderStore(tmp_path / "link")
    store.put("a", [b"x"])
    assert store.names() == ("a",)
    assert (tmp_path / "real" / "a").read_bytes() == b"x"


@pytest.mark.parametrize("special", [os.mkfifo, os.mkdir])
def test_a_folder_store_opens_regular_files_only(tmp_path: Path, special: Callable[[Path], None]) -> None:
    special(tmp_path / "special")
    with pytest.raises(FileNotFoundError):
        FolderStore(tmp_path).open("special")


def test_a_folder_and_a_file_of_one_name_are_an_error(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("a", [b"x"])
    with pytest.raises(NotADirectoryError):
        store.put("a/b", [b"x"])
    store.put("c/d", [b"x"])
    with pytest.raises(IsADirectoryError):
        store.put("c", [b"x"])
    assert store.names() == ("a", "c/d")


HOSTILE = [
    "",
    ".",
    "..",
    "/etc/passwd",
    "a/../../b",
    "a//b",
    "a/",
    "./a",
    "a\0b",
    "a\nb",
    "\udcff",
    "x" * 1025,
]


@pytest.mark.parametrize("name", [*HOSTILE, ".penstock-part-x", "a/.penstock-part-x/b"])
def test_a_folder_store_refuses_hostile_names_on_write_and_on_read(tmp_path: Path, name: str) -> None:
    store = FolderStore(tmp_path / "kept")
    with pytest.raises(OSError) as refused:
        store.put(name, [b"x"])
    assert refused.value.errno == errno.EINVAL
    with pytest.raises(FileNotFoundError):
        store.open(name)
    assert not (tmp_path / "kept").exists()


@settings(max_examples=300, deadline=None)
@given(name=st.text(max_size=30) | st.text("./a\n\0\u202e", max_size=12))
@example(name="a/..")
@example(name="..")
def test_any_name_is_stored_below_the_folder_or_refused(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.mktemp("any")
    store = FolderStore(root / "kept")
    try:
        store.put(name, [name.encode("utf-8", "surrogatepass")])
    except OSError:
        assert store.names() == ()
    else:
        assert store.names() == (name,)
        with store.open(name) as file:
            assert file.read() == name.encode()
    assert set(os.listdir(root)) <= {"kept"}
    shutil.rmtree(root)


@given(name=st.binary(max_size=60).map(os.fsdecode) | st.text())
def test_a_shown_name_is_one_short_printable_line(name: str) -> None:
    shown = shown_name(name)
    assert shown.isprintable()
    assert len(shown) <= 257


@given(names=st.lists(st.binary(min_size=1, max_size=20).map(os.fsdecode), min_size=2, max_size=2, unique=True))
def test_different_names_are_shown_differently(names: list[str]) -> None:
    first, second = map(shown_name, names)
    assert first != second


# --- content types


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.log", "text/plain"),
        ("LOG.TXT", "text/plain"),
        ("public/a.html", "text/html"),
        ("README.md", "text/markdown"),
        ("a.yaml", "application/yaml"),
        ("a.yml", "application/yaml"),
        ("a.json", "application/json"),
        ("a.jsonl", "application/x-ndjson"),
        ("a.sig", "application/octet-stream"),
        ("a.tar.sha256", "text/plain"),
        ("a.webp", "image/webp"),
        ("a.png", "image/png"),
        ("a.pdf", "application/pdf"),
        ("a.tar", "application/x-tar"),
        ("a.tar.gz", "application/gzip"),
        ("a.zst", "application/zstd"),
        ("a.js", "text/javascript"),
        ("no extension", "application/octet-stream"),
        (".log", "application/octet-stream"),
        ("a.html/b", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("data:text/html,x", "application/octet-stream"),
    ],
)
def test_the_content_type_follows_the_last_extension(name: str, expected: str) -> None:
    assert content_type(name) == expected


@given(name=st.text())
def test_a_content_type_is_always_plain_ascii_without_parameters(name: str) -> None:
    found = content_type(name)
    assert found.isascii()
    assert found.count("/") == 1
    assert ";" not in found
