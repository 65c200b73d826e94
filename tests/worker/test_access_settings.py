"""What `auth` and `audit` of the settings may say, and that every mistake is told at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from engine.errors import DeclarationError
from worker.auth.password import hash_password
from worker.config import load_settings
from worker.daemons.proofs import proofs

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "config" / "token-key.pem").write_bytes(pem)
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "config" / "token-key.pub").write_bytes(public)
    (tmp_path / "hash").write_text(f"{hash_password('correct horse', b'0' * 16)}\n")
    return tmp_path


def write(home: Path, settings: str) -> Path:
    (home / "config" / "penstock.yaml").write_text(settings)
    return home


def test_nothing_is_set_up_by_itself(home: Path) -> None:
    settings = load_settings(write(home, ""), {})
    assert proofs(settings) == (None, None)
    assert (settings.auth.roles, settings.audit.kept, settings.audit.refused_kept) == ({}, 100_000, 20_000)


def test_what_is_set_up_is_there(home: Path) -> None:
    written = """
auth:
  jwt: {issuer: a, audience: b, keyFile: config/token-key.pub, algorithms: [EdDSA]}
  basic: {user: root, passwordHashFile: hash}
  roles: {signer: ["scripts:execute:sign-file", "tasks:*"]}
audit: {entries: 5000, refused: 1000}
"""
    settings = load_settings(write(home, written), {})
    assert all(proofs(settings))
    assert settings.auth.roles == {"signer": frozenset({"scripts:execute:sign-file", "tasks:*"})}
    assert (settings.audit.kept, settings.audit.refused_kept) == (5000, 1000)


def test_of_two_wrong_files_both_are_told(home: Path) -> None:
    written = "auth: {jwt: {issuer: a, audience: b, keyFile: x}, basic: {user: root, passwordHashFile: y}}"
    with pytest.raises(DeclarationError) as caught:
        proofs(load_settings(write(home, written), {}))
    assert [p.pointer for p in caught.value.problems] == ["/auth/jwt/keyFile", "/auth/basic/passwordHashFile"]


@pytest.mark.parametrize(
    ("written", "pointer"),
    [
        ("auth: {jwt: {issuer: a, audience: b}}", "/auth/jwt"),
        ("auth: {jwt: {issuer: a, audience: b, keyFile: x, jwksFile: y}}", "/auth/jwt"),
        ("auth: {jwt: {issuer: a, keyFile: x}}", "/auth/jwt"),
        ("auth: {jwt: {issuer: a, audience: b, keyFile: no-such-file}}", "/auth/jwt/keyFile"),
        ("auth: {jwt: {issuer: a, audience: b, jwksFile: config/penstock.yaml}}", "/auth/jwt/jwksFile"),
        ("auth: {jwt: {issuer: a, audience: b, keyFile: config/token-key.pem}}", "/auth/jwt/keyFile"),
        (
            "auth: {jwt: {issuer: a, audience: b, keyFile: config/token-key.pub, algorithms: [HS256]}}",
            "/auth/jwt/algorithms/0",
        ),
        (
            "auth: {jwt: {issuer: a, audience: b, keyFile: config/token-key.pub, algorithms: [RS256]}}",
            "/auth/jwt/keyFile",
        ),
        ("auth: {basic: {user: root}}", "/auth/basic"),
        ("auth: {basic: {user: 'a:b', passwordHashFile: x}}", "/auth/basic/user"),
        ("auth: {basic: {user: root, passwordHashFile: config/penstock.yaml}}", "/auth/basic/passwordHashFile"),
        ("auth: {basic: {user: root, passwordHashFile: /dev/zero}}", "/auth/basic/passwordHashFile"),
        ("auth: {roles: {admin: [tasks:read]}}", "/auth/roles/admin"),
        ("auth: {roles: {signer: ['tasks read']}}", "/auth/roles/signer/0"),
        ("auth: {roles: {'a b': []}}", "/auth/roles/a b"),
        ("audit: {entries: 0}", "/audit/entries"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_no_secret(home: Path, written: str, pointer: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        proofs(load_settings(write(home, f"\n{written}\n"), {}))
    problems = caught.value.problems
    assert any(p.pointer.startswith(pointer) and p.line == 2 for p in problems), problems
    assert "PRIVATE" not in str(caught.value)
