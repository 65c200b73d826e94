"""The commands against a server: a real one, with its worker, over real HTTP; no deployment where they run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import select
import signal
import subprocess
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.system.conftest import Deployment, finish
from tests.system.hostile_server import Hostile
from tests.system.http_client import Api, make_key, running_api
from tests.system.remote import Remote
from tests.system.site import DEADLINE_S
from tests.system.test_docs import fits

pytestmark = pytest.mark.xdist_group("cli-remote")

QUIET = {"plugins": {"disabled": ["logHeader"]}}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}, "count": {"type": "integer"}}, "required": []}


@pytest.fixture(scope="module")
def site(shared_deployment: Deployment) -> Deployment:
    site = shared_deployment
    settings = "api: {port: 0}\nworker: {shutdownGrace: 300ms, queues: [penstock]}\n"
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    site.file("config/token-key.pem", pem.decode())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    site.file("config/token-key.pub", public.decode())
    jwt = "auth: {jwt: {issuer: https://id.example, audience: penstock, keyFile: config/token-key.pub}}\n"
    site.file("config/penstock.yaml", settings + jwt)
    site.script("echo", "cat", TEXT, **QUIET)
    for code in range(4):
        site.script(f"ends-with-{code}", f"exit {code}", **QUIET)
    site.script("killed", "sleep 60", maxRunTime="300ms", killGrace=0, **QUIET)
    site.script("stay", "echo begun; sleep 60", killGrace=0, **QUIET)
    paced = "; until [ -e {0}/go-{1} ]; do sleep 0.02; done; seq -f 'line %g' {2} {3}"
    site.script(
        "paced",
        "seq -f 'line %g' 1 100" + paced.format(site.home, 1, 101, 200) + paced.format(site.home, 2, 201, 300),
        **QUIET,
    )
    site.script("off", "true", enabled=False)
    site.script("waits", "true", queue="nobody-consumes-this")
    site.script(
        "makes",
        "mkdir -p artifacts/public; echo one > artifacts/one.txt; head -c 3000000 /dev/zero > artifacts/public/big.bin",
        **QUIET,
    )
    site.script("bytes", r"printf 'a\377b\n\033[2Jsteers\n'; printf 'bad\n' >&2", **QUIET)
    return site


@pytest.fixture(scope="module")
def api(site: Deployment) -> Iterator[Api]:
    yield from running_api(site)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def remote(api: Api, elsewhere: Path) -> Remote:
    return Remote(elsewhere, f"http://{api.host}:{api.port}", api.key)


def test_run_shows_the_log_and_the_artifacts_and_mirrors_the_exit_code(remote: Remote) -> None:
    done = remote.penstock("run", "echo", "-p", "text=hello", "-p", "count=12345678901234567890", "--id", "first")
    assert (done.code, done.out) == (0, '{"text":"hello","count":12345678901234567890}\n'), done.err
    assert "task first" in done.err
    assert "completed" in done.err
    for code in range(4):
        assert remote.penstock("run", f"ends-with-{code}", "-q").code == code


@pytest.mark.parametrize(
    "command",
    [("show", "first"), ("tasks", "--script", "echo"), ("scripts",), ("scripts", "echo"), ("artifacts", "first")],
)
def test_a_server_and_its_own_deployment_print_the_same(
    site: Deployment, remote: Remote, command: tuple[str, ...]
) -> None:
    remote.penstock("submit", "echo", "-p", "text=hello", "--id", "first")
    for form in ((), ("--json",)):
        there, here = remote.penstock(*command, *form), site.penstock(*command, *form)
        assert (there.code, there.out, there.err) == (here.code, here.out, here.err)


def test_logs_and_artifacts_come_byte_for_byte(remote: Remote, tmp_path: Path) -> None:
    assert remote.penstock("run", "makes", "--id", "made", "-q").code == 0
    done = remote.penstock("artifacts", "made", "--download", str(tmp_path), "--json")
    assert done.code == 0, done.err
    for artifact in done.json["artifacts"]:
        data = (tmp_path / artifact["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (artifact["size"], artifact["sha256"])
    assert {a["name"] for a in done.json["artifacts"]} == {"one.txt", "public/big.bin"}
    assert remote.penstock("artifacts", "made", "two.txt").code == 66
    remote.penstock("run", "bytes", "--id", "bytes-1", "-q")
    process = remote.start("logs", "bytes-1")
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert sorted(out.splitlines()) == sorted([b"a\xffb", b"\x1b[2Jsteers", b"[worker:error] bad"])
    assert remote.penstock("logs", "--tail", "1", "bytes-1").out in ("[worker:error] bad\n", "\x1b[2Jsteers\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "no-such"), 64, "unknown script"),
        (("run", "../tasks"), 64, "unknown script"),
        (("submit", "off"), 77, "disabled"),
        (("submit", "echo", "-p", "count:=true", "-p", "text:=1"), 65, "/count"),
        (("submit", "echo", "--payload", "-"), 65, ""),
        (("show", "no-such"), 66, "no task 'no-such'"),
        (("show", "../../healthz"), 66, "no task"),
        (("logs", "no-such"), 66, "no task"),
        (("cancel", "no-such", "../x"), 66, ""),
        (("up",), 64, "works in a deployment's folder"),
        (("worker",), 64, "works in a deployment's folder"),
        (("check",), 64, "works in a deployment's folder"),
        (("exec", "echo"), 64, "works in a deployment's folder"),
        (("dead-letters", "list"), 64, "works in a deployment's folder"),
        (("run", "--up", "echo"), 64, "--up"),
        (("run", "killed", "-q"), 124, ""),
        (("run", "waits", "--timeout", "0.2", "-q"), 75, "has not ended in time"),
    ],
)
def test_the_exit_codes_are_those_of_a_deployment(
    remote: Remote, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = remote.penstock(*arguments, stdin=b"{nonsense")
    assert done.code == code, done.err
    assert said in done.err


def test_the_options_of_a_task_reach_its_record(remote: Remote) -> None:
    options = ("--tag", "a", "--priority", "7", "--idempotency-key", "k-1", "--delay", "1h", "--deadline", "2h")
    done = remote.penstock("submit", "echo", "--id", "late", *options)
    assert (done.code, done.out) == (0, "late\n"), done.err
    again = remote.penstock("submit", "echo", "--id", "later", *options, "--json")
    assert again.json == {"taskId": "late", "script": "echo", "created": False, "published": True}
    task = remote.penstock("show", "late", "--json").json
    assert (task["tags"], task["priority"], task["idempotencyKey"], task["submittedBy"]) == (["a"], 7, "k-1", "all")
    assert task["dueAt"] < task["deadline"]
    other = remote.penstock("submit", "echo", "--id", "late", "-p", "text=x")
    assert (other.code, "conflict" in other.err) == (65, True)
    cancelled = remote.penstock("cancel", "late", "no-such", "--why", "not wanted", "--json")
    assert cancelled.code == 66
    assert [task["outcome"] for task in cancelled.json["tasks"]] == ["cancelled", "unknown"]
    assert remote.penstock("cancel", "late").out == "late had ended already (cancelled)\n"
    assert remote.penstock("cancel", "--script", "echo", "--yes").code == 0


def test_keys_are_kept_apart_from_argv_and_errors(remote: Remote, site: Deployment, elsewhere: Path) -> None:
    wrong = Remote(elsewhere, remote.url, "penstock_abcdefgh_" + "x" * 43)
    refused = wrong.penstock("tasks")
    assert (refused.code, "does not accept the API key" in refused.err) == (77, True)
    assert "x" * 10 not in refused.out + refused.err
    reader = Remote(elsewhere, remote.url, make_key(site, "reader", "tasks:read", "scripts:read"))
    assert reader.penstock("tasks").code == 0
    assert reader.penstock("submit", "echo").code == 77
    assert Remote(elsewhere, remote.url).penstock("tasks").code == 77
    for key in ("two\nlines", "näh", " "):
        assert wrong.penstock("tasks", PENSTOCK_API_KEY=key).code == 65
    file = elsewhere / "key"
    file.write_text(f"{remote.key}\n")
    assert Remote(elsewhere, remote.url).penstock("tasks", PENSTOCK_API_KEY_FILE=str(file)).code == 0
    assert wrong.penstock("tasks", PENSTOCK_API_KEY_FILE=str(file)).code == 64
    assert Remote(elsewhere, remote.url).penstock("tasks", PENSTOCK_API_KEY_FILE=str(elsewhere / "none")).code == 66


def test_login_keeps_what_the_server_has_accepted_where_nobody_else_can_read_it(
    remote: Remote, elsewhere: Path
) -> None:
    assert remote.url and remote.key
    bare, profile = Remote(elsewhere, None), elsewhere / ".config" / "penstock" / "profile.json"
    assert bare.penstock("login", remote.url, stdin=b"penstock_abcdefgh_wrong\n").code == 77
    assert not profile.exists()
    done = bare.penstock("login", remote.url, stdin=f"{remote.key}\n".encode())
    assert done.code == 0, done.err
    assert remote.key not in done.out + done.err
    assert profile.stat().st_mode & 0o777 == 0o600
    try:
        assert bare.penstock("tasks").code == 0
        # Neither a folder that is named nor a server that is none is meant.
        assert bare.penstock("-C", str(elsewhere), "tasks").code == 69
        assert bare.penstock("tasks", PENSTOCK_SERVER="").code == 69
        # The key was kept for that server only.
        with Hostile(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as server:
            bare.penstock("tasks", PENSTOCK_SERVER=server.url)
            assert server.requests
            assert remote.key.encode() not in b"".join(server.requests)
        profile.chmod(0o640)
        assert bare.penstock("tasks").code == 65
    finally:
        assert bare.penstock("logout").code == 0
    assert not profile.exists()
    assert bare.penstock("logout").code == 0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a",
        "penstock.example",
        "http://penstock.example",
        "http://127.0.0.1.evil.example",
        "https://user:secret@penstock.example",
        "https://a/b?c=d",
        "https://a b",
        "http://[::1",
        "https://a:99999",
        "http://127.0.0.1:80/\x1b[2J",
    ],
)
def test_an_address_that_is_none_or_would_tell_the_key_is_wrong_usage(elsewhere: Path, url: str) -> None:
    done = Remote(elsewhere, url, "penstock_abcdefgh_key").penstock("tasks")
    assert done.code == 64, done.err
    assert "secret" not in done.err
    assert "\x1b" not in done.err


@contextmanager
def on_a_terminal(start: Callable[..., subprocess.Popen[bytes]], *arguments: str) -> Iterator[Terminal]:
    """The command in a session of its own, with a terminal that Ctrl-C can be pressed on."""
    master, slave = pty.openpty()
    process = start(*arguments, stdin=slave, stdout=slave, stderr=slave, preexec_fn=controlled)
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(master)


def controlled() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self.process = process
        self.seen = b""

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def wait_for(self, text: bytes) -> None:
        """What came before it is not looked at again."""
        until = time.monotonic() + DEADLINE_S
        while text not in self.seen:
            left = until - time.monotonic()
            assert left > 0, self.seen
            assert select.select([self._master], [], [], left)[0], self.seen
            self.seen += os.read(self._master, 4096)
        self.seen = self.seen.partition(text)[2]


@pytest.mark.parametrize("door", ["here", "there"])
def test_ctrl_c_on_a_terminal_asks_what_is_to_become_of_the_task(site: Deployment, remote: Remote, door: str) -> None:
    start, penstock = (site.start, site.penstock) if door == "here" else (remote.start, remote.penstock)
    with on_a_terminal(start, "run", "stay", "--id", f"asked-{door}") as terminal:
        terminal.wait_for(b"begun")
        terminal.type(b"\x03")
        terminal.wait_for(b"ollow on? ")
        terminal.type(b"what\n")
        terminal.wait_for(b"ollow on? ")
        terminal.type(b"f\n")
        terminal.wait_for(b"following on")
        terminal.type(b"\x03")
        terminal.wait_for(b"ollow on? ")
        terminal.type(b"d\n")
        terminal.wait_for(f"goes on: penstock logs -f asked-{door}".encode())
        assert terminal.process.wait(DEADLINE_S) == 130
    assert penstock("show", f"asked-{door}", "--json").json["status"] == "running"
    with on_a_terminal(start, "run", "stay", "--id", f"asked-{door}") as terminal:
        terminal.wait_for(b"begun")
        terminal.type(b"\x03")
        terminal.wait_for(b"ollow on? ")
        terminal.type(b"c\n")
        terminal.wait_for(b"cancelled by Ctrl-C")
        assert terminal.process.wait(DEADLINE_S) == 130
    assert penstock("show", f"asked-{door}", "--json").json["status"] == "cancelled"


def test_without_a_terminal_ctrl_c_detaches(remote: Remote) -> None:
    process = remote.start("run", "stay", "--id", "left")
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.code, "penstock logs -f left" in done.err) == (130, True)
    assert remote.penstock("logs", "left").out == "begun\n"
    follower = remote.start("logs", "-f", "left")
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"begun\n"
    assert remote.penstock("cancel", "left", "--json").json["tasks"][0]["outcome"] == "requested"
    assert finish(follower).code == 0


def test_who_follows_goes_on_after_a_restart_of_the_server_without_gap_or_double(
    site: Deployment, remote: Remote, elsewhere: Path
) -> None:
    with api_beside(site, 0) as url:
        port = int(url.rpartition(":")[2])
        follower = Remote(elsewhere, url, remote.key).start("run", "paced", "--id", "paced-1")
        assert follower.stdout is not None
        first = [follower.stdout.readline() for _ in range(100)]
    # The server is gone while the command writes.
    (site.home / "go-1").touch()
    assert follower.stderr is not None
    assert any(b"the server does not answer; waiting for it" in line for line in iter(follower.stderr.readline, b""))
    with api_beside(site, port):
        (site.home / "go-2").touch()
        out, err = follower.communicate(timeout=DEADLINE_S)
    assert follower.returncode == 0, err
    assert b"".join(first) + out == b"".join(b"line %d\n" % number for number in range(1, 301))


@contextmanager
def api_beside(site: Deployment, port: int) -> Iterator[str]:
    """A server of its own for the deployment that runs already."""
    process = site.start("api", "--port", str(port))
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith(b"listening on http://"), said
        yield said.split()[-1].decode()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE_S)


@pytest.mark.parametrize("door", ["here", "there"])
def test_an_ended_task_is_run_again(site: Deployment, remote: Remote, door: str) -> None:
    penstock = site.penstock if door == "here" else remote.penstock
    penstock("run", "echo", "-p", "text=again", "--id", f"ended-{door}", "--tag", "a", "-q")
    new = penstock("rerun", f"ended-{door}", "--json")
    assert (new.code, new.json["rerunOf"]) == (0, f"ended-{door}"), new.err
    assert penstock("logs", "-f", new.json["taskId"]).out == '{"text":"again"}\n'
    assert penstock("show", new.json["taskId"], "--json").json["tags"] == ["a"]
    assert penstock("rerun", "no-such").code == 66
    penstock("submit", "waits", "--id", f"pending-{door}")
    assert penstock("rerun", f"pending-{door}").code == 65


def test_the_status_is_the_same_here_and_there(site: Deployment, remote: Remote) -> None:
    here, there = site.penstock("status", "--json"), remote.penstock("status", "--json")
    assert (here.code, there.code) == (0, 0), there.err
    for seen in (here.json, there.json):
        (worker,) = seen["workers"]
        assert worker.pop("silentS") >= 0
    assert here.json["workers"][0].keys() == there.json["workers"][0].keys()
    assert {q["name"] for q in here.json["queues"]} == {q["name"] for q in there.json["queues"]}
    assert "WAITING" in remote.penstock("status").out


def test_watch_draws_what_is_new_until_ctrl_c(remote: Remote) -> None:
    assert remote.penstock("watch").code == 64
    with on_a_terminal(remote.start, "watch", "--every", "0.2", "--script", "echo") as terminal:
        terminal.wait_for(b"SCRIPT")
        remote.penstock("submit", "echo", "--id", "seen-by-watch")
        terminal.wait_for(b"seen-by-watch")
        terminal.type(b"\x03")
        terminal.wait_for(b"\x1b[?1049l")
        assert terminal.process.wait(DEADLINE_S) == 130


def test_the_audit_is_the_same_here_and_there(site: Deployment, remote: Remote, api: Api, elsewhere: Path) -> None:
    remote.penstock("submit", "echo", "--id", "written-down", "-p", "text=x")
    for more in ((), ("--action", "scripts", "--result", "allowed", "--limit", "3"), ("--since", "1d", "--who", "all")):
        here, there = site.penstock("audit", "--json", *more), remote.penstock("audit", "--json", *more)
        assert there.code == 0, there.err
        assert here.json == there.json
    entries = there.json["entries"]
    assert any(e["action"] == "scripts.execute" and "written-down" in e["detail"] for e in entries), entries
    assert entries[0]["from"] == "127.0.0.1"
    exported = remote.penstock("audit", "--export", "-")
    assert len(exported.out.splitlines()) >= len(entries)
    reader = make_key(site, "reader", role="reader")
    assert Remote(elsewhere, remote.url, reader).penstock("audit").code == 77
    assert [api.get(f"/audit?{query}").status for query in ("since=x", "cursor=x", "result=x", "limit=0", "no=1")] == [
        400
    ] * 5
    assert api.with_key(None).get("/audit").error[0] == 401


def test_keys_are_made_rotated_and_revoked_there_as_here(site: Deployment, remote: Remote, elsewhere: Path) -> None:
    made = remote.penstock("keys", "create", "ci", "--role", "reader", "--for", "90d", "--json")
    assert made.code == 0, made.err
    key = fits("key-made", made.out)
    ci = Remote(elsewhere, remote.url, key["key"])
    assert ci.penstock("tasks").code == 0
    assert ci.penstock("keys", "list").code == 77
    here, there = site.penstock("keys", "list", "--json"), remote.penstock("keys", "list", "--json")
    assert (there.code, fits("keys", there.out)["keys"]) == (0, here.json["keys"]), there.err
    assert key["key"] not in there.out
    rotated = remote.penstock("keys", "rotate", key["id"], "--now")
    assert rotated.code == 0, rotated.err
    new_id = rotated.out.split("_")[1]
    assert ci.penstock("tasks").code == 77
    assert remote.penstock("keys", "rotate", key["id"]).code == 66
    assert remote.penstock("keys", "rotate", "../audit").code == 66
    revoked = remote.penstock("keys", "revoke", new_id, "zzzzzzzz", "../x\x1b[2J", "--json")
    outcomes = [one["outcome"] for one in fits("keys-revoked", revoked.out)["keys"]]
    assert (revoked.code, outcomes) == (66, ["revoked", "unknown", "unknown"])
    assert "revoked" in remote.penstock("keys", "list", "--all").out
    assert new_id not in remote.penstock("keys", "list").out
    for penstock in (site.penstock, remote.penstock):
        assert [penstock("keys", "create", "x", *more).code for more in ((), ("--role", "no-such"))] == [64, 64]


def test_a_token_is_issued_in_the_folder_and_shown_to_the_server(
    site: Deployment, remote: Remote, elsewhere: Path
) -> None:
    folder = Remote(site.home, remote.url, remote.key)
    arguments = ("--key-file", str(site.home / "config/token-key.pem"), "--scope", "tasks:read")
    issued = folder.penstock("tokens", "issue", "bot", *arguments)
    assert issued.code == 0, issued.err
    token = issued.out.strip()
    shown = remote.penstock("tokens", "show", "--json", stdin=token.encode())
    assert shown.code == 0, shown.err
    assert fits("token-shown", shown.out)["principal"] == {"name": "bot", "scopes": ["tasks:read"]}
    changed = f"{token[:-8]}{'A' if token[-8] != 'A' else 'B'}{token[-7:]}"
    wrong = remote.penstock("tokens", "show", stdin=changed.encode())
    assert (wrong.code, "does not accept it" in wrong.err, "sub:" in wrong.out) == (77, True, True), wrong.err
    assert remote.penstock("tokens", "show", stdin=b"penstock_abcdefgh_no-token").code == 65
