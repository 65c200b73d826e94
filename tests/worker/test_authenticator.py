"""Who asks: API keys, tokens and the bootstrap admin, with everything that is sent by who is none of them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws

from worker.auth.authenticator import Authenticator, Denied
from worker.auth.basic_proof import BasicProof
from worker.auth.key_proof import KeyProof
from worker.auth.password import PasswordHash, hash_password
from worker.auth.token_issue import NewToken, issue, matching, private_key
from worker.auth.token_keys import KeyFile, KeyFileError, jwks_keys, pem_keys
from worker.auth.token_proof import TokenProof, TokenRules
from worker.embedded import Embedded
from worker.model.access import ROLES, Principal
from worker.model.api_key import NewKey
from worker.store import connect
from worker.store.api_keys import ApiKeys
from worker.store.keys import API_KEY, API_KEY_FIELDS

NOW = 1_800_000_000
ISSUER, AUDIENCE = "https://id.example", "penstock"
OWN = {"signer": frozenset({"scripts:execute:sign-file"})}
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": NOW + 600, "scopes": ["tasks:read"]}
PASSWORD = "correct horse: Übung ✓"


def pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def public_pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
OTHER = ed25519.Ed25519PrivateKey.generate()
HASH = hash_password(PASSWORD, b"0123456789abcdef")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def part(value: Any) -> str:
    return b64(json.dumps(value).encode())


def signed(key: Any, header: dict[str, Any], claims: Any = CLAIMS) -> str:
    """By whatever key and header, without any of the checks of those who mean well."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    own = private_key(pem(key))
    algorithm = jws.JWSRegistry.algorithms[header["alg"]]
    signing = f"{part(header)}.{b64(payload)}"
    return f"{signing}.{b64(algorithm.sign(signing.encode(), own))}"


def mac(secret: bytes, header: dict[str, Any], claims: Any = CLAIMS) -> str:
    signing = f"{part(header)}.{part(claims)}"
    return f"{signing}.{b64(hmac.new(secret, signing.encode(), hashlib.sha256).digest())}"


def proof(
    tmp_path: Path, data: bytes, rules: TokenRules = TokenRules(ISSUER, AUDIENCE), jwks: bool = False
) -> TokenProof:
    path = tmp_path / "keys"
    path.write_bytes(data)
    return TokenProof(rules, KeyFile(path, jwks_keys if jwks else pem_keys), OWN, clock=lambda: NOW)


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    return {**private_key(pem(key)).as_dict(private=False), **more}


@pytest.fixture
def tokens(tmp_path: Path) -> TokenProof:
    return proof(tmp_path, public_pem(ED))


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "RS512"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519")],
)
def test_a_token_of_each_kind_of_key_is_good(tmp_path: Path, key: Any, algorithm: str) -> None:
    found = proof(tmp_path, public_pem(key)).prove(signed(key, {"alg": algorithm, "typ": "JWT"}))
    assert found == Principal("ann", "jwt", frozenset({"tasks:read"}), expires_at=(NOW + 600) * 1000)


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scopes": "tasks:read scripts:read"}, {"tasks:read", "scripts:read"}),
        ({"scope": "openid tasks:read https://x/y"}, {"openid", "tasks:read"}),
        ({"permissions": ["tasks:cancel"]}, {"tasks:read", "tasks:cancel"}),
        ({"roles": ["signer", "nobody"]}, {"tasks:read", "scripts:execute:sign-file"}),
        ({"scopes": None, "roles": ["admin"]}, {"*"}),
        ({"scopes": []}, set()),
        ({"scopes": ["tasks:read\n", "*:read", "", "a b"]}, set()),
    ],
)
def test_what_a_token_may_do_is_in_its_claims(tokens: TokenProof, claims: dict[str, Any], scopes: set[str]) -> None:
    wanted = {"tasks:read"} | scopes if "scope" in claims else scopes
    assert tokens.prove(signed(ED, {"alg": "EdDSA"}, {**CLAIMS, **claims})).scopes == wanted


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"exp": NOW - 31}, "expired"),
        ({"exp": None}, "exp"),
        ({"exp": "never"}, "exp"),
        ({"exp": True}, "e"),
        ({"nbf": NOW + 31}, "nbf"),
        ({"nbf": "x"}, "nbf"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": [ISSUER]}, "iss"),
        ({"iss": None}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"aud": ["other", "more"]}, "aud"),
        ({"aud": {"penstock": 1}}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": []}, "aud"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "a\nb"}, "sub"),
        ({"sub": "x" * 201}, "sub"),
        ({"scopes": 5}, "scopes"),
        ({"scopes": {"*": True}}, "scopes"),
        ({"scopes": [["*"]]}, "scopes"),
        ({"roles": [None]}, "roles"),
    ],
)
def test_wrong_claims_are_refused(tokens: TokenProof, change: dict[str, Any], why: str) -> None:
    claims = {name: value for name, value in {**CLAIMS, **change}.items() if value is not None}
    with pytest.raises(Denied) as caught:
        tokens.prove(signed(ED, {"alg": "EdDSA"}, claims))
    assert why in str(caught.value) and caught.value.kind == "jwt"


def test_clocks_may_differ_a_little(tokens: TokenProof) -> None:
    assert tokens.prove(
        signed(ED, {"alg": "EdDSA"}, {**CLAIMS, "exp": NOW - 20, "nbf": NOW + 20, "aud": ["x", AUDIENCE]})
    )


HOSTILE: dict[str, Callable[[], str]] = {
    "none": lambda: f"{part({'alg': 'none'})}.{part(CLAIMS)}.",
    "none, with a signature": lambda: f"{part({'alg': 'none'})}.{part(CLAIMS)}.{b64(b'x' * 64)}",
    "None": lambda: f"{part({'alg': 'NoNe'})}.{part(CLAIMS)}.{b64(b'x')}",
    "HS256 with the public key in PEM": lambda: mac(public_pem(ED), {"alg": "HS256"}),
    "HS256 with the stripped public key": lambda: mac(public_pem(ED).strip(), {"alg": "HS256"}),
    "HS256 with the raw public key": lambda: mac(
        ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), {"alg": "HS256"}
    ),
    "HS256 with nothing": lambda: mac(b"", {"alg": "HS256"}),
    "RS256 of another key": lambda: signed(RSA, {"alg": "RS256"}),
    "another key of the same kind": lambda: signed(OTHER, {"alg": "EdDSA"}),
    "its own key in the header": lambda: signed(OTHER, {"alg": "EdDSA", "jwk": jwk(OTHER)}),
    "a key to be fetched": lambda: signed(OTHER, {"alg": "EdDSA", "jku": "https://evil.example/jwks.json"}),
    "a certificate to be fetched": lambda: signed(OTHER, {"alg": "EdDSA", "x5u": "https://evil.example/c.pem"}),
    "a critical extension": lambda: signed(ED, {"alg": "EdDSA", "crit": ["exp"], "exp": NOW + 600}),
    "an empty list of extensions": lambda: signed(ED, {"alg": "EdDSA", "crit": []}),
    "an unencoded payload": lambda: signed(ED, {"alg": "EdDSA", "b64": False, "crit": ["b64"]}),
    "another type": lambda: signed(ED, {"alg": "EdDSA", "typ": "dpop+jwt"}),
    "a type that is none": lambda: signed(ED, {"alg": "EdDSA", "typ": 5}),
    "two algorithms": lambda: f'{b64(b"""{"alg":"none","alg":"EdDSA"}""")}.{part(CLAIMS)}.{b64(b"x" * 64)}',
    "a list of algorithms": lambda: f"{part({'alg': ['EdDSA']})}.{part(CLAIMS)}.{b64(b'x' * 64)}",
    "claims that are a list": lambda: signed(ED, {"alg": "EdDSA"}, [CLAIMS]),
    "claims twice": lambda: signed(ED, {"alg": "EdDSA"}, b'{"sub":"ann","sub":"root"}'),
    "claims that are no JSON": lambda: signed(ED, {"alg": "EdDSA"}, b"\xff\xfe"),
    "claims that are deep": lambda: signed(ED, {"alg": "EdDSA"}, b'{"a":' * 900 + b"1" + b"}" * 900),
    "no signature": lambda: signed(ED, {"alg": "EdDSA"}).rpartition(".")[0] + ".",
    "a short signature": lambda: signed(ED, {"alg": "EdDSA"})[:-10],
    "two parts": lambda: signed(ED, {"alg": "EdDSA"}).rpartition(".")[0],
    "five parts": lambda: signed(ED, {"alg": "EdDSA"}) + ".a.b",
    "padding": lambda: signed(ED, {"alg": "EdDSA"}) + "==",
    "a newline at the end": lambda: signed(ED, {"alg": "EdDSA"}) + "\n",
    "a blank in the middle": lambda: signed(ED, {"alg": "EdDSA"}).replace(".", ". ", 1),
    "not ASCII": lambda: "é.é.é",
    "JWE": lambda: f"{part({'alg': 'dir', 'enc': 'A128GCM'})}...",
    "a key that is there under another name": lambda: signed(OTHER, {"alg": "EdDSA", "kid": "../../etc/passwd"}),
    "too long": lambda: signed(ED, {"alg": "EdDSA"}, {**CLAIMS, "x": "y" * 9000}),
    "a million characters": lambda: "a" * 1_000_000,
    "nothing": lambda: "",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_token_is_refused(tokens: TokenProof, name: str) -> None:
    with pytest.raises(Denied):
        tokens.prove(HOSTILE[name]())


def test_a_public_rsa_key_is_no_secret(tmp_path: Path) -> None:
    rsa_tokens = proof(tmp_path, public_pem(RSA))
    for secret in (public_pem(RSA), public_pem(RSA).strip(), json.dumps(jwk(RSA)).encode()):
        for algorithm in ("HS256", "HS384", "HS512"):
            with pytest.raises(Denied, match="algorithm"):
                rsa_tokens.prove(mac(secret, {"alg": algorithm}))


def test_only_the_algorithms_that_are_named_are_allowed(tmp_path: Path) -> None:
    tokens = proof(tmp_path, public_pem(RSA), TokenRules(ISSUER, AUDIENCE, ("PS256",)))
    assert tokens.prove(signed(RSA, {"alg": "PS256"}))
    with pytest.raises(Denied, match="algorithm"):
        tokens.prove(signed(RSA, {"alg": "RS256"}))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_token_that_was_changed_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tokens = proof(tmp_path_factory.mktemp("k"), public_pem(ED))
    token = signed(ED, {"alg": "EdDSA"})
    # The last character of a signature carries two bits that are nobody's.
    at = data.draw(st.integers(0, len(token) - 2))
    other = data.draw(st.sampled_from([c for c in "ABCxyz019-_." if c != token[at]]))
    with pytest.raises(Denied):
        tokens.prove(token[:at] + other + token[at + 1 :])


def test_of_several_keys_the_token_names_one(tmp_path: Path) -> None:
    keys = json.dumps({"keys": [jwk(ED, kid="a"), jwk(OTHER, kid="b", alg="EdDSA"), jwk(RSA, kid="c", use="enc")]})
    tokens = proof(tmp_path, keys.encode(), jwks=True)
    assert tokens.prove(signed(ED, {"alg": "EdDSA", "kid": "a"}))
    assert tokens.prove(signed(OTHER, {"alg": "EdDSA", "kid": "b"}))
    for header in ({"kid": "b"}, {"kid": "c"}, {"kid": "zz"}, {"kid": ["a"]}, {"kid": ""}, {}):
        with pytest.raises(Denied):
            tokens.prove(signed(ED, {"alg": "EdDSA", **header}))
    with pytest.raises(Denied, match="algorithm"):
        tokens.prove(signed(OTHER, {"alg": "Ed25519", "kid": "b"}))


def test_keys_are_rotated_without_a_restart_and_a_broken_file_lets_nobody_in(tmp_path: Path) -> None:
    tokens = proof(tmp_path, public_pem(ED))
    old, new = signed(ED, {"alg": "EdDSA"}), signed(OTHER, {"alg": "EdDSA"})
    assert tokens.prove(old)
    for content, good, bad in ((public_pem(OTHER), new, old), (public_pem(ED), old, new)):
        following = tmp_path / "following"
        following.write_bytes(content)
        following.replace(tmp_path / "keys")
        assert tokens.prove(good)
        with pytest.raises(Denied):
            tokens.prove(bad)
    (tmp_path / "keys").write_bytes(b"gone")
    with pytest.raises(Denied, match="at the moment"):
        tokens.prove(old)
    (tmp_path / "keys").unlink()
    with pytest.raises(Denied, match="at the moment") as caught:
        tokens.prove(old)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("read", "data", "why"),
    [
        (pem_keys, b"", "no public key"),
        (pem_keys, pem(ED), "private key"),
        (pem_keys, pem(RSA), "private key"),
        (pem_keys, public_pem(rsa.generate_private_key(65537, 1024)), "2048 bits"),
        (pem_keys, public_pem(ec.generate_private_key(ec.SECP256K1())), "not a key|no algorithm"),
        (pem_keys, b"\xff" * 1000, "no public key"),
        (jwks_keys, b"", "no JWKS"),
        (jwks_keys, b"[]", "no JWKS"),
        (jwks_keys, b'{"keys": {}}', "list"),
        (jwks_keys, b'{"keys": []}', "no key"),
        (jwks_keys, b'{"keys": [5]}', "no object"),
        (jwks_keys, b'{"keys": [], "keys": []}', "no JWKS"),
        (jwks_keys, json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}).encode(), "shared secret"),
        (jwks_keys, json.dumps({"keys": [private_key(pem(ED)).as_dict(private=True)]}).encode(), "private"),
        (jwks_keys, json.dumps({"keys": [jwk(ED), jwk(OTHER)]}).encode().replace(b'"kid"', b'"x"'), "kid"),
        (jwks_keys, json.dumps({"keys": [jwk(ED, kid="a"), jwk(OTHER, kid="a")]}).encode(), "kid"),
        (jwks_keys, json.dumps({"keys": [jwk(ED, kid=5)]}).encode(), "kid"),
        (jwks_keys, json.dumps({"keys": [jwk(ED, alg="HS256")]}).encode(), "algorithm"),
        (jwks_keys, json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}).encode(), "no key"),
        (jwks_keys, json.dumps({"keys": [{"kty": "new", "x": "AA"}]}).encode(), "no key"),
        (jwks_keys, json.dumps({"keys": [{"kty": ["RSA"]}]}).encode(), "no key"),
    ],
)
def test_a_file_without_good_keys_is_told_and_shows_nothing(read: Any, data: bytes, why: str) -> None:
    with pytest.raises(KeyFileError, match=why) as caught:
        read(data)
    assert "PRIVATE" not in str(caught.value) and "c2VjcmV0" not in str(caught.value)


@pytest.mark.parametrize("key", [RSA, EC, ED])
def test_what_is_issued_is_good_for_whom_it_says(tmp_path: Path, key: Any) -> None:
    tokens = proof(tmp_path, public_pem(key))
    own = private_key(pem(key))
    public = matching(own, pem_keys(public_pem(key)))
    assert public is not None and matching(private_key(pem(OTHER)), [public]) is None
    new = NewToken(ISSUER, AUDIENCE, "bot", NOW, 60, "1", ("tasks:read",), ("signer",))
    found = tokens.prove(issue(new, own, public.algorithms))
    scopes = frozenset({"tasks:read", *OWN["signer"]})
    assert found == Principal("bot", "jwt", scopes, expires_at=(NOW + 60) * 1000)
    with pytest.raises(KeyFileError):
        issue(new, own, ("HS256",))


def basic(text: bytes | str) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def test_the_bootstrap_admin_is_let_in_and_nobody_else() -> None:
    async def scene() -> None:
        admin = BasicProof("root", HASH)
        for _ in range(2):  # hashed the first time, known the second
            found = await admin.prove(basic(f"root:{PASSWORD}"))
            assert found == Principal("root", "basic", ROLES["admin"])
        wrong = [
            basic(f"root:{PASSWORD} "),
            basic(f"Root:{PASSWORD}"),
            basic(f"root:{PASSWORD}".encode("latin-1", "replace")),
            basic(b"root:\xff\xfe\x00"),
            basic(f"root\x00:{PASSWORD}"),
            basic("root:"),
            basic(":"),
            basic(PASSWORD),
            basic("root:" + "x" * 1025),
            "",
            "!!!",
            "é",
            basic(f"root:{PASSWORD}") + "\n",
        ]
        for credentials in wrong:
            with pytest.raises(Denied) as caught:
                await admin.prove(credentials)
            assert str(caught.value) == "the user or the password is wrong"
            assert PASSWORD not in caught.value.detail + caught.value.tried

    asyncio.run(scene())


def test_a_hash_is_read_as_it_is_written_and_does_not_show_itself() -> None:
    assert PasswordHash.parse(str(HASH) + "\n") == HASH
    assert "scrypt" not in repr(HASH)
    good = str(HASH).split("$")
    for at, value in (
        (0, "md5"),
        (1, "1024"),
        (1, "32769"),
        (1, "16777216"),
        (2, "1"),
        (2, "999"),
        (3, "99"),
        (4, "AA=="),
    ):
        with pytest.raises(ValueError):
            PasswordHash.parse("$".join([*good[:at], value, *good[at + 1 :]]))
    for text in ("", "hunter2", PASSWORD, "scrypt$$$$$", "scrypt$32768$8$1$!!!$!!!"):
        with pytest.raises(ValueError) as caught:
            PasswordHash.parse(text)
        assert not text or text not in str(caught.value)
    for password in ("short", "x" * 1025):
        with pytest.raises(ValueError):
            hash_password(password, b"0" * 16)


@pytest.fixture
def ask(store: Embedded, tmp_path: Path) -> Callable[..., Any]:
    """Runs a coroutine function with the keys of the empty store and an authenticator that knows all proofs."""

    def run(scene: Callable[[ApiKeys, Authenticator], Any]) -> Any:
        async def with_keys() -> Any:
            client = connect(store.url)
            keys = ApiKeys(client)
            tokens = proof(tmp_path, public_pem(ED))
            try:
                return await scene(keys, Authenticator(KeyProof(keys, OWN), tokens, BasicProof("root", HASH)))
            finally:
                await client.aclose()

        return asyncio.run(with_keys())

    return run


def test_a_key_is_taken_from_either_header_with_the_scopes_and_the_role_it_has_now(ask: Callable[..., Any]) -> None:
    async def scene(keys: ApiKeys, who: Authenticator) -> None:
        made = await keys.create(NewKey("ci", frozenset({"tasks:read"}), "signer"))
        wanted = Principal("ci", "key", frozenset({"tasks:read", *OWN["signer"]}), made.key.id)
        for headers in (
            {"x-api-key": made.text},
            {"authorization": f"Bearer {made.text}"},
            {"authorization": f"bearer   {made.text}"},
        ):
            assert await who.authenticate(headers) == wanted
        used = await keys.get(made.key.id)
        assert used is not None and used.last_used_at is not None
        unknown_role = await keys.create(NewKey("x", role="gone"))
        assert (await who.authenticate({"x-api-key": unknown_role.text})).scopes == frozenset()

    ask(scene)


def test_the_last_use_is_not_written_at_every_call(ask: Callable[..., Any], store: Embedded) -> None:
    async def scene(keys: ApiKeys, who: Authenticator) -> None:
        made = await keys.create(NewKey("ci", frozenset({"tasks:read"})))
        await who.authenticate({"x-api-key": made.text})
        with redis.Redis.from_url(store.url, protocol=2) as client:
            assert client.hdel(API_KEY.prefix + made.key.id, API_KEY_FIELDS["used"]) == 1
            for _ in range(3):
                await who.authenticate({"x-api-key": made.text})
            assert not client.hexists(API_KEY.prefix + made.key.id, API_KEY_FIELDS["used"])

    ask(scene)


def test_a_full_store_lets_known_keys_in(ask: Callable[..., Any], store: Embedded) -> None:
    async def scene(keys: ApiKeys, who: Authenticator) -> None:
        made = await keys.create(NewKey("ci", frozenset({"tasks:read"})))
        with redis.Redis.from_url(store.url, protocol=2) as client:
            client.config_set("maxmemory", 1)
            try:
                assert (await who.authenticate({"x-api-key": made.text})).name == "ci"
            finally:
                client.config_set("maxmemory", 0)

    ask(scene)


def test_tokens_and_the_bootstrap_admin_come_by_their_schemes(ask: Callable[..., Any]) -> None:
    async def scene(_: ApiKeys, who: Authenticator) -> None:
        assert (await who.authenticate({"authorization": f"Bearer {signed(ED, {'alg': 'EdDSA'})}"})).kind == "jwt"
        assert (await who.authenticate({"authorization": f"Basic {basic(f'root:{PASSWORD}')}"})).kind == "basic"
        with pytest.raises(Denied):
            await who.authenticate({"x-api-key": signed(ED, {"alg": "EdDSA"})})

    ask(scene)


def test_every_wrong_key_is_refused_in_the_same_words(ask: Callable[..., Any]) -> None:
    async def scene(keys: ApiKeys, who: Authenticator) -> None:
        made = await keys.create(NewKey("ci", frozenset({"*"})))
        id, secret = made.key.id, made.text.split("_", 2)[2]
        revoked = await keys.create(NewKey("old", frozenset({"*"})))
        await keys.revoke(revoked.key.id)
        changed = secret[:-2] + ("AA" if secret[-2:] != "AA" else "BB")
        wrong = {
            "wrong secret": f"penstock_{id}_{changed}",
            "unknown key": f"penstock_zzzzzzzz_{secret}",
            "the key is revoked": revoked.text,
            "no API key by its form": made.text + "=",
        }
        for detail, text in wrong.items():
            with pytest.raises(Denied) as caught:
                await who.authenticate({"x-api-key": text})
            error = caught.value
            assert (str(error), error.code, error.detail) == ("the key or token is not valid", "unauthorized", detail)
            assert secret not in error.tried + error.detail
        for text in (
            "",
            " ",
            f"{id}",
            secret,
            made.key.digest,
            f"penstock_{id}_{made.key.digest}"[:61],
            "*",
            "x" * 10**6,
        ):
            with pytest.raises(Denied):
                await who.authenticate({"x-api-key": text})

    ask(scene)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Digest username=root"},
        {"authorization": "Negotiate abc"},
        {"authorization": "Basic"},
        {"authorization": "Bearer\tpenstock_x"},
        {"authorization": "Bearer " + "é" * 100},
        {"authorization": "Bearer " + "x" * 10**6},
        {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "host": "localhost"},
        {"x-forwarded-user": "root", "remote-user": "root"},
        {"cookie": "penstock=admin"},
    ],
)
def test_who_proves_nothing_is_refused(ask: Callable[..., Any], headers: dict[str, str]) -> None:
    async def scene(_: ApiKeys, who: Authenticator) -> None:
        with pytest.raises(Denied):
            await who.authenticate(headers)

    ask(scene)


def test_two_proofs_are_refused_even_when_both_are_good(ask: Callable[..., Any]) -> None:
    async def scene(keys: ApiKeys, who: Authenticator) -> None:
        text = (await keys.create(NewKey("ci", frozenset({"*"})))).text
        with pytest.raises(Denied, match="two proofs"):
            await who.authenticate({"x-api-key": text, "authorization": f"Bearer {text}"})

    ask(scene)


def test_without_settings_neither_tokens_nor_passwords_are_known(store: Embedded) -> None:
    async def scene() -> None:
        client = connect(store.url)
        who = Authenticator(KeyProof(ApiKeys(client), {}))
        for value in (f"Bearer {signed(ED, {'alg': 'EdDSA'})}", f"Basic {basic(f'root:{PASSWORD}')}", "Basic Og=="):
            with pytest.raises(Denied):
                await who.authenticate({"authorization": value})
        await client.aclose()

    asyncio.run(scene())


def test_secrets_are_compared_in_constant_time_also_for_an_unknown_key() -> None:
    """A look at the code: what a clock would show is lost in its noise."""
    import inspect

    from worker.auth import basic_proof, key_proof, password

    for module in (key_proof, basic_proof, password):
        assert "hmac.compare_digest(" in inspect.getsource(module)
    prove = inspect.getsource(key_proof.KeyProof.prove)
    assert prove.index("compare_digest") < prove.index("key is None") and "_DUMMY" in prove
