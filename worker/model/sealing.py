"""Sealing: what the store asks of whoever encrypts what it keeps. Pure; holds no key."""

from __future__ import annotations

from typing import Protocol

from engine.errors import PenstockError


class Unsealable(PenstockError):
    """It cannot be encrypted, or cannot be read again; the message says why and what to do, and holds no secret."""


class Sealing(Protocol):
    """`place` says what the bytes are and where they belong: elsewhere they cannot be opened.

    Both read a small file. A sealed text is printable ASCII without blanks.
    """

    def has_key(self) -> bool:
        """Whether there is a key to seal with; else the first `seal` makes one. Raises Unsealable."""

    def seal(self, place: str, clear: bytes) -> str:
        """Twice the same makes two different texts. Raises Unsealable."""

    def open(self, place: str, sealed: str) -> bytes:
        """Raises Unsealable, whatever the text is."""
