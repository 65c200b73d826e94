"""What can go wrong with the embedded store."""

from __future__ import annotations

from engine.errors import PenstockError


class EmbeddedError(PenstockError):
    """The embedded store cannot be found, started or reached. The message says what to do about it."""
