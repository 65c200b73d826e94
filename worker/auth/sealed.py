"""Sealed: secrets encrypted and authenticated (AES-256-GCM) by the keys of a file. Keeps nothing itself.

A sealed text is `v1.<key id>.<base64url of nonce and ciphertext>`. Its place and the id of the key are authenticated
with it, so that it opens nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path

from worker.auth.secret_keys import SecretKeys
from worker.model.sealing import Unsealable

_FORM = re.compile(r"v1\.([0-9a-f]{16})\.([A-Za-z0-9_-]+={0,2})\Z")
_NONCE_BYTES = 12
_TAG_BYTES = 16


class Sealed:
    """Sealing, with the keys of that file: see there. The file is made when something is to be sealed."""

    def __init__(self, path: Path) -> None:
        self.keys = SecretKeys(path)

    def has_key(self) -> bool:
        return bool(self.keys.read())

    def seal(self, place: str, clear: bytes) -> str:
        # Of 20 ms, which most processes do without.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = self.keys.make()
        nonce = os.urandom(_NONCE_BYTES)
        found = nonce + AESGCM(key.secret).encrypt(nonce, clear, _bound(place, key.id))
        return f"v1.{key.id}.{base64.urlsafe_b64encode(found).decode()}"

    def open(self, place: str, sealed: str) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        id = key_id(sealed)
        if id is None:
            raise Unsealable("what the store has is nothing that was encrypted here: give the secret again")
        keys = self.keys.read()
        key = next((key for key in keys if key.id == id), None)
        if key is None:
            there = "it is not there" if keys else "there is no such file"
            raise Unsealable(
                f"it is encrypted by the key {id}, which was looked for in {self.keys.path}: {there}. Copy the file "
                "from the host that has it, or from a backup; when the key is lost, give the secret again"
            )
        try:
            found = base64.urlsafe_b64decode(sealed.rpartition(".")[2])
            if len(found) < _NONCE_BYTES + _TAG_BYTES:
                raise InvalidTag
            return AESGCM(key.secret).decrypt(found[:_NONCE_BYTES], found[_NONCE_BYTES:], _bound(place, id))
        except (InvalidTag, binascii.Error, ValueError):
            raise Unsealable(
                f"what the key {id} has encrypted was changed, or belongs elsewhere: give the secret again"
            ) from None


def key_id(sealed: str) -> str | None:
    """Of the key that it claims to be of; None for what is no sealed text."""
    found = _FORM.match(sealed)
    return found[1] if found else None


def _bound(place: str, id: str) -> bytes:
    return f"penstock v1 {id} {place}".encode()
