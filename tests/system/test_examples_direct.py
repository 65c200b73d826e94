"""The example scripts, started as the engine starts them, but without the engine: JSON in, files out."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from ruamel.yaml import YAML

from tests.reference import jsonschema

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = ("backup-sqlite", "checksum-tree", "render-report", "sign-file")
SERVED_NAMES = [
    "/etc/passwd",
    "../outside",
    "sub/../../outside",
    "..",
    "",
    "/",
    "sub//file",
    "sub/",
    "./sub",
    ".penstock/keys/sign-file.ed25519",
    "sub/.hidden",
    "a\nb",
    "a\x1b[2J",
    "a\x00b",
    "a\x9bb",
]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str
    folder: Path

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def public(self) -> Path:
        return self.artifacts / "public"

    def files(self) -> set[str]:
        """Every path below artifacts/, so that a half-written one would show."""
        return {str(path.relative_to(self.artifacts)) for path in self.artifacts.rglob("*") if path.is_file()}


class Deployment:
    """A copy of the example deployment in a folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        shutil.copytree(REPOSITORY / "config", home / "config")
        shutil.copytree(REPOSITORY / "scripts", home / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        self.runs = 0

    def declaration(self, name: str) -> dict[str, Any]:
        return YAML(typ="safe", pure=True).load(self.home / "config" / "scripts" / f"{name}.yaml")

    def start(self, name: str, payload: Any, env: Mapping[str, str]) -> tuple[subprocess.Popen[str], Path]:
        """Start the declared command in a fresh folder, with nothing else in its environment."""
        declared = self.declaration(name)
        program, script = declared["command"]
        variables = {"TASK_ID": "task-1", "RUN_ID": "0"}
        for key, value in declared.get("env", {}).items():
            found = value if isinstance(value, str) else payload.get(value["fromPayload"].removeprefix("/"))
            if found is not None:
                variables[key] = found
        self.runs += 1
        folder = self.home.parent / f"run-{threading.get_ident()}-{self.runs}"
        (folder / "artifacts").mkdir(parents=True)
        data = folder / "stdin.json"
        data.write_text(payload if isinstance(payload, str) else json.dumps(payload), encoding="utf-8")
        with data.open() as stdin:
            process = subprocess.Popen(
                [sys.executable if program == "python3" else shutil.which(program), self.home / script],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**variables, **env},
                cwd=folder,
                start_new_session=True,
            )
        return process, folder

    def run(self, name: str, payload: Any, **env: str) -> Ended:
        process, folder = self.start(name, payload, env)
        out, err = process.communicate(timeout=60)
        return Ended(process.returncode, out, err, folder)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path / "home")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """For tests that leave the deployment as it was."""
    made = Deployment(tmp_path_factory.mktemp("shared") / "home")
    (made.home / "file.txt").write_text("content\n")
    return made


def schema_of(name: str) -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(REPOSITORY / "config" / "scripts" / f"{name}.yaml")["schema"]


def accepts(name: str, payload: Any) -> bool:
    """The schema's verdict, closed at the root as every script is; the two libraries have to agree."""
    document = {"additionalProperties": False, **schema_of(name)}
    fast = jsonschema_rs.Draft202012Validator(
        document, validate_formats=True, pattern_options=jsonschema_rs.RegexOptions()
    ).is_valid(payload)
    checker = jsonschema().Draft202012Validator.FORMAT_CHECKER
    reference = jsonschema().Draft202012Validator(document, format_checker=checker).is_valid(payload)
    assert fast == reference, payload
    return fast


# --- declarations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_script_has_a_declaration_a_command_a_sample_and_a_line_in_the_readme(name: str) -> None:
    declared = YAML(typ="safe", pure=True).load(REPOSITORY / "config" / "scripts" / f"{name}.yaml")
    assert declared["title"] and declared["description"] and declared["category"] and declared["tags"]
    command = REPOSITORY / declared["command"][1]
    assert command.stem == name and os.access(command, os.X_OK)
    assert accepts(name, json.loads((REPOSITORY / "scripts" / "samples" / f"{name}.json").read_text()))
    assert f"| [`{name}`]({command.name}) |" in (REPOSITORY / "scripts" / "README.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_closed_and_its_examples_satisfy_it(name: str) -> None:
    schema = schema_of(name)
    jsonschema().Draft202012Validator.check_schema(schema)
    for sample in schema["examples"]:
        assert accepts(name, sample)
        assert not accepts(name, {**sample, "unknown": 1})
        for key in schema["required"]:
            assert not accepts(name, {k: v for k, v in sample.items() if k != key})
    for key, definition in schema["properties"].items():
        assert definition.get("title"), f"{key} has no title"
        for value in definition.get("examples", []):
            assert accepts(name, {**schema["examples"][0], key: value})


@pytest.mark.parametrize(
    ("name", "key"), [("sign-file", "file"), ("backup-sqlite", "database"), ("checksum-tree", "folder")]
)
@pytest.mark.parametrize("path", SERVED_NAMES)
def test_a_path_that_leaves_the_allowed_folder_is_refused_by_the_schema(name: str, key: str, path: str) -> None:
    assert not accepts(name, {key: path})
    assert accepts(name, {key: "sub/Übersicht 1.txt"})


def test_a_report_is_refused_for_hostile_links_wrong_times_and_nested_unknown_keys() -> None:
    good = json.loads((REPOSITORY / "scripts" / "samples" / "render-report.json").read_text())
    assert accepts("render-report", good)
    for change in (
        {"source": "javascript:alert(1)"},
        {"source": "not a uri"},
        {"source": "https://example.org/a b"},
        {"generatedAt": "yesterday"},
        {"series": []},
        {"series": [{"label": "a", "value": 1}] * 201},
        {"series": [{"label": "a", "value": "1"}]},
        {"series": [{"label": "a", "value": True}]},
        {"series": [{"label": "a", "value": 1e16}]},
        {"series": [{"label": "a", "value": 1, "colour": "red"}]},
        {"title": "two\nlines"},
        {"order": "random"},
    ):
        assert not accepts("render-report", {**good, **change}), change


# --- what all of them do ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sign-file", "backup-sqlite", "render-report"])
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"file": 1, "database": [], "series": {}}', "[" * 100_000]
)
def test_a_payload_that_no_schema_checked_still_ends_with_2(shared: Deployment, name: str, text: str) -> None:
    process, folder = shared.start(name, text, {})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, ""), err
    assert err.count("\n") == 1
    assert Ended(2, out, err, folder).files() == set()


@given(st.text(max_size=300))
@example("\ud800")
@example("file.txt/")
@example("a" * 300)
@example("x/" * 3000)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_as_a_path_is_refused_in_one_printable_line(shared: Deployment, text: str) -> None:
    for name, key in (("sign-file", "file"), ("backup-sqlite", "database")):
        ended = shared.run(name, {key: text}, BACKUP_ROOT=".")
        assert ended.code == 2, ended
        assert ended.err.endswith("\n") and ended.err[:-1].isprintable()
        assert ended.files() == set()


def test_the_sample_payloads_of_a_fresh_clone_run_as_the_readme_says(deployment: Deployment) -> None:
    shutil.copy(REPOSITORY / "README.md", deployment.home)
    readme = (deployment.home / "scripts" / "README.md").read_text()
    setup = readme.split("```sh\n")[1].split("```")[0]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    subprocess.run(["bash", "-ec", setup], cwd=deployment.home, env={"PATH": path}, check=True)
    expected = {
        "backup-sqlite": {"shop.sqlite", "public/report.json"},
        "checksum-tree": {"public/SHA256SUMS"},
        "render-report": {"public/chart.png", "public/report.html"},
        "sign-file": {"public/README.md.sig", "public/manifest.json", "public/public-key.pem"},
    }
    for name, files in expected.items():
        sample = json.loads((deployment.home / "scripts" / "samples" / f"{name}.json").read_text())
        dry = deployment.run(name, sample, DRY_RUN="true")
        assert (dry.code, dry.err, dry.files()) == (0, "", set())
        assert "dry run: would" in dry.out
        assert not (deployment.home / ".penstock").exists()
        ended = deployment.run(name, sample)
        assert (ended.code, ended.err) == (0, "")
        assert ended.files() == files
        assert not list(ended.folder.glob("*.partial"))
        shutil.rmtree(deployment.home / ".penstock", ignore_errors=True)


# --- sign-file ----------------------------------------------------------------------------------------------


def key_of(deployment: Deployment) -> Path:
    return deployment.home / ".penstock" / "keys" / "sign-file.ed25519"


def test_a_signature_verifies_with_what_was_published_and_not_for_other_content(
    deployment: Deployment,
) -> None:
    content = os.urandom(300_000)
    (deployment.home / "dist").mkdir()
    (deployment.home / "dist" / "päckchen 1.bin").write_bytes(content)
    ended = deployment.run("sign-file", {"file": "dist/päckchen 1.bin", "digests": ["sha512", "sha3-256", "blake2b"]})
    assert (ended.code, ended.err) == (0, "")
    manifest = json.loads((ended.public / "manifest.json").read_text())
    public = load_pem_public_key((ended.public / "public-key.pem").read_bytes())
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = (ended.public / manifest["signatureFile"]).read_bytes()
    assert len(signature) == 64
    assert base64.b64decode(manifest["signature"]) == signature
    assert base64.b64decode(manifest["publicKey"]) == raw
    assert manifest["keyId"] == hashlib.sha256(raw).hexdigest()[:16]
    assert (manifest["file"], manifest["size"]) == ("dist/päckchen 1.bin", len(content))
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["digests"] == {
        "sha256": hashlib.sha256(content).hexdigest(),
        "sha512": hashlib.sha512(content).hexdigest(),
        "sha3-256": hashlib.sha3_256(content).hexdigest(),
        "blake2b": hashlib.blake2b(content).hexdigest(),
    }
    assert (manifest["algorithm"], manifest["taskId"], manifest["runId"]) == ("Ed25519", "task-1", "0")
    public.verify(signature, content)
    with pytest.raises(InvalidSignature):
        public.verify(signature, content + b"x")


def test_the_key_is_made_once_for_its_owner_only_and_never_shown(deployment: Deployment) -> None:
    (deployment.home / "file.txt").write_text("x")
    first, second = (deployment.run("sign-file", {"file": "file.txt"}) for _ in range(2))
    assert "made a new signing key" in first.out and "made a new signing key" not in second.out
    key = key_of(deployment)
    assert (key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    secret = key.read_text().splitlines()[1]
    for ended in (first, second):
        assert secret not in ended.out + ended.err
        assert all(secret.encode() not in (ended.artifacts / name).read_bytes() for name in ended.files())
    assert (first.public / "file.txt.sig").read_bytes() == (second.public / "file.txt.sig").read_bytes()


def test_eight_first_runs_at_once_agree_on_one_key(deployment: Deployment) -> None:
    (deployment.home / "file.txt").write_text("x")
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: deployment.run("sign-file", {"file": "file.txt"}), range(8)))
    assert [run.code for run in runs] == [0] * 8, runs
    assert len({(run.public / "public-key.pem").read_bytes() for run in runs}) == 1
    assert [path.name for path in key_of(deployment).parent.iterdir()] == ["sign-file.ed25519"]


def test_the_expected_digest_decides_whether_a_file_is_signed(deployment: Deployment) -> None:
    (deployment.home / "file.txt").write_text("x")
    right = hashlib.sha256(b"x").hexdigest()
    assert deployment.run("sign-file", {"file": "file.txt", "sha256": right}).code == 0
    wrong = deployment.run("sign-file", {"file": "file.txt", "sha256": "0" * 64})
    assert (wrong.code, wrong.files()) == (1, set())


def test_an_empty_file_is_signed_and_one_byte_too_many_is_refused(deployment: Deployment) -> None:
    (deployment.home / "empty").touch()
    assert deployment.run("sign-file", {"file": "empty"}).code == 0
    (deployment.home / "big").write_bytes(b"x" * 101)
    assert deployment.run("sign-file", {"file": "big"}, SIGN_MAX_BYTES="101").code == 0
    assert deployment.run("sign-file", {"file": "big"}, SIGN_MAX_BYTES="100").code == 2
    with (deployment.home / "sparse").open("wb") as sparse:
        sparse.truncate(10 * 1024**3)
    assert deployment.run("sign-file", {"file": "sparse"}).code == 2


def link_to_secret(home: Path, secret: Path) -> str:
    (home / "served").symlink_to(secret)
    return "served"


def link_inside(home: Path, secret: Path) -> str:
    (home / "real").write_text("x")
    (home / "served").symlink_to("real")
    return "served"


def folder_link(home: Path, secret: Path) -> str:
    (home / "served").symlink_to(secret.parent)
    return f"served/{secret.name}"


def dangling_link(home: Path, secret: Path) -> str:
    (home / "served").symlink_to("nowhere")
    return "served"


def fifo(home: Path, secret: Path) -> str:
    os.mkfifo(home / "served")
    return "served"


def unix_socket(home: Path, secret: Path) -> str:
    with socket.socket(socket.AF_UNIX) as served, pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)  # a socket's path is short
        served.bind("served")
    return "served"


def plain_folder(home: Path, secret: Path) -> str:
    (home / "served").mkdir()
    return "served"


def below_a_file(home: Path, secret: Path) -> str:
    (home / "served").touch()
    return "served/file"


def missing(home: Path, secret: Path) -> str:
    return "served"


@pytest.mark.parametrize("name", ["sign-file", "backup-sqlite"])
@pytest.mark.parametrize(
    "lay",
    [
        link_to_secret,
        link_inside,
        folder_link,
        dangling_link,
        fifo,
        unix_socket,
        plain_folder,
        below_a_file,
        missing,
    ],
)
def test_what_is_no_plain_file_of_the_allowed_folder_is_refused_by_name(
    deployment: Deployment, tmp_path: Path, name: str, lay: Callable[[Path, Path], str]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with closing(sqlite3.connect(outside / "secret")) as db:
        db.execute("CREATE TABLE secret (word)")
    path = lay(deployment.home, outside / "secret")
    key = {"sign-file": "file", "backup-sqlite": "database"}[name]
    ended = deployment.run(name, {key: path}, BACKUP_ROOT=".")
    assert (ended.code, ended.files()) == (2, set()), ended.err
    assert "served" in ended.err


def test_the_key_itself_is_refused_even_by_another_name(deployment: Deployment) -> None:
    (deployment.home / "file.txt").write_text("x")
    assert deployment.run("sign-file", {"file": "file.txt"}).code == 0
    for path in (".penstock/keys/sign-file.ed25519", "config/../.penstock/keys/sign-file.ed25519"):
        assert deployment.run("sign-file", {"file": path}).code == 2
    os.link(key_of(deployment), deployment.home / "harmless.txt")
    ended = deployment.run("sign-file", {"file": "harmless.txt"})
    assert (ended.code, ended.files()) == (2, set())
    assert "it is the key" in ended.err


def test_an_unusable_key_ends_the_worker(deployment: Deployment, tmp_path: Path) -> None:
    (deployment.home / "file.txt").write_text("x")
    assert deployment.run("sign-file", {"file": "file.txt"}).code == 0
    key, folder = key_of(deployment), tmp_path / "keys"
    folder.mkdir()
    (folder / "open").write_bytes(key.read_bytes())
    (folder / "open").chmod(0o644)
    (folder / "garbage").write_bytes(os.urandom(200))
    (folder / "empty").touch()
    (folder / "public").write_bytes(
        Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (folder / "link").symlink_to(key)
    (folder / "dangling").symlink_to(folder / "nothing")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    for path in folder.iterdir():
        if path.name != "open" and not path.is_symlink():
            path.chmod(0o600)
    for name in ("open", "garbage", "empty", "public", "link", "dangling", "folder", "fifo", "garbage/below"):
        ended = deployment.run("sign-file", {"file": "file.txt"}, SIGN_KEY=str(folder / name))
        assert (ended.code, ended.files()) == (4, set()), (name, ended.err)
        assert "PRIVATE" not in ended.err
    assert not (folder / "nothing").exists()


def test_a_key_among_the_served_files_is_refused_before_it_is_made(deployment: Deployment) -> None:
    (deployment.home / "file.txt").write_text("x")
    ended = deployment.run("sign-file", {"file": "file.txt"}, SIGN_KEY="keys/sign.pem")
    assert (ended.code, ended.files()) == (4, set())
    assert not (deployment.home / "keys").exists()


@pytest.mark.parametrize(("name", "key"), [("sign-file", "file"), ("backup-sqlite", "database")])
def test_swapping_a_file_for_a_link_never_publishes_the_secret(
    deployment: Deployment, tmp_path: Path, name: str, key: str
) -> None:
    secret, plain = tmp_path / "secret", deployment.home / "plain"
    make_database(secret, rows=5000)
    make_database(plain, rows=1)
    served, spare = deployment.home / "served", deployment.home / "spare"
    over = threading.Event()

    def stay() -> None:
        """Leave either state for about as long as a script takes from one look at the path to the next."""
        for _ in range(random.randrange(100)):
            served.stat()

    def swap() -> None:
        while not over.is_set():
            spare.symlink_to(secret)
            spare.rename(served)
            stay()
            os.link(plain, spare)
            spare.rename(served)
            stay()

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        runs = [deployment.run(name, {key: "served"}, BACKUP_ROOT=".") for _ in range(20)]
    finally:
        over.set()
        swapper.join()
    for ended in runs:
        assert ended.code in (0, 1, 2, 3), ended
        assert ended.files() == set() or ended.code == 0
        for report in ended.public.glob("*.json"):
            assert json.loads(report.read_text())["size"] == plain.stat().st_size


# --- checksum-tree ------------------------------------------------------------------------------------------


def check_sums(ended: Ended, folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["sha256sum", "-c", "--strict", "--quiet", ended.public / "SHA256SUMS"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_sums_check_out_for_every_odd_name(deployment: Deployment) -> None:
    tree = deployment.home / "tree"
    (tree / "-deep dir" / "ünder").mkdir(parents=True)
    odd = [
        "plain",
        "-",
        "--help",
        "with space",
        "new\nline",
        "back\\slash",
        "tab\t",
        "*",
        "a'b\"c",
        "$(id)",
        "\r",
    ]
    for name in odd:
        (tree / name).write_text(name)
        (tree / "-deep dir" / "ünder" / name).write_text(name * 2)
    (tree / os.fsdecode(b"not-utf8-\xff")).write_text("x")
    ended = deployment.run("checksum-tree", {"folder": "tree"})
    assert (ended.code, ended.err, ended.files()) == (0, "", {"public/SHA256SUMS"})
    sums = (ended.public / "SHA256SUMS").read_bytes()
    assert sums.count(b"\n") == 2 * len(odd) + 1
    assert hashlib.sha256(b"plain").hexdigest().encode() + b"  ./plain\n" in sums
    checked = check_sums(ended, tree)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (tree / "new\nline").write_text("changed")
    assert check_sums(ended, tree).returncode == 1


def test_many_files_are_summed_in_order_with_progress(deployment: Deployment) -> None:
    tree = deployment.home / "tree"
    tree.mkdir()
    for number in range(600):
        (tree / f"{number:03}").write_text("x" * number)
    ended = deployment.run("checksum-tree", {"folder": "tree"})
    assert ended.code == 0
    names = [line.split("  ")[1] for line in (ended.public / "SHA256SUMS").read_text().splitlines()]
    assert names == [f"./{number:03}" for number in range(600)]
    assert [line for line in ended.out.splitlines() if line.startswith("hashed")] == [
        f"hashed {number} of 600 files" for number in (250, 500, 600)
    ]
    *_, told, result = ended.out.splitlines()
    assert f"600 files, {sum(range(600))} bytes" in told
    assert json.loads(result) == {"files": 600, "bytes": sum(range(600))}


def test_links_pipes_and_hidden_names_are_left_out_and_counted(deployment: Deployment, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "word").write_text("secret")
    tree = deployment.home / "tree"
    (tree / ".git").mkdir(parents=True)
    (tree / ".git" / "config").write_text("x")
    (tree / ".env").write_text("x")
    (tree / "file").write_text("x")
    (tree / "out").symlink_to(secret)
    (tree / "word\n[worker] forged").symlink_to(secret / "word")
    os.mkfifo(tree / "pipe")
    ended = deployment.run("checksum-tree", {"folder": "tree"})
    assert ended.code == 0
    assert (ended.public / "SHA256SUMS").read_text().splitlines() == [f"{hashlib.sha256(b'x').hexdigest()}  ./file"]
    assert "1 files, 1 bytes; left out: 2 links, 1 other entries, 2 hidden" in ended.out
    assert not any(line.startswith("[worker]") for line in ended.out.splitlines())
    everything = deployment.run("checksum-tree", {"folder": "tree"}, CHECKSUM_HIDDEN="include")
    assert len((everything.public / "SHA256SUMS").read_text().splitlines()) == 3


def test_a_pattern_picks_file_names_and_is_never_expanded_by_the_shell(deployment: Deployment) -> None:
    tree = deployment.home / "tree"
    (tree / "sub").mkdir(parents=True)
    for name in ("a.py", "b.py", "c.txt", "sub/d.py"):
        (tree / name).write_text(name)
    for pattern, found in (
        ("*.py", 3),
        ("?.py", 3),
        ("c*", 1),
        ("-delete", 0),
        ("$(touch x)", 0),
        ("a b", 0),
    ):
        ended = deployment.run("checksum-tree", {"folder": "tree", "match": pattern})
        assert (ended.code, ended.err) == (0, "")
        assert len((ended.public / "SHA256SUMS").read_text().splitlines()) == found, pattern
    assert len(list(tree.rglob("*"))) == 5


@pytest.mark.parametrize(
    "folder", [*(name for name in SERVED_NAMES if "\x00" not in name), "absent", "file", "link", "sub/link"]
)
def test_a_folder_outside_through_a_link_or_missing_is_refused(
    deployment: Deployment, tmp_path: Path, folder: str
) -> None:
    (tmp_path / "outside").mkdir()
    (deployment.home / "sub").mkdir()
    (deployment.home / "file").touch()
    (deployment.home / "link").symlink_to(tmp_path / "outside")
    (deployment.home / "sub" / "link").symlink_to("../config")
    ended = deployment.run("checksum-tree", {"folder": folder})
    assert (ended.code, ended.files()) == (2, set()), ended
    assert ended.err.count("\n") == 1


def test_the_allowed_folder_itself_an_absolute_root_and_a_missing_one(deployment: Deployment, tmp_path: Path) -> None:
    whole = deployment.run("checksum-tree", {"folder": "."})
    assert whole.code == 0
    assert "./config/penstock.yaml" in (whole.public / "SHA256SUMS").read_text()
    (tmp_path / "srv" / "a").mkdir(parents=True)
    (tmp_path / "alias").symlink_to("srv")
    assert deployment.run("checksum-tree", {"folder": "a"}, CHECKSUM_ROOT=str(tmp_path / "alias")).code == 0
    assert deployment.run("checksum-tree", {"folder": "a"}, CHECKSUM_ROOT=str(tmp_path / "none")).code == 3


def test_a_tree_that_changes_while_it_is_summed_gets_no_sums(deployment: Deployment) -> None:
    tree = deployment.home / "tree"
    tree.mkdir()
    for number in range(1000):
        (tree / str(number)).write_text("x")
    process, folder = deployment.start("checksum-tree", {"folder": "tree"}, {})
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("hashed 250"):
            (tree / "0").write_text("y")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "changed while it was read" in err
    assert Ended(1, "", err, folder).files() == set()


# --- backup-sqlite ------------------------------------------------------------------------------------------


def make_database(path: Path, *, rows: int = 1000, mode: str = "delete") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)")
        db.execute('CREATE TABLE "odd "" name; --" (x)')
        db.execute("CREATE VIEW large AS SELECT * FROM orders WHERE id > 10")
        db.executemany("INSERT INTO orders (note) VALUES (?)", [("x" * 200,)] * rows)
        db.execute("""INSERT INTO "odd "" name; --" VALUES (1)""")
        db.commit()


def rows_of(path: Path, table: str = "orders") -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_backup_opens_alone_and_has_every_row(deployment: Deployment, mode: str) -> None:
    source = deployment.home / "data" / "sub" / "büro #1?.db"
    make_database(source, mode=mode)
    before = source.read_bytes()
    ended = deployment.run("backup-sqlite", {"database": "sub/büro #1?.db", "expect": {"orders": 1000}})
    assert (ended.code, ended.err) == (0, "")
    assert ended.files() == {"büro #1?.sqlite", "public/report.json"}
    report = json.loads((ended.public / "report.json").read_text())
    assert report["tables"] == {"orders": 1000, 'odd " name; --': 1}
    assert (report["rows"], report["integrity"], report["backup"]) == (1001, "ok", "büro #1?.sqlite")
    copy = ended.artifacts / report["backup"]
    content = copy.read_bytes()
    assert (report["size"], report["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    alone = ended.folder / "alone"
    shutil.copy(copy, alone)
    assert rows_of(alone) == 1000
    assert source.read_bytes() == before
    assert [path.name for path in source.parent.iterdir()] == [source.name]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_that_is_being_written_is_copied_as_of_one_moment(deployment: Deployment, mode: str) -> None:
    source = deployment.home / "data" / "busy.db"
    make_database(source, rows=20_000, mode=mode)
    over, written = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(source, timeout=60, isolation_level=None)) as db:
            while not over.is_set():
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT INTO orders (note) VALUES (?)", [("y" * 200,)] * 10)
                db.execute("COMMIT")
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(30)
        ended = deployment.run("backup-sqlite", {"database": "busy.db"})
    finally:
        over.set()
        writer.join()
    assert (ended.code, ended.err) == (0, ""), ended
    rows = json.loads((ended.public / "report.json").read_text())["tables"]["orders"]
    assert rows_of(ended.artifacts / "busy.sqlite") == rows
    assert rows > 20_000 and rows % 10 == 0, "every transaction is in it whole or not at all"
    assert rows_of(source) >= rows


def test_a_database_locked_for_too_long_is_nobodys_fault_but_ours(deployment: Deployment) -> None:
    source = deployment.home / "data" / "locked.db"
    make_database(source)
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        ended = deployment.run("backup-sqlite", {"database": "locked.db"}, BACKUP_WAIT_S="0.1")
    assert (ended.code, ended.files()) == (3, set())
    assert ended.err == "'locked.db' is locked by somebody else; try again later\n"


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_what_a_crashed_writer_left_is_recovered_to_the_last_commit(deployment: Deployment, mode: str) -> None:
    source = deployment.home / "data" / "crashed.db"
    make_database(source, mode=mode)
    code = """if True:
        import os, sqlite3, sys
        db = sqlite3.connect(sys.argv[1])
        db.execute("INSERT INTO orders (note) VALUES ('committed')")
        db.commit()
        db.execute("PRAGMA cache_size = 5")
        db.execute("UPDATE orders SET note = note || 'lost'")
        db.execute("DELETE FROM orders WHERE id > 10")
        os._exit(0)
    """
    subprocess.run([sys.executable, "-c", code, source], check=True)
    assert source.with_name(f"crashed.db-{'wal' if mode == 'wal' else 'journal'}").stat().st_size > 0
    ended = deployment.run("backup-sqlite", {"database": "crashed.db"})
    assert (ended.code, ended.err) == (0, "")
    assert rows_of(ended.artifacts / "crashed.sqlite") == 1001


def test_a_damaged_database_fails_and_publishes_nothing(deployment: Deployment) -> None:
    source = deployment.home / "data" / "damaged.db"
    make_database(source)
    content = bytearray(source.read_bytes())
    content[8192:120_000] = random.Random(1).randbytes(120_000 - 8192)
    source.write_bytes(content)
    ended = deployment.run("backup-sqlite", {"database": "damaged.db"})
    assert (ended.code, ended.files()) == (1, set()), ended
    assert "damaged" in ended.err and "Traceback" not in ended.err


def test_a_file_that_is_no_database_is_refused(deployment: Deployment) -> None:
    (deployment.home / "data").mkdir()
    (deployment.home / "data" / "empty.db").touch()
    (deployment.home / "data" / "text.db").write_text("SQLite format 3, not really")
    for name in ("empty.db", "text.db"):
        ended = deployment.run("backup-sqlite", {"database": name})
        assert (ended.code, ended.files()) == (2, set())


def test_missing_tables_and_rows_fail_the_backup(deployment: Deployment) -> None:
    make_database(deployment.home / "data" / "shop.db", rows=5)
    for expect in ({"orders": 6}, {"customers": 0}):
        ended = deployment.run("backup-sqlite", {"database": "shop.db", "expect": expect})
        assert (ended.code, ended.files()) == (1, set())
        assert "not as expected" in ended.err


def test_a_database_over_the_bound_and_a_missing_folder_are_told_apart(deployment: Deployment) -> None:
    assert deployment.run("backup-sqlite", {"database": "shop.db"}).code == 3
    make_database(deployment.home / "data" / "shop.db")
    assert deployment.run("backup-sqlite", {"database": "shop.db"}, BACKUP_MAX_BYTES="4096").code == 2


def test_a_terminated_backup_leaves_no_artifact_and_a_healthy_database(deployment: Deployment) -> None:
    source = deployment.home / "data" / "large.db"
    make_database(source, rows=200_000)
    process, folder = deployment.start("backup-sqlite", {"database": "large.db"}, {})
    assert process.stdout is not None
    assert process.stdout.readline().startswith("read 'large.db'")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert Ended(0, "", "", folder).files() == set()
    assert rows_of(source) == 200_000


# --- render-report ------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would see: elements, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.text = ""
        self.in_cell = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "td":
            self.cells.append("")
            self.in_cell = True

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.in_cell:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag != "td"


def test_the_page_carries_the_chart_and_the_exact_numbers(shared: Deployment) -> None:
    series = [
        {"label": "Übersee & more", "value": 1234567.125},
        {"label": "日本", "value": -3},
        {"label": "zero", "value": 0},
        {"label": "tiny", "value": 1e-9},
    ]
    ended = shared.run(
        "render-report", {"title": "T", "unit": "€", "series": series, "generatedAt": "2026-01-01T00:00:00Z"}
    )
    assert (ended.code, ended.err) == (0, "")
    text = (ended.public / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    chart = (ended.public / "chart.png").read_bytes()
    image = next(attributes for tag, attributes in page.tags if tag == "img")
    assert base64.b64decode(str(image["src"]).removeprefix("data:image/png;base64,")) == chart
    assert page.cells[0:8] == ["Übersee & more", "1,234,567.125", "日本", "-3", "zero", "0", "tiny", "1e-09"]
    assert "Generated at 2026-01-01T00:00:00Z" in page.text
    with Image.open(BytesIO(chart)) as picture:
        assert picture.format == "PNG"
        assert picture.size == (int(str(image["width"])) * 2, int(str(image["height"])) * 2)


def test_bars_point_both_ways_in_their_colours_and_in_proportion(shared: Deployment) -> None:
    series = [{"label": "a", "value": 100}, {"label": "b", "value": 50}, {"label": "c", "value": -100}]
    ended = shared.run("render-report", {"title": "T", "series": series})
    with Image.open(ended.public / "chart.png") as picture:
        pixels = picture.convert("RGB")
    blue, red = (0x2F, 0x6F, 0xDE), (0xD9, 0x57, 0x3F)
    runs = {}
    for y in range(pixels.height):
        row = [pixels.getpixel((x, y)) for x in range(pixels.width)]
        for colour in (blue, red):
            found = [x for x, pixel in enumerate(row) if pixel == colour]
            if found:
                runs.setdefault(colour, set()).add((found[0], found[-1]))
    longest = {colour: max(spans, key=lambda span: span[1] - span[0]) for colour, spans in runs.items()}
    widths = sorted({end - start for start, end in runs[blue]})
    assert longest[red][1] <= longest[blue][0] + 2, "the negative bar ends where the positive ones start"
    assert abs((longest[red][1] - longest[red][0]) - (longest[blue][1] - longest[blue][0])) <= 4
    assert any(abs(width * 2 - widths[-1]) <= 6 for width in widths)


def test_hostile_text_is_text_in_the_page_and_nothing_else(shared: Deployment) -> None:
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;{title}{0}</title></td>"
    payload = {
        "title": hostile,
        "subtitle": hostile,
        "unit": "</th><b>",
        "source": 'https://example.org/"><script>alert(1)</script>',
        "generatedAt": "<i>now</i>",
        "series": [{"label": hostile, "value": 1}, {"label": "\x1b[31m\u202eabc\ud800", "value": 2}],
    }
    ended = shared.run("render-report", payload)
    assert (ended.code, ended.err) == (0, "")
    page = Page((ended.public / "report.html").read_text(encoding="utf-8"))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("img") == 1 and tags.count("a") == 1 and tags.count("td") == 4
    assert not {"script", "b", "i"} & set(tags)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.cells[0] == hostile
    assert page.cells[2] == "[31m abc"
    other = shared.run("render-report", {**payload, "source": "javascript:alert(1)"})
    assert "a" not in [tag for tag, _ in Page((other.public / "report.html").read_text()).tags]


@pytest.mark.parametrize(
    "values",
    [
        [0],
        [0, 0, 0],
        [1e15, -1e15],
        [5e-324],
        [1e-11, 2e-11],
        [-1],
        [0.1 + 0.2],
        [999.9999],
        list(range(-100, 100)),
    ],
    ids=lambda values: f"{len(values)} from {values[0]}",
)
def test_any_values_in_range_make_a_chart(shared: Deployment, values: list[float]) -> None:
    series = [{"label": "label " * 30, "value": value} for value in values]
    ended = shared.run("render-report", {"title": "t" * 200, "unit": "u" * 40, "series": series, "order": "descending"})
    assert (ended.code, ended.err) == (0, "")
    with Image.open(ended.public / "chart.png") as picture:
        picture.load()
        assert picture.width == 1920
    cells = Page((ended.public / "report.html").read_text()).cells[1 : 2 * len(values) : 2]
    assert [float(cell.replace(",", "")) for cell in cells] == sorted(values, reverse=True)


def test_values_out_of_range_are_refused_even_without_the_schema(shared: Deployment) -> None:
    for value in (True, "1", None, 1e16, -(10**400)):
        assert shared.run("render-report", {"title": "t", "series": [{"label": "a", "value": value}]}).code == 2
    for text in ("NaN", "Infinity", "1e999"):
        process, _ = shared.start(
            "render-report", f'{{"title": "t", "series": [{{"label": "a", "value": {text}}}]}}', {}
        )
        process.communicate(timeout=60)
        assert process.returncode == 2


def test_a_font_that_cannot_be_used_is_our_own_trouble(shared: Deployment) -> None:
    ended = shared.run("render-report", {"title": "t", "series": [{"label": "a", "value": 1}]}, REPORT_FONT="file.txt")
    assert (ended.code, ended.files()) == (3, set())
    assert "file.txt" in ended.err and "Traceback" not in ended.err
