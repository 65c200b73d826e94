"""Names of artifacts: which are allowed, and how any other is shown."""

from __future__ import annotations

import re

# Bytes of UTF-8. It has to fit a record, a URL and a log line.
MAX_NAME_BYTES = 1024
# Begins the names under which a store writes before the file is complete.
PART = ".penstock-part-"

# C0, DEL and C1; line and paragraph separator; what turns the direction of writing (CVE-2021-42574).
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SHOWN_CHARACTERS = 256


def fault(name: str) -> str | None:
    """Why the name cannot be an artifact's, None when it can.

    Bytes that are not UTF-8 are expected as lone surrogates, as the os module hands them over.
    """
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if len(encoded) > MAX_NAME_BYTES:
        return f"its name is longer than {MAX_NAME_BYTES} bytes"
    if _CONTROL.search(name):
        return "its name holds control characters"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return "its name is not a relative path below the artifacts folder"
        if part.startswith(PART):
            return f"names that begin with {PART} are kept for the store"
    return None


def shown(name: str) -> str:
    """The name as one printable line: escaped as in a string literal, a lone byte as \\xNN, shortened."""
    if not name.isprintable() or "\\" in name:
        name = "".join(map(_escaped, name))
    if len(name) > _SHOWN_CHARACTERS:
        half = _SHOWN_CHARACTERS // 2
        name = f"{name[:half]}…{name[-half:]}"
    return name


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character == "\\":
        return "\\\\"
    return character if character.isprintable() else character.encode("unicode_escape").decode()
