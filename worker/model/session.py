"""Session: what a browser that has logged in holds, and what is kept of it. Pure; randomness is an argument.

The text is 256 random bits in a cookie that scripts cannot read. Only its SHA-256 is kept. What the page sends back to
show that it is the page is made from the text too, so that nothing more has to be kept.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Literal

from msgspec import Struct

SESSION_TEXT = re.compile(r"[A-Za-z0-9_-]{43}\Z")
RANDOM_BYTES = 32
# A working day: who comes back the next one logs in again.
LIFETIME_S = 12 * 3600


class Session(Struct, frozen=True):
    """Whose it is. `holder`: the id of an API key, or the name of the bootstrap admin.

    `stamp` is of that admin's password at the time: with another one the session is over.
    """

    kind: Literal["key", "basic"]
    holder: str
    stamp: str = ""


def session_text(random: bytes) -> str:
    """The text of a session from RANDOM_BYTES random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a session takes {RANDOM_BYTES} random bytes")
    return base64.urlsafe_b64encode(random).decode().rstrip("=")


def session_digest(text: str) -> str:
    """Under which it is kept."""
    return hashlib.sha256(text.encode()).hexdigest()


def csrf_token(text: str) -> str:
    """What only the page knows besides us: another site can have the cookie sent, and cannot read this."""
    return hashlib.sha256(b"csrf:" + text.encode()).hexdigest()
