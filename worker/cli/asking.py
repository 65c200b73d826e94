"""Asking: what is to become of a task when somebody presses Ctrl-C while following it."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from enum import Enum

import click


class Wish(Enum):
    DETACH = "d"
    CANCEL = "c"
    FOLLOW = "f"


def can_ask() -> bool:
    """Whether somebody sits there who could answer: a terminal on both ends of a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


async def wish(task_id: str) -> Wish:
    """Asks until there is an answer; the end of the input is to detach. Cancelled as any other wait."""
    while True:
        click.echo(f"\nTask {task_id}: [d]etach and let it go on, [c]ancel it, or [f]ollow on? ", err=True, nl=False)
        line = await _line()
        if not line:
            return Wish.DETACH
        found = line.strip().lower()[:1]
        if found in (each.value for each in Wish):
            return Wish(found)


async def _line() -> str:
    """One line of the terminal, which hands them over whole; empty at its end."""
    loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        # Ctrl-C takes back what was typed, so that there may be nothing any more when we come to read it.
        while not select.select([fd], [], [], 0)[0]:
            ready.clear()
            await ready.wait()
    finally:
        loop.remove_reader(fd)
    try:
        return os.read(fd, 4096).decode("utf-8", "replace")
    except OSError:  # the terminal has gone
        return ""
