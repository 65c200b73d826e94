"""Keys, tokens and the audit from the terminal, with one `penstock up` for all tests of this file."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.system.conftest import Deployment, running_up
from tests.system.site import eventually
from tests.system.test_docs import fits
from worker.auth.password import PasswordHash
from worker.model.api_key import KEY_TEXT

pytestmark = pytest.mark.xdist_group("cli-access")

SETTINGS = """
auth:
  jwt: {issuer: https://id.example, audience: penstock, keyFile: config/token-key.pub}
  roles: {signer: [scripts:execute:sign-file, tasks:read]}
"""


@pytest.fixture(scope="module")
def site(shared_deployment: Deployment) -> Iterator[Deployment]:
    site = shared_deployment
    for name in ("token-key", "other-key"):
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        site.file(f"config/{name}.pem", pem.decode())
        site.file(f"config/{name}.pub", public.decode())
    site.file("config/penstock.yaml", SETTINGS)
    site.script("echo", "cat", {"type": "object", "additionalProperties": True})
    site.script("guarded", "cat", {"type": "object", "additionalProperties": True}, allowedScopes=["release:sign"])
    yield site


@pytest.fixture(scope="module", autouse=True)
def up(site: Deployment) -> Iterator[subprocess.Popen[bytes]]:
    yield from running_up(site)


def audit(site: Deployment, *arguments: str) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = fits("audit", site.penstock("audit", "--json", *arguments).out)["entries"]
    return entries


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(site: Deployment) -> None:
    made = site.penstock(
        "keys", "create", "ci", "--scope", "scripts:execute:echo", "--scope", "tasks:read", "--for", "90d"
    )
    text = made.out.strip()
    assert made.code == 0 and KEY_TEXT.match(text)
    id, secret = text.split("_", 2)[1:]
    assert secret not in made.err and "nobody can show it again" in made.err
    listed = site.penstock("keys", "list")
    assert id in listed.out and secret not in listed.out
    [key] = [one for one in fits("keys", site.penstock("keys", "list", "--json").out)["keys"] if one["id"] == id]
    assert (key["name"], key["state"], key["scopes"]) == ("ci", "active", ["scripts:execute:echo", "tasks:read"])
    revoked = site.penstock("keys", "revoke", id, "zzzzzzzz", "../x\x1b[2J", "--json")
    assert revoked.code == 66
    assert [one["outcome"] for one in fits("keys-revoked", revoked.out)["keys"]] == ["revoked", "unknown", "unknown"]
    assert id not in site.penstock("keys", "list").out
    assert "revoked" in site.penstock("keys", "list", "--all").out
    actions = [(one["action"], one["result"]) for one in audit(site, "--target", id)]
    assert actions == [("keys.revoke", "allowed"), ("keys.create", "allowed")]
    assert secret not in site.penstock("audit").out


def test_a_key_is_rotated(site: Deployment) -> None:
    old = fits("key-made", site.penstock("keys", "create", "bot", "--role", "signer", "--json").out)
    new = fits("key-made", site.penstock("keys", "rotate", old["id"], "--overlap", "1h", "--json").out)
    assert (new["name"], new["role"]) == ("bot", "signer") and new["key"] != old["key"]
    [before] = [k for k in json.loads(site.penstock("keys", "list", "--json").out)["keys"] if k["id"] == old["id"]]
    assert (before["state"], before["replacedBy"]) == ("active", new["id"])
    assert site.penstock("keys", "rotate", old["id"]).code == 66
    assert site.penstock("keys", "rotate", new["id"], "--now").code == 0
    assert new["id"] not in site.penstock("keys", "list").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "ci"], "scopes or a role"),
        (["create", "ci", "--role", "opertor"], "did you mean operator?"),
        (["create", "a\nb", "--role", "admin"], "printable"),
        (["rotate", "x", "--now", "--overlap", "1h"], "exclude"),
    ],
)
def test_a_key_that_cannot_be_is_refused(site: Deployment, arguments: list[str], told: str) -> None:
    done = site.penstock("keys", *arguments)
    assert (done.code, done.out) == (64, "") and told in done.err


def test_a_password_is_hashed_from_stdin(site: Deployment) -> None:
    done = site.penstock("keys", "hash-password", stdin="correct horse Übung\n".encode())
    assert PasswordHash.parse(done.out).matches("correct horse Übung".encode())
    short = site.penstock("keys", "hash-password", stdin=b"hunter2\n")
    assert short.code == 65 and "hunter2" not in short.err


def test_a_token_is_issued_and_shown(site: Deployment) -> None:
    key = str(site.home / "config" / "token-key.pem")
    done = site.penstock("tokens", "issue", "bot", "--key-file", key, "--role", "signer", "--for", "5m", "--json")
    token = fits("token", done.out)["token"]
    shown = site.penstock("tokens", "show", "--json", stdin=token.encode())
    document = fits("token-shown", shown.out)
    assert (shown.code, document["valid"], document["claims"]["sub"]) == (0, True, "bot")
    assert document["principal"] == {"name": "bot", "scopes": ["scripts:execute:sign-file", "tasks:read"]}
    changed = token[:-8] + ("AAAAAAA" if token[-8] != "A" else "BBBBBBB") + token[-1]
    wrong = site.penstock("tokens", "show", stdin=changed.encode())
    assert wrong.code == 77 and "signature" in wrong.err and "sub:" in wrong.out
    assert site.penstock("tokens", "show", stdin=b"\xff\xfe" + b"x" * 100_000).code == 65
    other = site.penstock("tokens", "issue", "bot", "--key-file", str(site.home / "config" / "other-key.pem"))
    assert other.code == 65 and "is not in" in other.err
    public = site.penstock("tokens", "issue", "bot", "--key-file", str(site.home / "config" / "token-key.pub"))
    assert public.code == 65 and "no private key" in public.err


def test_what_is_run_cancelled_and_refused_is_kept_with_who_did_it(site: Deployment) -> None:
    ran = json.loads(site.penstock("run", "echo", "--json", "-q", "--id", "audited").out)
    assert ran["submittedBy"] and ran["submittedFrom"] is None
    assert site.penstock("submit", "echo", "--id", "audited", "-p", "other=1").code == 65
    assert site.penstock("cancel", "audited", "no-such-task").code == 66
    assert site.penstock("dead-letters", "drop", "f" * 24).code == 66
    entries = audit(site, "--who", ran["submittedBy"])
    kept = [(e["action"], e["target"], e["result"], e["kind"], e["detail"]) for e in entries][:5]
    assert kept == [
        ("dead-letters.drop", "f" * 24, "failed", "local", None),
        ("tasks.cancel", "no-such-task", "failed", "local", "unknown"),
        ("tasks.cancel", "audited", "failed", "local", "final"),
        ("scripts.execute", "echo", "failed", "local", "conflict"),
        ("scripts.execute", "echo", "allowed", "local", "audited"),
    ]
    assert entries[4]["digest"] == ran["digest"]
    assert [e["action"] for e in audit(site, "--action", "dead-letters")] == ["dead-letters.drop"]
    assert audit(site, "--since", "1970-01-01T00:00Z", "--until", "1970-01-02T00:00Z") == []
    assert site.penstock("audit", "--before", "nonsense").code == 64
    assert f"by:       {ran['submittedBy']}" in site.penstock("show", "audited").out


def test_the_audit_is_exported_to_a_new_file_for_its_owner_alone(site: Deployment) -> None:
    path = site.home / "export.jsonl"
    assert site.penstock("audit", "--export", str(path)).code == 0
    lines = path.read_text().splitlines()
    assert lines and all(json.loads(line)["action"] for line in lines)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    again = site.penstock("audit", "--export", str(path))
    assert again.code == 73 and path.read_text().splitlines() == lines
    assert len(site.penstock("audit", "--export", "-").out.splitlines()) >= len(lines)


def test_a_script_with_allowed_scopes_runs_for_who_is_known_and_not_for_a_plain_message(site: Deployment) -> None:
    assert site.penstock("run", "guarded", "-q", "-p", "a=b").code == 0
    push = (
        "import json, redis, sys\n"
        "message = {'body': json.dumps([[], {'a': 1}, {}]), 'content-type': 'application/json',\n"
        " 'content-encoding': 'utf-8', 'headers': {'task': 'penstock.guarded', 'id': 'plain-1'}, 'properties':\n"
        " {'delivery_tag': 'plain-1', 'delivery_info': {'exchange': '', 'routing_key': 'penstock'}, 'priority': 0}}\n"
        "redis.Redis(unix_socket_path=sys.argv[1]).lpush('penstock', json.dumps(message))\n"
    )
    subprocess.run([sys.executable, "-c", push, str(site.home / ".penstock/store/store.sock")], check=True)

    def ended() -> dict[str, object] | None:
        done = site.penstock("show", "plain-1", "--json")
        found = json.loads(done.out) if done.code == 0 else {}
        return found if found.get("finishedAt") else None

    task = eventually(ended, "the end of the message")
    assert (task["status"], task["reason"]) == ("exception", "not-allowed")
    assert task["submittedBy"] is None and task["exitCode"] is None and "release:sign" in str(task["message"])
