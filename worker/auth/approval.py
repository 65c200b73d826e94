"""Approval: a signature over one version of a registered script, by a key that the operators of workers trust.

A compact JWS (RFC 7515) with `typ` penstock-approval, so that no token is taken for one, nor the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from msgspec import Struct

from engine.errors import PayloadError
from engine.schema import dump_payload, parse_payload
from worker.auth.token_issue import private_key
from worker.auth.token_keys import Key, KeyFileError, VerifyingKey, algorithms_of, pem_keys
from worker.auth.token_proof import OneAlgorithm

TYPE = "penstock-approval"
_BYTES = 8192
_FORM = re.compile(r"[A-Za-z0-9_-]{1,1000}\.[A-Za-z0-9_-]{1,4000}\.[A-Za-z0-9_-]{1,2000}\Z")
_NAME_CHARACTERS = 200


class Approval(Struct, frozen=True):
    """`digest` is the registration's. Times are seconds since the epoch; `expires` None: never."""

    script: str
    digest: str
    by: str
    at: int
    expires: int | None = None


def sign(approval: Approval, key: Key) -> str:
    """With a private key. Raises KeyFileError for one that fits no algorithm."""
    fitting = algorithms_of(key)
    if not fitting:
        raise KeyFileError("no algorithm that signs fits the key")
    claims: dict[str, Any] = {
        "script": approval.script,
        "digest": approval.digest,
        "by": approval.by,
        "iat": approval.at,
        **({} if approval.expires is None else {"exp": approval.expires}),
    }
    header = {"alg": fitting[0], "typ": TYPE}
    return jws.serialize_compact(header, dump_payload(claims), key, registry=OneAlgorithm([fitting[0]]))


def verify(text: str, keys: Sequence[VerifyingKey]) -> Approval | None:
    """What was signed, if it was, by one of these keys; whether it is of use, and still, is for the caller to say."""
    if len(text) > _BYTES or not _FORM.match(text):
        return None
    for key in keys:
        for algorithm in key.algorithms:
            try:
                found = jws.deserialize_compact(text, key.key, registry=OneAlgorithm([algorithm]))
                if found.protected.get("typ") != TYPE or {"crit", "b64"} & found.protected.keys():
                    return None
                return _approval(parse_payload(found.payload, max_bytes=_BYTES, max_depth=2))
            except (JoseError, ValueError, TypeError, PayloadError):
                continue
    return None


def _approval(claims: dict[str, Any]) -> Approval | None:
    script, digest, by = (claims.get(name) for name in ("script", "digest", "by"))
    at, expires = claims.get("iat"), claims.get("exp")
    if not (isinstance(script, str) and isinstance(digest, str) and isinstance(by, str) and type(at) is int):
        return None
    if expires is not None and type(expires) is not int:
        return None
    return Approval(script, digest, by[:_NAME_CHARACTERS], at, expires)


__all__ = ["Approval", "Key", "KeyFileError", "pem_keys", "private_key", "sign", "verify"]
