"""A worker runs what its operator named, or what was approved with the right key, and nothing that looks like it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey

from engine.errors import DeclarationError
from worker.auth.approval import Approval, sign, verify
from worker.auth.token_issue import NewToken, issue
from worker.auth.token_keys import pem_keys
from worker.config.allow import Allowed, AllowList
from worker.model.registration import Registration
from worker.operations.admission import Verdict, admit
from worker.operations.approvals import Approvals, Approved

FILE = Registration("a", 1, {"path": "scripts/a.sh", "sha256": "f" * 64, "kind": "shell"})
BODY = Registration("a", 1, {"body": "echo", "type": "bash"})
BODY_SHA256 = hashlib.sha256(b"echo").hexdigest()
NOW_S = 1000.0


def judge(registration: Registration, **given: Any) -> Verdict:
    usual: dict[str, Any] = {"allowed": (), "approved": (), "inline": True, "isolation": True, "now_s": NOW_S}
    return admit(registration, **{**usual, **given})


def of(registration: Registration, **fields: Any) -> Approved:
    return Approved(**{"script": registration.name, "digest": registration.digest, "by": "ann", **fields})


@pytest.mark.parametrize(
    ("entry", "admitted", "pin"),
    [
        (Allowed("a", "scripts/a.sh"), True, None),
        (Allowed("a", "scripts/a.sh", "e" * 64), True, "e" * 64),
        (Allowed("a", "scripts/b.sh"), False, None),
        (Allowed("b", "scripts/a.sh"), False, None),
        (Allowed("a", "./scripts/a.sh"), False, None),
        (Allowed("a", None, "f" * 64), False, None),
    ],
)
def test_the_allow_list_has_to_name_script_and_file(entry: Allowed, admitted: bool, pin: str | None) -> None:
    verdict = judge(FILE, allowed=[entry])
    assert (verdict.admitted, verdict.sha256) == (admitted, pin)


def test_a_body_has_to_be_allowed_twice() -> None:
    assert judge(BODY, allowed=[Allowed("a", None, BODY_SHA256)]) == Verdict(True, "config/allow.yaml", BODY_SHA256)
    assert not judge(BODY, allowed=[Allowed("a", None, "e" * 64)]).admitted
    assert not judge(BODY, allowed=[Allowed("a", None, BODY_SHA256)], inline=False).admitted
    assert not judge(BODY, approved=[of(BODY)], inline=False).admitted
    assert judge(BODY, approved=[of(BODY)]).sha256 == BODY_SHA256


def test_an_approval_is_of_one_name_one_content_and_one_time() -> None:
    assert judge(FILE, approved=[of(FILE)]) == Verdict(True, "approved by ann", "f" * 64, None)
    assert judge(FILE, approved=[of(FILE, expires=1001)]).until_s == 1001
    for wrong in (of(FILE, expires=1000), of(FILE, script="b"), of(FILE, digest="0" * 64), of(BODY)):
        assert not judge(FILE, approved=[wrong]).admitted, wrong
    without = Registration("a", 1, {"path": "scripts/a.sh", "kind": "shell"})
    # Whatever stands in the store, an approved file is never run unchecked.
    assert judge(without, approved=[of(without)]).sha256 == ""


def test_isolation_and_browsers() -> None:
    apart = Registration("a", 1, {**FILE.declaration, "runner": "isolated"})
    assert judge(apart, approved=[of(apart)]).admitted
    assert not judge(apart, approved=[of(apart)], isolation=False).admitted
    page = Registration("a", 1, {"body": "x", "type": "browser"})
    assert "page" in judge(page, approved=[of(page)]).why and not judge(page, approved=[of(page)]).admitted


# --- signatures


KEY, OTHER = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
CURVE = ECKey.generate_key("P-256")


def public(key: Any) -> bytes:
    pem: bytes = key.as_pem(private=False)
    return pem


def test_what_was_signed_with_the_key_is_read_back() -> None:
    approval = Approval("a", "f" * 64, "ann", 5, 6)
    for key in (KEY, CURVE):
        assert verify(sign(approval, key), pem_keys(public(key))) == approval


def forged() -> dict[str, str]:
    good = sign(Approval("a", "f" * 64, "ann", 5), KEY)
    header, payload, signature = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"penstock-approval"}').rstrip(b"=").decode()
    other = base64.urlsafe_b64encode(b'{"script":"a","digest":"0","by":"x","iat":1}').rstrip(b"=").decode()
    token = NewToken("i", "a", "s", 1, 10**9, "id")
    return {
        "another key": sign(Approval("a", "f" * 64, "ann", 5), OTHER),
        "another payload": f"{header}.{other}.{signature}",
        "no algorithm": f"{none}.{payload}.",
        "no algorithm, a signature": f"{none}.{payload}.{signature}",
        "a token": issue(token, KEY, ["EdDSA"]),
        "cut": good[:-4],
        "a newline": good + "\n",
        "text": "$(touch x)",
        "nothing": "",
        "long": "a" * 5000 + "." + payload + "." + signature,
    }


@pytest.mark.parametrize("what", list(forged()))
def test_what_was_not_signed_so_is_no_approval(what: str) -> None:
    assert verify(forged()[what], pem_keys(public(KEY))) is None


def test_a_worker_asks_a_child_and_hears_of_a_new_key(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    good = sign(Approval("a", "f" * 64, "ann", 5, 6), KEY)
    texts = [good, *forged().values()]

    async def scene() -> None:
        assert await Approvals(None).of(texts) == dict.fromkeys(texts)
        approvals = Approvals(path)
        assert (await approvals.of(texts)).get(good) is None
        path.write_bytes(public(KEY))
        assert approvals.changed()
        found = await approvals.of(texts)
        assert found[good] == Approved("a", "f" * 64, "ann", 6)
        assert [text for text, each in found.items() if each] == [good]
        assert not approvals.changed()
        path.write_bytes(public(CURVE))
        assert (await approvals.of(texts))[good] is None
        path.write_bytes(b"no key")
        assert (await approvals.of(texts)).get(good) is None

    asyncio.run(scene())


# --- config/allow.yaml


def test_the_allow_list_is_read_again_and_a_wrong_one_allows_nothing(tmp_path: Path) -> None:
    allow = AllowList(tmp_path)
    assert allow.read() == () and not allow.changed()
    path = tmp_path / "config" / "allow.yaml"
    path.parent.mkdir()
    path.write_text(json.dumps({"scripts": [{"name": "a", "path": "scripts/a.sh"}]}))
    assert allow.changed() and allow.read() == (Allowed("a", "scripts/a.sh"),)
    for wrong in ("scripts: [{name: a}]", "scripts: [{name: a, path: x, sha256: ABC}]", "script: []", "{", "- a"):
        path.write_text(wrong)
        with pytest.raises(DeclarationError):
            allow.read()
        assert allow.read() == ()
    path.unlink()
    assert allow.read() == ()


def test_check_tells_of_a_wrong_allow_list_and_key(tmp_path: Path) -> None:
    from worker.cli.check import _checked

    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "allow.yaml").write_text("scripts: [{name: a}]")
    (tmp_path / "config" / "penstock.yaml").write_text("worker: {approvalKeyFile: config/key}")
    (tmp_path / "config" / "key").write_bytes(KEY.as_pem(private=True))
    _, problems = _checked(tmp_path)
    assert [problem.pointer for problem in problems] == ["/worker/approvalKeyFile", "/scripts/0"]
    assert "PRIVATE" not in str(problems)
    (tmp_path / "config" / "allow.yaml").unlink()
    (tmp_path / "config" / "key").write_bytes(public(KEY))
    assert _checked(tmp_path) == ([], [])
