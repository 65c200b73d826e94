"""Secret: a text that does not show itself in logs, messages and tracebacks."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from engine.hiding import Hiding


class Secret(Hiding, frozen=True):
    HIDDEN = frozenset({"value"})
    value: str

    def __str__(self) -> str:
        return "***"

    @property
    def shown(self) -> str:
        """A URL without its user, password and query; for messages that have to name a server."""
        parts = urlsplit(self.value)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
