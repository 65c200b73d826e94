"""The file of keys by which secrets are encrypted at rest, and what is sealed with them."""

from __future__ import annotations

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from worker.auth.sealed import Sealed, key_id
from worker.auth.secret_keys import SecretKeys
from worker.model.sealing import Unsealable

PLACE = "schedule/nightly/payload for script/work"


def test_of_many_that_need_the_first_key_one_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "secrets.key"
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: SecretKeys(path).make().id, range(32)))
    [key] = SecretKeys(path).read()
    assert ids == {key.id} and key.use == "use"
    assert path.stat().st_mode & 0o777 == 0o600
    assert base64.b64encode(key.secret).decode() in path.read_text()
    assert repr(key.secret) not in repr(key)
    assert {each.name for each in path.parent.iterdir()} == {"secrets.key", ".secrets.key.lock"}


def test_a_rotation_takes_the_next_key_and_keeps_the_old_ones(tmp_path: Path) -> None:
    keys = SecretKeys(tmp_path / "secrets.key")
    sealed = Sealed(tmp_path / "secrets.key")
    first, text = keys.make(), sealed.seal(PLACE, b"clear")
    staged = keys.stage()
    assert keys.stage() == staged and keys.make() == first
    assert key_id(sealed.seal(PLACE, b"")) == first.id
    assert keys.rotate().id == staged.id == key_id(sealed.seal(PLACE, b""))
    third = keys.rotate()
    assert [(key.use, key.id) for key in keys.read()] == [("use", third.id), ("old", staged.id), ("old", first.id)]
    assert sealed.open(PLACE, text) == b"clear"
    assert (tmp_path / "secrets.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"use 0123456789abcdef AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",  # the id of other bytes
        b"old KEY",
        b"next KEY",
        b"use KEY\nuse KEY",
        b"use KEY extra",
        b"\x00\xff\xfe",
        b"a" * 100_000,
        b"{}",
    ],
)
def test_a_file_that_is_wrong_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secrets.key"
    SecretKeys(path).make()
    key = path.read_bytes().splitlines()[1].removeprefix(b"use ")
    keys = SecretKeys(path)
    keys.read()
    path.write_bytes(content.replace(b"KEY", key))
    for call in (keys.read, keys.make, keys.rotate, keys.stage):
        with pytest.raises(Unsealable) as caught:
            call()
        assert str(path) in str(caught.value) and key.decode().split()[1] not in str(caught.value)
    assert path.read_bytes() == content.replace(b"KEY", key)


def test_a_file_that_others_may_read_is_no_file_or_is_away_is_told(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    sealed = Sealed(path)
    text = sealed.seal(PLACE, b"clear")
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(Unsealable, match=f"mode {mode:04o}.*chmod 600"):
            sealed.open(PLACE, text)
    path.chmod(0o600)
    assert sealed.open(PLACE, text) == b"clear"
    path.rename(tmp_path / "away")
    with pytest.raises(Unsealable, match=f"the key {key_id(text)}, .*{path}: there is no such file. Copy"):
        sealed.open(PLACE, text)
    os.mkfifo(path, 0o600)
    with pytest.raises(Unsealable, match="no file"):
        sealed.open(PLACE, text)
    path.unlink()
    (tmp_path / "in").write_text("")
    with pytest.raises(Unsealable, match=r"cannot be (read|written)"):
        Sealed(tmp_path / "in" / "secrets.key").seal(PLACE, b"")


def test_what_is_sealed_opens_in_its_place_and_unchanged_only(tmp_path: Path) -> None:
    sealed = Sealed(tmp_path / "secrets.key")
    text = sealed.seal(PLACE, b"clear")
    assert sealed.seal(PLACE, b"clear") != text and "clear" not in text
    version, id, body = text.split(".")
    raw = bytearray(base64.urlsafe_b64decode(body))
    hostile = [
        "",
        "clear",
        f"{version}.{id}.",
        f"v2.{id}.{body}",
        text + "\n",
        f"{version}.{id}.AAAA",
        "." * 9,
        text[:-8],
    ]
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 1
        hostile.append(f"{version}.{id}.{base64.urlsafe_b64encode(changed).decode()}")
    for wrong in hostile:
        with pytest.raises(Unsealable):
            sealed.open(PLACE, wrong)
    with pytest.raises(Unsealable, match="belongs elsewhere"):
        sealed.open(PLACE.replace("nightly", "other"), text)
    assert sealed.open(PLACE, text) == b"clear"
