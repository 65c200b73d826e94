"""Token keys: the public keys that tokens are verified with, from a PEM or a JWKS file. Fetches nothing.

Only asymmetric keys: a secret that verifies could sign too, and without one there is nothing to confuse a public key
with.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey
from msgspec import Struct

from engine.errors import PayloadError, PenstockError
from engine.schema import parse_payload

Key = RSAKey | ECKey | OKPKey
# By the type and curve of a key, the algorithm to sign with first.
ALGORITHMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        "P-256": ("ES256",),
        "P-384": ("ES384",),
        "P-521": ("ES512",),
        "Ed25519": ("EdDSA", "Ed25519"),
    }
)
_KINDS: Mapping[str, type[Key]] = MappingProxyType({"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey})
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_LEAST_RSA_BITS = 2048
_FILE_BYTES = 256 * 1024
_KID_CHARACTERS = 200


class KeyFileError(PenstockError):
    """The file holds no keys that tokens could be verified with. The message shows nothing of a private key."""


class VerifyingKey(Struct, frozen=True):
    """`algorithms` are those that fit it and that its owner allows."""

    kid: str | None
    algorithms: tuple[str, ...]
    key: Key


class KeyFile:
    """The keys in a file; read again when the file is another than it was, so that rotation needs no restart."""

    def __init__(self, path: Path, parse: Callable[[bytes], tuple[VerifyingKey, ...]]) -> None:
        self._path = path
        self._parse = parse
        self._seen: tuple[int, ...] | None = None
        self._keys: tuple[VerifyingKey, ...] = ()

    def read(self) -> tuple[VerifyingKey, ...]:
        """Raises KeyFileError. A file that has become wrong verifies nothing: its old keys may be the stolen ones."""
        try:
            is_now = os.stat(self._path)
            seen = (is_now.st_mtime_ns, is_now.st_size, is_now.st_ino)
            if seen != self._seen:
                self._seen = None
                if is_now.st_size > _FILE_BYTES:
                    raise KeyFileError(f"{self._path} is larger than {_FILE_BYTES} bytes")
                self._keys = self._parse(self._path.read_bytes())
                self._seen = seen
        except OSError as error:
            self._seen = None
            raise KeyFileError(f"{self._path} cannot be read: {error.strerror}") from None
        return self._keys


def pem_keys(data: bytes) -> tuple[VerifyingKey, ...]:
    """The one public key of a PEM file."""
    if b"PRIVATE KEY" in data:
        raise KeyFileError("that is a private key; name the public one, which is all that is needed here")
    try:
        load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError("no public key in PEM (-----BEGIN PUBLIC KEY-----)") from None
    for kind in _KINDS.values():
        try:
            return (_verifying(None, imported(kind, data), None),)
        except (JoseError, ValueError, TypeError):
            continue
    raise KeyFileError("not a key that signs: RSA, EC (P-256, P-384, P-521) or Ed25519")


def jwks_keys(data: bytes) -> tuple[VerifyingKey, ...]:
    """The keys of a JWKS (RFC 7517); those of other uses and kinds are passed over, as it says."""
    try:
        found = parse_payload(data, max_bytes=_FILE_BYTES, max_depth=8).get("keys")
    except PayloadError as error:
        raise KeyFileError(f"no JWKS: {error.problems[0].message}") from None
    if not isinstance(found, list):
        raise KeyFileError('no JWKS: it has no list of "keys"')
    keys = [key for index, one in enumerate(found) if (key := _of_jwk(index, one)) is not None]
    if not keys:
        raise KeyFileError("it holds no key that a token could be verified with")
    kids = [key.kid for key in keys]
    if len(keys) > 1 and (None in kids or len(set(kids)) < len(kids)):
        raise KeyFileError('of several keys each needs a "kid" of its own')
    return tuple(keys)


def _of_jwk(index: int, jwk: Any) -> VerifyingKey | None:
    if not isinstance(jwk, dict):
        raise KeyFileError(f"keys/{index} is no object")
    operations = jwk.get("key_ops")
    if jwk.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations):
        return None
    if jwk.get("kty") == "oct":
        raise KeyFileError(f"keys/{index} is a shared secret (oct); only public keys are read")
    kty = jwk.get("kty")
    kind = _KINDS.get(kty) if isinstance(kty, str) else None
    if kind is None:
        return None
    if _PRIVATE & jwk.keys():
        raise KeyFileError(f"keys/{index} is a private key; only public ones belong here")
    kid = jwk.get("kid")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= _KID_CHARACTERS):
        raise KeyFileError(f'the "kid" of keys/{index} is no text of 1 to {_KID_CHARACTERS} characters')
    try:
        return _verifying(kid, imported(kind, jwk), jwk.get("alg"))
    except (JoseError, ValueError, TypeError):
        raise KeyFileError(f"keys/{index} is no key") from None
    except KeyFileError as error:
        raise KeyFileError(f"keys/{index}: {error}") from None


def imported(kind: type[Key], data: Any) -> Key:
    """Without joserfc's warning of short keys, which are refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return kind.import_key(data)


def _verifying(kid: str | None, key: Key, algorithm: Any) -> VerifyingKey:
    algorithms = algorithms_of(key)
    if algorithm is not None:
        algorithms = tuple(one for one in algorithms if one == algorithm)
    if not algorithms:
        raise KeyFileError("no algorithm that signs fits it")
    return VerifyingKey(kid, algorithms, key)


def algorithms_of(key: Key) -> tuple[str, ...]:
    """Raises KeyFileError for a key that is too short."""
    if isinstance(key, RSAKey):
        if key.raw_value.key_size < _LEAST_RSA_BITS:
            raise KeyFileError(f"an RSA key has {_LEAST_RSA_BITS} bits at least")
        return ALGORITHMS["RSA"]
    return ALGORITHMS.get(key.curve_name, ())
