"""Terminal: what is written for people, and what keeps the bytes of others from steering a terminal."""

from __future__ import annotations

import codecs
import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import click

_STATUS_COLORS = {
    "completed": "green",
    "partial": "yellow",
    "failed": "red",
    "exception": "red",
    "timeout": "red",
    "cancelled": "yellow",
    "running": "cyan",
}

# C0 except tab and newline, DEL, C1, separators of lines and paragraphs, what turns the direction of writing.
_UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROL = re.compile(f"(?P<kept>\x1b\\[[0-9;:]*m|\r\n)|[{_UNSAFE}]")
# What may be the beginning of something that is kept: an unfinished colour, or the CR of a CRLF.
_UNFINISHED = re.compile("(?:\x1b(?:\\[[0-9;:]{0,64})?|\r)\\Z")
_JSON_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class TerminalText:
    """Makes a stream of bytes harmless for a terminal: colours (SGR) stay, every other control shows as text.

    Sequences and characters may be cut anywhere between two calls.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._held = ""
        self._colored = False

    def feed(self, data: bytes) -> str:
        text = self._held + self._decoder.decode(data)
        unfinished = _UNFINISHED.search(text)
        self._held = unfinished[0] if unfinished else ""
        return self._clean(text[: unfinished.start()] if unfinished else text)

    def end(self) -> str:
        """What was held back, and the end of colours that were left on."""
        text = self._clean(self._held + self._decoder.decode(b"", final=True))
        self._held = ""
        return text + ("\x1b[0m" if self._colored else "")

    def _clean(self, text: str) -> str:
        return _CONTROL.sub(self._shown, text)

    def _shown(self, found: re.Match[str]) -> str:
        if found["kept"] is not None:
            self._colored = self._colored or found["kept"] != "\r\n"
            return found["kept"]
        character = found[0]
        if character < "\x20" or character == "\x7f":
            return "^" + chr(ord(character) ^ 0x40)
        return f"<U+{ord(character):04X}>"


def colors(stream: TextIO) -> bool:
    """Whether our own colours are wanted there; see https://no-color.org for the variable."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, stream: TextIO, **style: Any) -> str:
    return click.style(text, **style) if colors(stream) else text


def painted_status(status: str, stream: TextIO) -> str:
    return painted(status, stream, fg=_STATUS_COLORS.get(status))


def print_json(document: Any) -> None:
    """One document on stdout, UTF-8 in any locale. What could steer a terminal is written as an escape."""
    import json

    text = json.dumps(document, ensure_ascii=False, indent=2)
    safe = _JSON_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    sys.stdout.flush()
    sys.stdout.buffer.write(safe.encode() + b"\n")
    sys.stdout.buffer.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO, *, status: int | None = None) -> str:
    """Aligned columns; the column `status` gets its colours on a terminal."""
    widths = [max(_cells(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for number, row in enumerate([head, *rows]):
        cells = []
        for i, cell in enumerate(row):
            padding = " " * (widths[i] - _cells(cell))
            shown = painted(cell, stream, bold=True) if number == 0 else cell
            if number and i == status:
                shown = painted_status(cell, stream)
            cells.append(shown + padding)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _cells(text: str) -> int:
    """How many columns of a terminal it takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def duration(ms: int | None) -> str:
    if ms is None:
        return "-"
    if ms < 1000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def local_time(ms: int | None) -> str:
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def local_time_of(text: str | None) -> str:
    """Of a time as documents have it; as it is where no clock shows it, such as a leap second."""
    if text is None:
        return "-"
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return text.encode("ascii", "replace").decode()[:40]
