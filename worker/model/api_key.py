"""API key: its text, and what is kept of it. Pure; randomness is an argument.

The text is `penstock_<id>_<secret>`: a beginning that scanners of repositories can look for, the public id under
which the record is found, and 256 random bits. Only the SHA-256 of the whole text is kept: of so many random bits
nothing can be guessed from it, so that no slow hash is needed.
"""

from __future__ import annotations

import base64
import hashlib
import re

from msgspec import Struct

from worker.model.access import SCOPE

KEY_TEXT = re.compile(r"penstock_([a-z2-7]{8})_[A-Za-z0-9_-]{43}\Z")
KEY_ID = re.compile(r"[a-z2-7]{8}\Z")
ROLE_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}\Z")
# What one key can hold, and how long a scope is at most.
SCOPES = 100
SCOPE_CHARACTERS = 200
NAME_CHARACTERS = 100
_ID_BYTES = 5
_SECRET_BYTES = 32
RANDOM_BYTES = _ID_BYTES + _SECRET_BYTES


class ApiKey(Struct, frozen=True):
    """What is kept of a key; the key itself is not. Times are milliseconds by the store's clock.

    It has the scopes that are named, and those that its `role` has in the settings at the time of a call.
    `last_used_at` is rounded down. `replaced_by` is the id of the key that a rotation made; `made_by` who made it.
    """

    id: str
    name: str
    digest: str
    created_at: int
    scopes: frozenset[str] = frozenset()
    role: str | None = None
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None
    replaced_by: str | None = None
    made_by: str = ""

    def state(self, now: int) -> str:
        """`active`, `revoked` or `expired`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        return "active"

    def works(self, now: int) -> bool:
        return self.state(now) == "active"


class WrongNewKey(ValueError):
    """`member` is what of it is wrong: `name`, `scopes`, `role` or `ttl_s`."""

    def __init__(self, member: str, message: str) -> None:
        super().__init__(message)
        self.member = member


class NewKey(Struct, frozen=True):
    """What a key is made with. Raises WrongNewKey for what no key may have; the message says what."""

    name: str
    scopes: frozenset[str] = frozenset()
    role: str | None = None
    ttl_s: float | None = None
    made_by: str = ""

    def __post_init__(self) -> None:
        if not (0 < len(self.name) <= NAME_CHARACTERS and self.name.isprintable() and self.name.strip()):
            raise WrongNewKey("name", f"the name of a key has 1 to {NAME_CHARACTERS} printable characters")
        if not self.scopes and self.role is None:
            raise WrongNewKey("scopes", "a key needs scopes or a role: it could do nothing")
        if len(self.scopes) > SCOPES:
            raise WrongNewKey("scopes", f"a key has at most {SCOPES} scopes")
        for scope in sorted(self.scopes):
            if len(scope) > SCOPE_CHARACTERS or not SCOPE.match(scope):
                raise WrongNewKey(
                    "scopes", f"not a scope such as tasks:read or scripts:execute:sign-file: {scope[:80]!a}"
                )
        if self.role is not None and not ROLE_NAME.match(self.role):
            raise WrongNewKey("role", f"not the name of a role: {self.role[:80]!a}")
        if self.ttl_s is not None and not 1 <= self.ttl_s <= 10**10:
            raise WrongNewKey("ttl_s", "a key lives for a second at least")


def key_text(random: bytes) -> str:
    """The text of a key from RANDOM_BYTES random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a key takes {RANDOM_BYTES} random bytes")
    id = base64.b32encode(random[:_ID_BYTES]).decode().lower()
    return f"penstock_{id}_{base64.urlsafe_b64encode(random[_ID_BYTES:]).decode().rstrip('=')}"


def id_in(text: str) -> str | None:
    """The public id in the text of a key; None for what is no key."""
    found = KEY_TEXT.match(text)
    return found[1] if found else None


def key_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
