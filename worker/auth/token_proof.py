"""Token proof: a JWT (RFC 7519) as RFC 8725 wants it checked. Nothing that a token names is fetched or believed."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from joserfc import jws
from joserfc.errors import ExpiredTokenError, JoseError, UnsupportedAlgorithmError
from joserfc.jwt import JWTClaimsRegistry
from msgspec import Struct

from engine.errors import PayloadError
from engine.schema import parse_payload
from worker.auth.denied import Denied
from worker.auth.roles import scopes_of
from worker.auth.token_keys import ALGORITHMS, KeyFile, KeyFileError, VerifyingKey
from worker.model.access import SCOPE, Principal

TOKEN_CHARACTERS = 8192
# For clocks that do not agree.
LEEWAY_S = 30
_SUBJECT_CHARACTERS = 200
_MOST_SCOPES = 500
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,2000}\.[A-Za-z0-9_-]{1,8000}\.[A-Za-z0-9_-]{1,4000}\Z")
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_KNOWN = frozenset(name for names in ALGORITHMS.values() for name in names)


class TokenRules(Struct, frozen=True):
    """What a token has to say. `algorithms` empty: whatever fits the key."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ()


class OneAlgorithm(jws.JWSRegistry):
    """Knows one algorithm, and does not warn of EdDSA's name, which RFC 9864 made a better one for."""

    def __init__(self, algorithms: list[str]) -> None:
        super().__init__(algorithms=algorithms, strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        if self.allowed is None or name not in self.allowed:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


class TokenProof:
    """Verifies tokens with the keys of a file. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        rules: TokenRules,
        keys: KeyFile,
        roles: Mapping[str, frozenset[str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rules = rules
        self._keys = keys
        self._roles = roles
        self._clock = clock

    def prove(self, token: str) -> Principal:
        """Raises Denied; why is said, because it helps who has a right token and nobody else."""
        claims = self.verify(token)
        subject = claims["sub"]
        if not (isinstance(subject, str) and 0 < len(subject) <= _SUBJECT_CHARACTERS and subject.isprintable()):
            raise _denied("its `sub` is no printable text")
        roles = _texts(claims, "roles")
        held = {*_texts(claims, "scopes"), *_texts(claims, "scope"), *_texts(claims, "permissions")}
        # What other services call a scope need not look like one here, and grants nothing then.
        scopes = frozenset(scope for scope in held if SCOPE.match(scope))
        held_scopes = scopes | scopes_of(roles, self._roles)
        return Principal(subject, "jwt", held_scopes, expires_at=int(claims["exp"]) * 1000)

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a token that is signed by one of the keys, meant for us, and neither too old nor too new."""
        if len(token) > TOKEN_CHARACTERS or not _TOKEN.match(token):
            raise _denied("it is no signed JWT by its form, or too long")
        key, algorithm = self._key(header_of(token))
        try:
            found = jws.deserialize_compact(token, key.key, registry=OneAlgorithm([algorithm]))
        except (JoseError, ValueError, TypeError):
            raise _denied("its signature is wrong") from None
        claims = _object(found.payload, "its claims are")
        registry = JWTClaimsRegistry(
            now=lambda: int(self._clock()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._rules.issuer},
            aud={"essential": True, "value": self._rules.audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            registry.validate(claims)
        except ExpiredTokenError:
            raise _denied("it has expired") from None
        except JoseError as error:
            raise _denied(f"the claim {getattr(error, 'claim', None) or '?'} is missing or wrong") from None
        return claims

    def _key(self, header: Mapping[str, Any]) -> tuple[VerifyingKey, str]:
        """The one key for it, and the algorithm, which has to be one of that key's."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if "crit" in header or "b64" in header:
            raise _denied("it asks for an extension that is not understood here")
        kind = header.get("typ", "JWT")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise _denied("its `typ` is none of a JWT")
        if not isinstance(algorithm, str) or algorithm not in _KNOWN:
            raise _denied("its algorithm is not allowed")
        try:
            keys = self._keys.read()
        except KeyFileError as error:
            raise Denied("tokens cannot be verified at the moment", kind="jwt", detail=str(error)) from None
        key = _chosen(keys, kid)
        if algorithm not in key.algorithms or (self._rules.algorithms and algorithm not in self._rules.algorithms):
            raise _denied("its algorithm is not allowed")
        return key, algorithm


def header_of(token: str) -> dict[str, Any]:
    """What the header says, believed by nobody yet. Raises Denied."""
    return _object(_decoded(token.split(".")[0]), "its header is")


def unverified_claims(token: str) -> dict[str, Any]:
    """What the claims say, to be shown to who holds the token. Raises Denied."""
    if len(token) > TOKEN_CHARACTERS or not _TOKEN.match(token):
        raise _denied("it is no signed JWT by its form, or too long")
    return _object(_decoded(token.split(".")[1]), "its claims are")


def _chosen(keys: Sequence[VerifyingKey], kid: Any) -> VerifyingKey:
    if kid is not None and not isinstance(kid, str):
        raise _denied("its `kid` is no text")
    if kid is None and len(keys) > 1:
        raise _denied("it names no key (`kid`), and there are several")
    for key in keys:
        # One key without a name, as in a PEM file, has every name.
        if kid is None or key.kid == kid or (key.kid is None and len(keys) == 1):
            return key
    raise _denied("it names a key (`kid`) that there is not")


def _texts(claims: Mapping[str, Any], name: str) -> list[str]:
    """A list of text, or text separated by blanks."""
    value = claims.get(name)
    if value is None:
        return []
    texts = value.split() if isinstance(value, str) else value
    if not isinstance(texts, list) or len(texts) > _MOST_SCOPES or not all(isinstance(one, str) for one in texts):
        raise _denied(f"its `{name}` is no list of text")
    return texts


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        return parse_payload(data, max_bytes=TOKEN_CHARACTERS, max_depth=8)
    except PayloadError:
        raise _denied(f"{what} no JSON object") from None


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _denied("it is no signed JWT by its form, or too long") from None


def _denied(why: str) -> Denied:
    return Denied(f"the token is not valid: {why}", kind="jwt")
