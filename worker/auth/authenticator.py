"""Authenticator: from the headers of a call to the principal who makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from worker.auth.denied import Denied
from worker.auth.key_proof import KeyProof
from worker.auth.session_proof import SessionProof, session_in
from worker.model.access import Principal

if TYPE_CHECKING:
    from worker.auth.basic_proof import BasicProof
    from worker.auth.token_proof import TokenProof

__all__ = ["Authenticator", "Denied"]

KEY_PREFIX = "penstock_"
# Longer than any key, token or password that is accepted.
_HEADER_CHARACTERS = 9000
_WRONG = "the key or token is not valid"


class Authenticator:
    """Knows API keys, and tokens and the bootstrap admin where they are set up. Nothing else about a call counts:
    neither its address nor any other header.
    """

    def __init__(
        self,
        keys: KeyProof,
        tokens: TokenProof | None = None,
        basic: BasicProof | None = None,
        sessions: SessionProof | None = None,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._basic = basic
        self._sessions = sessions

    async def authenticate(self, headers: Mapping[str, str], address: str = "") -> Principal:
        """Who makes the call. Header names are lower-case. `address` proves nothing: guesses are counted by it.

        `x-api-key: KEY`, or `authorization: Bearer KEY-or-JWT`, or `authorization: Basic` for the bootstrap admin;
        one of them; without either the cookie of a session, which browsers add by themselves. Raises Denied,
        TooManyGuesses, and StoreUnavailable when a key cannot be looked up.
        """
        key, authorization = headers.get("x-api-key"), headers.get("authorization")
        if key is not None and authorization is not None:
            raise Denied("two proofs were given, in X-API-Key and in Authorization: give one")
        text = key if key is not None else authorization
        if text is None and self._sessions is not None and (session := session_in(headers)):
            return await self._sessions.prove(session)
        if not text:
            raise Denied("give an API key or a token")
        if len(text) > _HEADER_CHARACTERS:
            raise Denied(_WRONG, detail="too long")
        if key is not None:
            return await self._keys.prove(key)
        scheme, _, credentials = text.partition(" ")
        credentials = credentials.strip(" ")
        match scheme.lower():
            case "bearer":
                return await self._bearer(credentials)
            case "basic" if self._basic is not None:
                return await self._basic.prove(credentials, address)
        raise Denied("give an API key or a token", detail="a scheme that is not accepted")

    async def _bearer(self, credentials: str) -> Principal:
        if credentials.startswith(KEY_PREFIX):
            return await self._keys.prove(credentials)
        if self._tokens is None:
            raise Denied(_WRONG, kind="jwt", detail="no tokens are accepted: auth.jwt is not set up")
        return self._tokens.prove(credentials)
