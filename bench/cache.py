"""Cache: what is made once and kept below `.bench/`: the peers' environment, the floor's program, a base commit's tree.

Nothing here is measured, and nothing is made twice; `rm -rf .bench` and the next run makes it anew.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.systems import ROOT, end

FOLDER = ROOT / ".bench"
PEERS = Path(__file__).with_name("peers")
_FLOOR = Path(__file__).with_name("floor.c")
_LOCK = "requirements/run.lock"
# Besides the lock file: it names the plugins, which an environment keeps as entry points.
_DEFINING = (_LOCK, "pyproject.toml")


class NotMade(Exception):
    """Why something cannot be measured here."""


def peers_python(*, install: bool = True) -> Path:
    """The interpreter of the peers' own environment. Raises NotMade; without `install` when there is none yet."""
    lock = PEERS / "requirements.txt"
    folder = FOLDER / f"peers-{_digest(lock.read_bytes())}"
    if (folder / "made").exists():
        return folder / "bin" / "python"
    if not install:
        raise NotMade("the peers are not installed: a run without --quick does that")
    _environment(folder, ["--require-hashes", "-r", str(lock)])
    return folder / "bin" / "python"


def floor_program() -> Path:
    """The C loop, compiled. Raises NotMade without a compiler."""
    program = FOLDER / f"floor-{_digest(_FLOOR.read_bytes())}"
    if not program.exists():
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler:
            raise NotMade("there is no C compiler (cc)")
        FOLDER.mkdir(exist_ok=True)
        made = program.with_suffix(".new")
        _run([compiler, "-O2", "-o", str(made), str(_FLOOR)])
        made.rename(program)
    return program


def base_tree(commit: str) -> tuple[str, Path, Path]:
    """The full name of a commit, a folder with its files, and an interpreter that runs them.

    That is this one where the commit wants the same packages, else one of its own. Raises NotMade.
    """
    name = _run(["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"]).strip()
    tree = FOLDER / f"base-{name[:12]}"
    if not (tree / "pyproject.toml").exists():
        FOLDER.mkdir(exist_ok=True)
        _run(["git", "-C", str(ROOT), "worktree", "prune"])
        _run(["git", "-C", str(ROOT), "worktree", "add", "--force", "--detach", str(tree), name])
    if all(_same(tree / path, ROOT / path) for path in _DEFINING):
        return name, tree, Path(sys.executable)
    folder = FOLDER / f"env-{name[:12]}"
    if not (folder / "made").exists():
        _environment(
            folder,
            ["--require-hashes", "-r", str(tree / _LOCK)],
            ["--no-deps", "--no-build-isolation", "-e", str(tree)],
        )
    return name, tree, folder / "bin" / "python"


def _environment(folder: Path, *installs: Sequence[str]) -> None:
    """A virtual environment; one whose making was interrupted is made again."""
    shutil.rmtree(folder, ignore_errors=True)
    FOLDER.mkdir(exist_ok=True)
    print(f"bench: installing into {folder.relative_to(ROOT)}, once", file=sys.stderr, flush=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    for arguments in installs:
        _run([str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-q", "install", *arguments])
    (folder / "made").write_text(time.strftime("%Y-%m-%dT%H:%M:%SZ\n", time.gmtime()))


def _run(command: Sequence[str]) -> str:
    """What it says on stdout. Ends with all that is below it when this program is told to stop."""
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
    except OSError as error:
        raise NotMade(f"{command[0]}: {error.strerror}") from error
    with process:
        try:
            output, errors = process.communicate()
        except BaseException:
            end(process)
            raise
    if process.returncode:
        raise NotMade(f"`{' '.join(command)}` ended with {process.returncode}: {errors.strip()[-600:]}")
    return output


def _same(one: Path, other: Path) -> bool:
    return one.exists() and one.read_bytes() == other.read_bytes()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
