"""What the engine says of other people's mistakes: where, what was expected, what was found."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One mistake in a file or a document.

    `pointer` is a JSON Pointer (RFC 6901) into the document, "" for its root. `line` and `column` count from 1.
    """

    message: str
    pointer: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return ": ".join(part for part in (place, self.pointer, self.message) if part)


class PenstockError(Exception):
    """The base of every error that Penstock raises on purpose."""


class _Problems(PenstockError):
    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DeclarationError(_Problems):
    """What an operator wrote (a script, a setting) is wrong. Carries every problem, not only the first."""


class PayloadError(_Problems):
    """What a producer sent is not what the script asks for. Carries every violation; never a secret value."""


class NotFurnished(PenstockError):
    """What a command is to find in its work folder cannot be had here; the message says what."""


class SupervisorError(PenstockError):
    """The process that stands between the worker and the commands is gone or did not answer."""
