"""Password: the hash of the bootstrap admin's, by scrypt (RFC 7914), as one line of text.

scrypt is in the standard library, needs memory as argon2 does, and one account is no reason for a further package.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re

from engine.hiding import Hiding

# 32 MiB and about a tenth of a second for one guess.
COST = 2**15
BLOCK = 8
PARALLEL = 1
SALT_BYTES = 16
HASH_BYTES = 32
# A password that is longer is refused before it is hashed.
PASSWORD_BYTES = 1024
MIN_CHARACTERS = 12
_LEAST_COST = 2**14
_MOST_MEMORY = 256 * 1024 * 1024
_TEXT = re.compile(
    r"scrypt\$([0-9]{1,8})\$([0-9]{1,3})\$([0-9]{1,2})\$([A-Za-z0-9+/=]{1,100})\$([A-Za-z0-9+/=]{1,100})\Z"
)


class PasswordHash(Hiding, frozen=True):
    """What is kept of a password."""

    HIDDEN = frozenset({"cost", "block", "parallel", "salt", "digest"})

    cost: int
    block: int
    parallel: int
    salt: bytes
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """Raises ValueError for what is no hash, or a weak one; the message does not show it."""
        found = _TEXT.match(text.strip())
        if not found:
            raise ValueError("not a hash such as `penstock keys hash-password` prints")
        cost, block, parallel = (int(part) for part in found.groups()[:3])
        try:
            salt, digest = (base64.b64decode(part, validate=True) for part in found.groups()[3:])
        except binascii.Error:
            raise ValueError("not a hash: salt and digest are no base64") from None
        if cost & (cost - 1) or cost < _LEAST_COST or block < 8 or parallel < 1 or len(salt) < 16 or len(digest) < 32:
            raise ValueError("the hash is weaker than Penstock makes them")
        if 128 * cost * block > _MOST_MEMORY or parallel > 8:
            raise ValueError("the hash needs too much memory or time")
        return cls(cost, block, parallel, salt, digest)

    def __str__(self) -> str:
        salt, digest = base64.b64encode(self.salt).decode(), base64.b64encode(self.digest).decode()
        return f"scrypt${self.cost}${self.block}${self.parallel}${salt}${digest}"

    def matches(self, password: bytes) -> bool:
        """Takes a tenth of a second and releases the interpreter lock meanwhile; comparison in constant time."""
        made = _scrypt(password, self.salt, self.cost, self.block, self.parallel, len(self.digest))
        return hmac.compare_digest(made, self.digest)


def hash_password(password: str, salt: bytes) -> PasswordHash:
    """Raises ValueError for a password that is too short or too long."""
    data = password.encode()
    if len(password) < MIN_CHARACTERS or len(data) > PASSWORD_BYTES:
        raise ValueError(f"a password has at least {MIN_CHARACTERS} characters and at most {PASSWORD_BYTES} bytes")
    return PasswordHash(COST, BLOCK, PARALLEL, salt, _scrypt(data, salt, COST, BLOCK, PARALLEL, HASH_BYTES))


def _scrypt(password: bytes, salt: bytes, cost: int, block: int, parallel: int, size: int) -> bytes:
    memory = 128 * block * (cost + parallel + 2)
    return hashlib.scrypt(password, salt=salt, n=cost, r=block, p=parallel, dklen=size, maxmem=memory + 1024 * 1024)
