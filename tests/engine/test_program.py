"""What was checked is what runs: by its shebang or its kind, from sealed memory, whatever becomes of the file."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.isolation import bubblewrap, isolated
from engine.script.program import DIRECT, NODE, PYTHON, SHELL, Program, kind_of, shebang
from tests.engine.conftest import Engine, Result

ELF = Path("/bin/echo")


def write(path: Path, text: str | bytes, mode: int = 0o755) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def pinned(path: Path, **fields: Any) -> Program:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return Program(**{"kind": kind_of(path.name, content), "path": str(path), "sha256": digest, **fields})


def run(engine: Engine, program: Program, payload: bytes = b"{}", **fields: Any) -> Result:
    return engine(["not", "used"], payload, program=program, **fields)


@pytest.mark.parametrize(
    ("name", "head", "kind", "named"),
    [
        ("a.sh", b"echo", SHELL, ()),
        ("a.py", b"print()", PYTHON, ()),
        ("a.py", b"#!/bin/sh -e\n", SHELL, ("/bin/sh", "-e")),
        ("a", b"#!/usr/bin/env python3\n", PYTHON, ("/usr/bin/env", "python3")),
        ("a", b"#! /opt/venv/bin/python3.12 -I \n", PYTHON, ("/opt/venv/bin/python3.12", "-I")),
        ("a", b"#!/usr/bin/env -S FOO=1 node --x\n", NODE, ("/usr/bin/env", "-S FOO=1 node --x")),
        ("a.sh", b"#!/opt/tool\n", DIRECT, ("/opt/tool",)),
        ("a", b"\x7fELF", DIRECT, ()),
        ("a", b"#!\n", DIRECT, ()),
        ("a", b"#!/usr/bin/env\n", DIRECT, ("/usr/bin/env",)),
    ],
)
def test_a_file_is_told_apart_by_its_shebang_and_then_by_its_name(
    name: str, head: bytes, kind: str, named: tuple[str, ...]
) -> None:
    assert (kind_of(name, head), shebang(head)) == (kind, named)


def test_each_kind_runs_with_its_arguments_stdin_and_nothing_besides(engine: Engine, tmp_path: Path) -> None:
    said = b"a $(touch x)\n{}"
    for name, text in (
        ("a.sh", 'echo "$1" "$2"; cat'),
        ("a.py", "import sys; print(*sys.argv[1:]); print(sys.stdin.read(), end='')"),
        ("a.js", "console.log(process.argv.slice(2).join(' ')); process.stdin.pipe(process.stdout)"),
        ("b", '#!/bin/sh -e\necho "$1" "$2"; cat; false; echo \'not reached\''),
        ("c", f"#!{sys.executable}\nimport sys, jsonschema_rs\nprint(*sys.argv[1:]); print(sys.stdin.read(), end='')"),
    ):
        found = run(engine, pinned(write(tmp_path / name, text), arguments=("a", "$(touch x)")))
        assert found.log.startswith(said), (name, found)
    elf = run(engine, Program(DIRECT, str(ELF), sha256=hashlib.sha256(ELF.read_bytes()).hexdigest(), arguments=("hi",)))
    assert elf.log == b"hi\n"
    assert not (tmp_path / "x").exists()


def test_a_file_that_changed_is_refused_before_it_starts(engine: Engine, tmp_path: Path) -> None:
    mark = tmp_path / "started"
    path = write(tmp_path / "a.sh", f"touch {mark}")
    program = pinned(path)
    write(path, f"touch {mark} # changed")
    found = run(engine, program)
    assert (found.outcome.status, found.outcome.reason, found.outcome.exit) == ("exception", "not-admitted", None)
    assert "changed" in found.outcome.message
    assert not mark.exists()


def test_what_happens_to_the_file_after_the_check_does_not_matter(engine: Engine, tmp_path: Path) -> None:
    """bash reads a script as it goes: written in place, the file would be another one in the middle."""
    path = tmp_path / "a.sh"
    write(path, f"printf 'echo evil >&2\\n%.0s' $(seq 2000) > {path}\n" + "echo good\n" * 2000)
    found = run(engine, pinned(path))
    assert set(found.lines) == {b"good"} and len(found.lines) == 2000


def test_the_sealed_program_cannot_be_written_by_who_runs_it(engine: Engine, tmp_path: Path) -> None:
    text = "(echo x > /proc/self/fd/3) 2>&1 || echo refused\nls -l /proc/self/fd/ | grep -c memfd"
    found = run(engine, pinned(write(tmp_path / "a.sh", text)))
    assert b"refused" in found.lines
    plain = engine("ls /proc/self/fd | tr '\\n' ' '")
    assert plain.log == b"0 1 2 3 \n"  # 3 is the folder that ls reads


@pytest.mark.parametrize("make", ["missing", "folder", "fifo", "link-out", "link-in-the-way", "large"])
def test_what_is_no_file_of_the_folder_is_refused(make: str, engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "scripts"
    folder.mkdir()
    path = folder / "a.sh"
    outside = write(tmp_path / "outside.sh", "echo no")
    match make:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "link-out":
            path.symlink_to(outside)
        case "link-in-the-way":
            (folder / "sub").symlink_to(tmp_path)
            path = folder / "sub" / "outside.sh"
        case "large":
            with path.open("wb") as file:
                file.truncate(64 * 1024 * 1024 + 1)
    found = run(engine, Program(SHELL, str(path), folder=str(folder)))
    assert (found.outcome.status, found.outcome.reason) == ("exception", "not-admitted")


def test_a_file_without_a_digest_runs_where_it_lies(engine: Engine, tmp_path: Path) -> None:
    write(tmp_path / "sibling", "echo from the sibling")
    path = write(tmp_path / "a.sh", '. "$(dirname "$0")/sibling"')
    found = run(engine, Program(SHELL, str(path), folder=str(tmp_path)))
    assert found.log == b"from the sibling\n"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (SHELL, 'stat -c "%a" "$0"; echo "$0"; cat'),
        (PYTHON, "import os, sys; print('%o' % (os.stat(__file__).st_mode & 0o777)); print(__file__)"),
        (NODE, "const f = __filename; console.log((require('fs').statSync(f).mode & 511).toString(8)); console.log(f)"),
    ],
)
def test_a_body_is_a_file_of_its_own_outside_the_work_folder_and_goes(kind: str, body: str, engine: Engine) -> None:
    found = run(engine, Program(kind, body=body.encode(), sha256=hashlib.sha256(body.encode()).hexdigest()))
    assert found.lines[0] == b"500", found
    path = Path(os.fsdecode(found.lines[1]))
    assert path.parent == engine.work and not path.exists()


def test_a_body_with_another_digest_is_refused(engine: Engine) -> None:
    found = run(engine, Program(SHELL, body=b"echo hi", sha256="0" * 64))
    assert (found.outcome.reason, found.outcome.exit) == ("not-admitted", None)


def test_the_arguments_of_a_dry_run_follow_the_others(engine: Engine, tmp_path: Path) -> None:
    program = pinned(write(tmp_path / "a.sh", 'echo "$*" "$DRY_RUN"'), arguments=("one",))
    found = run(engine, program, b'{"dryRun": true}', schema={}, dry_run_command=("--check",))
    assert found.lines[-1] == b"one --check true"


def test_isolation_that_cannot_be_had_refuses(engine: Engine, tmp_path: Path) -> None:
    found = run(
        engine, pinned(write(tmp_path / "a.sh", "cat /etc/hostname; ls /home /root; echo > /etc/x"), isolated=True)
    )
    if bubblewrap() is None:
        assert (found.outcome.reason, found.outcome.exit) == ("not-admitted", None)
        assert "bubblewrap" in found.outcome.message
    else:
        assert b"Read-only" in found.log


def test_what_bubblewrap_is_asked_for() -> None:
    argv = isolated("/usr/bin/bwrap", ["/bin/sh", "--bind / /"], "/w/x", files=["/w/program-1"], hidden=["/etc"])
    separator = argv.index("--")
    assert argv[separator + 1 :] == ("/bin/sh", "--bind / /")
    said = " ".join(argv[:separator])
    for part in ("--unshare-all", "--ro-bind / /", "--tmpfs /etc", "--ro-bind /w/program-1 /w/program-1"):
        assert part in said
    assert said.index("--tmpfs /etc") < said.index("--bind /w/x /w/x") > said.index("--ro-bind /w/program-1")
    assert "--share-net" not in said
