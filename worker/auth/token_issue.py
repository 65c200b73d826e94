"""Token issue: signs a token with a private key that the operator names. The API has none and issues none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from msgspec import Struct

from worker.auth.token_keys import Key, KeyFileError, VerifyingKey, algorithms_of, imported
from worker.auth.token_proof import OneAlgorithm


class NewToken(Struct, frozen=True):
    """What a token says. `now` and `ttl_s` are seconds; `id` makes it one of its kind (`jti`)."""

    issuer: str
    audience: str
    subject: str
    now: int
    ttl_s: int
    id: str
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    kid: str | None = None


def private_key(data: bytes) -> Key:
    """Of a PEM file without a password. Raises KeyFileError."""
    try:
        load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError("no private key in PEM that is not encrypted") from None
    kinds: tuple[type[Key], ...] = (RSAKey, ECKey, OKPKey)
    for kind in kinds:
        try:
            key = imported(kind, data)
        except (JoseError, ValueError, TypeError):
            continue
        if algorithms_of(key):
            return key
    raise KeyFileError("not a key that signs: RSA, EC (P-256, P-384, P-521) or Ed25519")


def matching(key: Key, verifying: Iterable[VerifyingKey]) -> VerifyingKey | None:
    """The public key that belongs to it."""
    public = key.thumbprint()
    return next((one for one in verifying if one.key.thumbprint() == public), None)


def issue(new: NewToken, key: Key, algorithms: Sequence[str]) -> str:
    """The token, signed by the first of these algorithms that fits the key. Raises KeyFileError when none does."""
    fitting = [name for name in algorithms_of(key) if name in algorithms]
    if not fitting:
        raise KeyFileError("the key fits none of the algorithms that are accepted")
    header = {"alg": fitting[0], "typ": "JWT", **({"kid": new.kid} if new.kid else {})}
    claims: dict[str, object] = {
        "iss": new.issuer,
        "aud": new.audience,
        "sub": new.subject,
        "iat": new.now,
        "exp": new.now + new.ttl_s,
        "jti": new.id,
    }
    if new.scopes:
        claims["scopes"] = list(new.scopes)
    if new.roles:
        claims["roles"] = list(new.roles)
    return jwt.encode(header, claims, key, registry=OneAlgorithm(fitting[:1]))
