"""Failure: a command of ours that cannot do what it was asked, with its exit code."""

from __future__ import annotations

from difflib import get_close_matches

from engine.errors import PenstockError
from worker.cli import exit_codes


class Failure(PenstockError):
    """Ends the program with `exit_code`; each of `messages` is told on a line of its own."""

    def __init__(self, exit_code: int, *messages: str) -> None:
        self.exit_code = exit_code
        self.messages = messages
        super().__init__("\n".join(messages))


def unknown(what: str, name: str, known: list[str] | tuple[str, ...], exit_code: int = exit_codes.USAGE) -> Failure:
    """`name` is none of `known`: says so, and which one may have been meant."""
    near = get_close_matches(name, known, n=1)
    if near:
        hint = f"; did you mean {near[0]}?"
    elif 0 < len(known) <= 12:
        hint = f"; there is {', '.join(known)}"
    else:
        hint = ""
    return Failure(exit_code, f"unknown {what} {name[:100]!r}{hint}")
