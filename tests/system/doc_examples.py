"""The examples of a Markdown page, played in a folder as a reader would paste them.

What follows the language of a fenced block says what to do with it: `file=PATH` writes it there, `run` runs it,
`background` starts it and ends it after the page, `eventually` repeats each command until it prints what the page
says. Blocks without such a word are only shown. In a `console` block a line after `$ ` is a command; the lines below
it are what it prints, with `...` for whatever differs from run to run.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.system.site import DEADLINE_S, eventually
from worker.embedded import StoreState, state

_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_WORDS = ("run", "background", "eventually")


@dataclass(frozen=True)
class Block:
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def file(self) -> str | None:
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)


@dataclass(frozen=True)
class Command:
    """`printed` is None where the page does not say what it prints."""

    text: str
    printed: str | None


def blocks(page: str) -> list[Block]:
    found = [Block(language, tuple(info.split()), text) for language, info, text in _BLOCK.findall(page)]
    for block in found:
        for word in block.words:
            assert word in _WORDS or word.startswith("file="), f"unknown word {word!r} behind ```{block.language}"
    return found


def commands(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.rstrip("\n").split("\n")
        command = [lines.pop(0)]
        while lines and lines[0].startswith("> "):
            command.append(lines.pop(0).removeprefix("> "))
        yield Command("\n".join(command), "\n".join(lines) or None)


def matches(expected: str, printed: str) -> bool:
    parts = []
    for line in expected.split("\n"):
        if line == "...":
            parts.append(r"(.*\n)*?")
        else:
            parts.append(".*".join(re.escape(piece) for piece in line.rstrip().split("...")) + r"[ ]*\n")
    return re.fullmatch("".join(parts), printed.rstrip("\n") + "\n") is not None


def play(page: str, folder: Path) -> int:
    """How many blocks were written or run."""
    played = 0
    with ExitStack() as stack:
        for block in blocks(page):
            if block.file:
                path = folder / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text)
            elif "background" in block.words:
                stack.callback(_end, _start(block.text, folder), folder)
                eventually(lambda: state(folder / ".penstock" / "store") is StoreState.READY, "the store")
            elif block.language == "console" and block.words:
                for command in commands(block.text):
                    _play(command, folder, again="eventually" in block.words)
            elif "run" in block.words:
                _play(Command(block.text, None), folder, again=False)
            else:
                continue
            played += 1
    return played


def _play(command: Command, folder: Path, *, again: bool) -> None:
    until = time.monotonic() + (DEADLINE_S if again else 0)
    while True:
        done = subprocess.run(
            ["bash", "-c", command.text],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=DEADLINE_S * 2,
            check=False,
        )
        printed = done.stdout.decode()
        as_told = command.printed is None or matches(command.printed, printed)
        if done.returncode == 0 and as_told:
            return
        if time.monotonic() > until:
            assert done.returncode == 0, f"$ {command.text}\n{printed}\nexit code {done.returncode}"
            assert as_told, f"$ {command.text}\n{printed}\nand not\n{command.printed}"


def _start(text: str, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "background.log").open("wb") as log:
        return subprocess.Popen(
            ["bash", "-c", f"exec {text}"],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(DEADLINE_S) == 0, (folder / "background.log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """A shell in which the virtual environment is active."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "PYTHON"))}
    return {**ours, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}
