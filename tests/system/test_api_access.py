"""Keys, the audit and who-am-I over HTTP, and proofs from hostile hands: a real server on a real connection."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.system.conftest import Deployment
from tests.system.http_client import Api, audit_of, make_key, running_api
from worker.auth.token_issue import NewToken, issue, private_key

OURS, THEIRS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PUBLIC = OURS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
ISSUER, AUDIENCE = "https://id.example", "penstock"


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    d.file("public.pem", PUBLIC.decode())
    jwt = {"issuer": ISSUER, "audience": AUDIENCE, "keyFile": str(d.home / "public.pem")}
    roles = {"signer": ["scripts:execute:say", "scripts:read:say"]}
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0}, "auth": {"jwt": jwt, "roles": roles}}))
    d.script("say", "echo hi", {"additionalProperties": True})
    yield from running_api(d)


@pytest.fixture(scope="module")
def keeper(api: Api, shared_deployment: Deployment) -> Api:
    """May make keys, and little else to hand on."""
    return api.with_key(make_key(shared_deployment, "keeper", "keys:write", "tasks:read", "scripts:*"))


def made(api: Api, **body: Any) -> dict[str, Any]:
    answer = api.post("/keys", {"name": "made", "scopes": ["tasks:read"], **body})
    assert answer.status == 201, answer
    found: dict[str, Any] = answer.json
    return found


# --- me


def test_everybody_can_ask_who_they_are(api: Api, keeper: Api) -> None:
    assert keeper.get("/me").json == {
        "name": "keeper",
        "kind": "key",
        "scopes": ["keys:write", "scripts:*", "tasks:read"],
        "keyId": keeper.key and keeper.key.split("_")[1],
        "expiresAt": None,
    }
    key = made(api, role="signer", expiresIn="1h")
    mine = api.with_key(key["key"]).get("/me").json
    assert mine["scopes"] == ["scripts:execute:say", "scripts:read:say", "tasks:read"]
    assert mine["expiresAt"] == key["expiresAt"] is not None


# --- keys


def test_a_key_is_shown_once_and_works(api: Api, shared_deployment: Deployment) -> None:
    key = made(api, name="ci", scopes=["tasks:read", "scripts:read"], expiresIn="90d")
    assert (key["state"], key["name"], key["scopes"]) == ("active", "ci", ["scripts:read", "tasks:read"])
    assert (key["createdBy"], key["key"].split("_")[1]) == ("all", key["id"])
    assert api.with_key(key["key"]).get("/tasks").status == 200
    listed = api.get("/keys")
    found = next(each for each in listed.json["keys"] if each["id"] == key["id"])
    assert found.items() >= {k: v for k, v in key.items() if k not in ("key", "lastUsedAt")}.items()
    digest = hashlib.sha256(key["key"].encode()).hexdigest()
    assert key["key"].split("_", 2)[2].encode() not in listed.body and digest.encode() not in listed.body
    entry = next(e for e in audit_of(shared_deployment) if e.action == "keys.create" and e.target == key["id"])
    assert (entry.who, entry.result, entry.status) == ("all", "allowed", 201)
    assert entry.detail == "ci: scripts:read tasks:read"


def test_a_revoked_key_ends_at_once_and_twice_is_the_same(api: Api, shared_deployment: Deployment) -> None:
    key = made(api)
    asking = api.with_key(key["key"])
    assert asking.get("/me").status == 200
    for _ in range(2):
        assert api.delete(f"/keys/{key['id']}").status == 204
        assert asking.get("/me").error == (401, "unauthorized")
    assert any(e.action == "keys.revoke" and e.target == key["id"] for e in audit_of(shared_deployment))


def test_a_rotated_key_has_a_successor_of_the_same_rights(api: Api) -> None:
    key = made(api, name="rotated", role="signer")
    new = api.post(f"/keys/{key['id']}/rotate", {"overlap": "1h", "expiresIn": "30d"})
    assert new.status == 201
    assert {k: new.json[k] for k in ("name", "scopes", "role")} == {k: key[k] for k in ("name", "scopes", "role")}
    assert new.json["key"] != key["key"]
    assert api.with_key(key["key"]).get("/me").status == api.with_key(new.json["key"]).get("/me").status == 200
    old = next(each for each in api.get("/keys").json["keys"] if each["id"] == key["id"])
    assert old["replacedBy"] == new.json["id"] and old["expiresAt"]
    assert api.post(f"/keys/{key['id']}/rotate").error == (409, "not-active")
    at_once = api.post(f"/keys/{new.json['id']}/rotate", {"overlap": "0s"}).json
    assert api.with_key(new.json["key"]).get("/me").error == (401, "unauthorized")
    api.delete(f"/keys/{at_once['id']}")
    assert api.post(f"/keys/{at_once['id']}/rotate").error == (409, "not-active")


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": ["*"]},
        {"scopes": ["tasks:*"]},
        {"scopes": ["tasks:cancel"]},
        {"scopes": ["tasks:read", "audit:read"]},
        {"scopes": ["scripts*"]},
        {"scopes": [], "role": "admin"},
        {"scopes": [], "role": "reader"},
        {"scopes": ["tasks:read"], "role": "operator"},
    ],
)
def test_nobody_hands_on_what_they_do_not_hold(keeper: Api, shared_deployment: Deployment, body: Any) -> None:
    before = len(keeper.get("/keys").json["keys"])
    assert keeper.post("/keys", {"name": "more", **body}).error == (403, "not-allowed")
    assert len(keeper.get("/keys").json["keys"]) == before
    entry = audit_of(shared_deployment)[0]
    assert (entry.who, entry.action, entry.result) == ("keeper", "keys.create", "denied")


def test_who_holds_it_hands_it_on_also_by_a_role(keeper: Api) -> None:
    for body in ({"scopes": ["tasks:read:x", "scripts:execute:*"]}, {"scopes": [], "role": "signer"}):
        assert keeper.post("/keys", {"name": "less", **body}).status == 201


def test_a_stronger_key_is_neither_taken_over_nor_ended(api: Api, keeper: Api) -> None:
    strong = made(api, scopes=["*"])
    assert keeper.post(f"/keys/{strong['id']}/rotate").error == (403, "not-allowed")
    assert keeper.delete(f"/keys/{strong['id']}").error == (403, "not-allowed")
    assert api.with_key(strong["key"]).get("/keys").status == 200


def test_who_may_make_keys_may_rotate_and_end_their_own(api: Api) -> None:
    mine = made(api, scopes=["keys:write"])
    new = api.with_key(mine["key"]).post(f"/keys/{mine['id']}/rotate").json
    asking = api.with_key(new["key"])
    assert asking.delete(f"/keys/{new['id']}").status == 204
    assert asking.get("/me").status == 401


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"name": "a\nX-Y: 1"}, "/name"),
        ({"name": " "}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["tasks read"]}, "/scopes"),
        ({"scopes": ["a" * 201]}, "/scopes"),
        ({"scopes": ["tasks:read\n*"]}, "/scopes"),
        ({"scopes": ["tasks:read"] * 101}, "/scopes"),
        ({"scopes": "*"}, "/scopes"),
        ({"role": "nobody"}, "/role"),
        ({"role": "ADMIN"}, "/role"),
        ({"expiresIn": "0s"}, "/expiresIn"),
        ({"expiresIn": "-1d"}, "/expiresIn"),
        ({"expiresIn": "9999d"}, "/expiresIn"),
        ({"expiresIn": 5}, "/expiresIn"),
        ({"id": "aaaaaaaa"}, "/id"),
        ({"key": "penstock_x"}, "/key"),
    ],
)
def test_a_wrong_member_of_a_new_key_is_named(api: Api, body: Any, pointer: str) -> None:
    answer = api.post("/keys", {"name": "n", "scopes": ["tasks:read"], **body})
    assert answer.error == (422, "invalid-body")
    assert answer.pointers == [pointer]


def test_a_wrong_rotation_is_told(api: Api) -> None:
    key = made(api)
    for body, pointer in (
        ({"overlap": "never"}, "/overlap"),
        ({"overlap": None}, "/overlap"),
        ({"scopes": ["*"]}, "/scopes"),
        ({"expiresIn": "1ms"}, "/expiresIn"),
    ):
        answer = api.post(f"/keys/{key['id']}/rotate", body)
        assert (answer.error, answer.pointers) == ((422, "invalid-body"), [pointer])


# --- audit


def test_the_audit_is_read_with_filters_and_in_pages(api: Api, shared_deployment: Deployment) -> None:
    key = made(api, name="audited")
    api.with_key(None).get("/tasks")
    api.post("/scripts/say/execute", {"payload": {}})
    entries = api.get("/audit?action=keys.create&result=allowed&who=all").json["entries"]
    assert entries[0]["target"] == key["id"] and {entry["action"] for entry in entries} == {"keys.create"}
    assert set(entries[0]) == set(shared_deployment.penstock("audit", "--json").json["entries"][0])
    assert entries[0]["from"] == "127.0.0.1"
    ran = api.get("/audit?action=scripts&target=say").json["entries"][0]
    assert (ran["action"], ran["result"], len(ran["digest"])) == ("scripts.execute", "allowed", 64)
    assert api.get("/audit?result=denied&limit=1").json["entries"][0]["result"] == "denied"
    assert api.get("/audit?until=2020-01-01").json == {"entries": [], "next": None}
    at = entries[0]["at"]
    assert api.get(f"/audit?since={at}&until={at}&target={key['id']}").json["entries"] == entries[:1]
    whole = api.get("/audit?limit=200").json["entries"]
    paged, cursor = [], ""
    while True:
        page = api.get(f"/audit?limit=3{cursor}").json
        paged += page["entries"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert paged == whole


def test_the_audit_is_exported_as_lines(api: Api) -> None:
    answer = api.get("/audit?format=jsonl")
    assert answer.headers["content-type"] == "application/jsonl"
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.jsonl"'
    lines = [json.loads(line) for line in answer.body.decode("ascii").splitlines()]
    assert lines[:200] == api.get("/audit?limit=200").json["entries"]
    assert api.get("/audit?format=jsonl&who=nobody-at-all").body == b""


@pytest.mark.parametrize(
    "query",
    [
        *(
            "result=maybe",
            "limit=0",
            "limit=1001",
            "cursor=x",
            "cursor=1-1%0a",
            "action=keys*",
            "action=",
            "since=soon",
        ),
        *("format=csv", "who=", "who=" + "x" * 201, "verb=1", "format=jsonl&limit=5", "format=jsonl&cursor=1-1"),
    ],
)
def test_a_wrong_filter_of_the_audit_is_refused(api: Api, query: str) -> None:
    assert api.get(f"/audit?{query}").error == (400, "invalid-query")


def test_what_is_in_the_audit_comes_out_printable(api: Api, shared_deployment: Deployment) -> None:
    for path in ("/tasks/%0d%0aevil%1b%5b2J", "/scripts/" + "x" * 3000, "/keys/%e2%80%ae"):
        api.with_key("penstock_aaaaaaaa_" + "A" * 43).send("DELETE" if "keys" in path else "GET", path)
    answer = api.get("/audit?result=denied&limit=3")
    assert len(answer.body) < 5000
    for entry in answer.json["entries"]:
        assert all(value.isprintable() for value in entry.values() if isinstance(value, str))
    assert len(shared_deployment.penstock("audit", "--result", "denied", "--limit", "3").out.splitlines()) <= 4


# --- tokens


def pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def token(key: Ed25519PrivateKey = OURS, **claims: Any) -> str:
    now = int(time.time())
    new = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now + 600, "scopes": ["tasks:read"], **claims}
    header = {"alg": "EdDSA", "typ": "JWT"}
    signing = f"{part(header)}.{part(new)}"
    return f"{signing}.{b64(key.sign(signing.encode()))}"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def part(value: Any) -> str:
    return b64(json.dumps(value).encode())


def asks(api: Api, proof: str) -> Any:
    return api.with_key(None).get("/me", Authorization=f"Bearer {proof}")


def test_a_token_is_a_proof(api: Api) -> None:
    answer = asks(api, token(roles=["signer"]))
    assert (answer.json["name"], answer.json["kind"], answer.json["keyId"]) == ("ann", "jwt", None)
    assert answer.json["scopes"] == ["scripts:execute:say", "scripts:read:say", "tasks:read"]
    assert answer.json["expiresAt"]
    assert api.with_key(None).get("/keys", Authorization=f"Bearer {token()}").error == (403, "not-allowed")


def test_a_token_of_hostile_hands_is_none(api: Api) -> None:
    right = token()
    head, claims, signature = right.split(".")
    now = int(time.time())
    for secret in (PUBLIC, PUBLIC.strip(), OURS.public_key().public_bytes_raw(), b""):
        for alg in ("HS256", "HS512"):
            signing = f"{part({'alg': alg, 'typ': 'JWT'})}.{claims}"
            mac = hmac.new(secret, signing.encode(), alg.replace("HS", "sha")).digest()
            assert asks(api, f"{signing}.{b64(mac)}").error == (401, "unauthorized"), alg
    own = {"kty": "OKP", "crv": "Ed25519", "x": b64(THEIRS.public_key().public_bytes_raw())}
    for header in ({"alg": "EdDSA", "jwk": own}, {"alg": "EdDSA", "jku": "http://127.0.0.1:1/"}, {"alg": "none"}):
        signing = f"{part(header)}.{part({'iss': ISSUER, 'aud': AUDIENCE, 'sub': 'x', 'exp': now + 60})}"
        assert asks(api, f"{signing}.{b64(THEIRS.sign(signing.encode()))}").error[0] == 401, header
        assert asks(api, f"{signing}.").error[0] == 401, header
    for wrong in (
        token(THEIRS),
        token(exp=now - 3600),
        token(exp=None),
        token(iss="https://evil.example"),
        token(aud="other"),
        token(nbf=now + 3600),
        token(sub="a\nb"),
        f"{part({'alg': 'none'})}.{claims}.{signature}",
        f"{head}.{part({'sub': 'root', 'scopes': ['*']})}.{signature}",
        f"{head}.{claims}.{signature}.x",
        right + "=",
        "." * 3,
        right * 40,
    ):
        assert asks(api, wrong).error == (401, "unauthorized"), wrong[:80]
    assert asks(api, right).status == 200


def test_one_token_of_two_places_is_refused(api: Api) -> None:
    both = api.get("/me", Authorization=f"Bearer {token()}")
    assert both.error == (401, "unauthorized")
    assert api.with_key(None).get("/me", Authorization=f"Basic {b64(b'admin:admin')}").error[0] == 401
    assert api.with_key(None).get("/me", Cookie=f"X-API-Key={api.key}").error[0] == 401


def test_what_issues_tokens_issues_such(api: Api) -> None:
    new = NewToken(ISSUER, AUDIENCE, "bot", int(time.time()), 60, "one", scopes=("tasks:read",))
    assert asks(api, issue(new, private_key(pem(OURS)), ("EdDSA", "Ed25519"))).json["name"] == "bot"


# --- nothing of a proof is written down


def test_a_proof_in_an_odd_place_is_in_no_log_and_no_audit(api: Api, shared_deployment: Deployment) -> None:
    """Wherever somebody puts it by mistake: nobody who reads the logs or the audit shall be able to use it."""
    key = made(api, scopes=["*"])["key"]
    proof, secret = token(), key.split("_", 2)[2]
    odd = api.with_key(None)
    for text in (key, proof):
        odd.get(f"/tasks?api_key={text}")
        odd.get(f"/scripts/{text}")
        odd.get(f"/{text}")
        odd.get("/tasks", Authorization=text)
        odd.get("/tasks", Authorization=f"Token {text}")
        odd.get("/tasks", Authorization=f"Basic {b64(f'{text}:'.encode())}")
        odd.get("/tasks", X_API_Key=f" {text}x")
        odd.get("/tasks", Cookie=f"key={text}", Referer=f"http://x/{text}", User_Agent=text, X_Request_ID=text)
        odd.post("/scripts/say/execute", {"key": text})
        api.get(f"/tasks/{text}")
        api.get(f"/tasks?q={text}")
        api.post(f"/scripts/{text}/execute")
        api.with_key(text).get("/tasks/nothing")
        api.raw(f"GET /{text} HTTP/9.9\r\nHost: {text}\r\nX-API-Key: {text}\r\nConnection: close\r\n\r\n".encode())
        api.raw(f"{text}\r\n\r\n".encode())
    log = (shared_deployment.home / "up-of-the-test.log").read_text()
    said = json.dumps([str(entry) for entry in audit_of(shared_deployment)])
    for hidden in (secret, secret[:20], proof.split(".")[2], proof):
        assert hidden not in log
        assert hidden not in said
    assert "Traceback" not in log
