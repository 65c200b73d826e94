"""Text of others, made fit for one line of a log."""

from __future__ import annotations


def printable(text: str, most: int = 500) -> str:
    """The text on one line: control characters, line separators and lone surrogates as escapes; cut at `most`."""
    shown = "".join(char if char.isprintable() else _escape(char) for char in text[: most + 1])
    return shown if len(text) <= most else shown[:most] + "…"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
