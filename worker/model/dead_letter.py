"""Dead letters: messages that could not become a task, as they are listed."""

from __future__ import annotations

from msgspec import Struct


class DeadLetter(Struct, frozen=True):
    """A message, without its bytes but for the first 200 (`head`).

    `at` and `last_at` are milliseconds by the store's clock: the same message in the same queue is one letter, however
    often (`times`) it was received. `size` is that of the whole message in bytes. `source` is who could not read it.
    """

    id: str
    at: int
    last_at: int
    times: int
    queue: str
    reason: str
    source: str
    size: int
    head: bytes


class DeadLetterPage(Struct, frozen=True):
    """Letters, newest first.

    `total` and `size` (bytes) are of all that are kept; `dropped` counts those that had to make room for newer ones,
    ever. `next` continues after the last one, None at the end.
    """

    letters: tuple[DeadLetter, ...]
    total: int
    size: int
    dropped: int
    next: str | None = None
