"""Basic proof: the one bootstrap admin, by HTTP Basic (RFC 7617)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os

from worker.auth.denied import Denied, TooManyGuesses
from worker.auth.password import PASSWORD_BYTES, PasswordHash
from worker.model.access import ROLES, Principal
from worker.model.rate import RateLimit

_WRONG = "the user or the password is wrong"
# Guesses that are hashed at the same time; each takes 32 MiB and a tenth of a second of one core.
_AT_ONCE = 2
# And so many may wait for that: about a second.
_WAITING = 8
# Of each address, in a minute. A user whose password was right once is not among them.
_GUESSES, _GUESSES_S = 10, 60.0


class BasicProof:
    """One user, one hash. What was right once is known again by a digest that only this process can make."""

    def __init__(self, user: str, password: PasswordHash) -> None:
        self._user = user.encode()
        self._password = password
        self._key = os.urandom(32)
        self._known: bytes | None = None
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._hashing = 0
        self._guesses = RateLimit(_GUESSES, _GUESSES_S)

    async def prove(self, credentials: str, address: str = "") -> Principal:
        """`credentials` is what follows `Basic`. Raises Denied, in the same words whatever is wrong.

        Raises TooManyGuesses before anything is hashed; what was right once is let in all the same.
        """
        user, password = _parts(credentials)
        digest = hmac.digest(self._key, password, hashlib.sha256)
        right = self._known is not None and hmac.compare_digest(digest, self._known)
        if not right:
            # For a wrong user too: it takes as long.
            right = await self._matches(password, address)
        same = hmac.compare_digest(user, self._user)
        if not (right and same):
            # Another user's name may be a password in the wrong field, and is kept nowhere.
            tried = self._user.decode() if same else ""
            raise Denied(_WRONG, kind="basic", tried=tried, detail="wrong password" if same else "wrong user")
        self._known = digest
        return self.principal

    @property
    def principal(self) -> Principal:
        return Principal(self._user.decode(), "basic", ROLES["admin"])

    @property
    def stamp(self) -> str:
        """Another one for each user and password, from which nothing can be learnt: it is of a salted hash."""
        return hashlib.sha256(b"%b:%b" % (self._user, str(self._password).encode())).hexdigest()

    async def _matches(self, password: bytes, address: str) -> bool:
        if wait_s := self._guesses.wait_s(address, asyncio.get_running_loop().time()):
            raise TooManyGuesses(wait_s)
        if self._hashing >= _AT_ONCE + _WAITING:
            raise TooManyGuesses(1)
        self._hashing += 1
        try:
            async with self._room:
                return await asyncio.to_thread(self._password.matches, password)
        finally:
            self._hashing -= 1


def _parts(credentials: str) -> tuple[bytes, bytes]:
    """User and password as bytes: what is no UTF-8 is no password of ours, and is compared all the same."""
    try:
        data = base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        raise Denied(_WRONG, kind="basic", detail="no base64") from None
    user, colon, password = data.partition(b":")
    if not colon or len(password) > PASSWORD_BYTES:
        raise Denied(_WRONG, kind="basic", detail="no user and password")
    return user, password
