"""Session proof: the cookie of a browser that has logged in, for as long as what it logged in with is good."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from worker.auth.denied import Denied
from worker.auth.key_proof import KeyProof
from worker.model.access import Principal
from worker.model.session import SESSION_TEXT, Session, csrf_token, session_digest, session_text

if TYPE_CHECKING:
    from worker.auth.basic_proof import BasicProof

_OVER = "the session is over; log in again"
_PORT = re.compile(r":([0-9]{1,5})\Z")


class SessionSource(Protocol):
    """Where sessions are kept."""

    async def begin(self, digest: str, session: Session, /) -> None:
        """It is there from now on, for a time."""

    async def look_up(self, digest: str, /) -> Session | None:
        """What it is, None for one that is not there any more."""

    async def end(self, digest: str, /) -> None:
        """It is not there from now on."""


class SessionProof:
    """Every call looks up the session and the key behind it, so that a revocation holds at once."""

    def __init__(self, sessions: SessionSource, keys: KeyProof, basic: BasicProof | None = None) -> None:
        self._sessions = sessions
        self._keys = keys
        self._basic = basic

    async def begin(self, principal: Principal, random: bytes) -> str:
        """The text of a new session of who has just proved to be that. Raises Denied for whom there are none."""
        text = session_text(random)
        if principal.kind == "key" and principal.key_id and not principal.session:
            session = Session("key", principal.key_id)
        elif principal.kind == "basic" and self._basic is not None and not principal.session:
            session = Session("basic", principal.name, self._basic.stamp)
        else:
            # A session that began another one would never end.
            raise Denied("log in with an API key, or as the bootstrap admin", kind=principal.kind)
        await self._sessions.begin(session_digest(text), session)
        return text

    async def prove(self, text: str) -> Principal:
        """Raises Denied, in the same words whatever is wrong."""
        digest = session_digest(text)
        session = await self._sessions.look_up(digest)
        if session is None:
            raise Denied(_OVER, kind="session", detail="unknown session")
        if session.kind == "key":
            try:
                found = await self._keys.prove_id(session.holder)
            except Denied as error:
                raise Denied(_OVER, kind="session", tried=error.tried, detail=error.detail) from None
        elif self._basic is not None and hmac.compare_digest(session.stamp, self._basic.stamp):
            found = self._basic.principal
        else:
            raise Denied(_OVER, kind="session", tried=session.holder, detail="another password was set")
        return replace(found, session=digest)

    async def end(self, principal: Principal) -> None:
        """End the session by which that was proved, if it was one."""
        if principal.session:
            await self._sessions.end(principal.session)

    async def forget(self, text: str) -> str:
        """End the session of that text, if there is one. Returns its digest."""
        digest = session_digest(text)
        await self._sessions.end(digest)
        return digest


def cookie_name(headers: Mapping[str, str]) -> str:
    """Cookies know hosts and no ports: a deployment on another port has sessions of its own."""
    port = _PORT.search(headers.get("host", ""))
    return f"penstock-session-{port[1]}" if port else "penstock-session"


def session_in(headers: Mapping[str, str]) -> str | None:
    """The text of the session in the cookies of a call. None, too, when there are two: one is not ours."""
    name = cookie_name(headers)
    pairs = (each.strip(" ").partition("=") for each in headers.get("cookie", "").split(";"))
    found = [value for key, _, value in pairs if key == name]
    return found[0] if len(found) == 1 and SESSION_TEXT.match(found[0]) else None


def is_of_page(headers: Mapping[str, str]) -> bool:
    """Whether a call that carries a session was made by the page, which alone knows the token."""
    text = session_in(headers)
    given = headers.get("x-csrf-token", "").encode()
    return text is not None and hmac.compare_digest(given, csrf_token(text).encode())
