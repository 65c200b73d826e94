"""Shared files: what lies below a shared folder is read, and nothing that a name or a link leads to elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker.operations.shared_files import NoSharedFile, NotText, TooLarge, list_all, list_shared, read_shared


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    shared, secret = tmp_path / "shared", tmp_path / "secret.txt"
    (shared / "deep").mkdir(parents=True)
    secret.write_text("secret")
    (shared / "a.txt").write_text("grüße\n")
    (shared / "deep" / "b c.txt").write_text("b")
    (shared / "large").write_text("x" * 101)
    (shared / "binary").write_bytes(b"\xff\x00")
    (shared / "link").symlink_to(secret)
    (shared / "inner").symlink_to("a.txt")
    (shared / "up").symlink_to("..")
    os.link(secret, shared / "hard")
    os.mkfifo(shared / "pipe")
    (tmp_path / "name").symlink_to(shared)
    return {"s": shared, "by-link": tmp_path / "name", "gone": tmp_path / "gone", "file": secret}


def read(folders: dict[str, Path], name: str) -> str:
    return read_shared(folders, name, max_bytes=100)


def test_text_is_read_up_to_its_bound(folders: dict[str, Path]) -> None:
    assert read(folders, "s/a.txt") == read(folders, "by-link/a.txt") == "grüße\n"
    assert read(folders, "s/deep/b c.txt") == "b"
    with pytest.raises(TooLarge):
        read(folders, "s/large")
    with pytest.raises(NotText):
        read(folders, "s/binary")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "s/link",
            "s/inner",
            "s/up/secret.txt",
            "s/hard",
            "s/pipe",
            "s/deep",
            "s",
            "s/",
            "s/none",
            "gone/a",
            "file/a",
        ),
        *("s/../secret.txt", "../secret.txt", "/etc/passwd", "s//etc/passwd", "s/./a.txt", "s/a.txt/", "s/a.txt/x"),
        *("", ".", "..", "/", "s/a.txt\0", "s/\ud800", "s/a\n", "x" * 5000, "s/" + "a/" * 2000 + "a", "other/a.txt"),
    ],
)
def test_no_name_leads_elsewhere(folders: dict[str, Path], name: str) -> None:
    with pytest.raises(NoSharedFile):
        read(folders, name)


def test_a_list_has_what_can_be_read(folders: dict[str, Path]) -> None:
    found, complete = list_shared(folders, "s")
    assert complete and [file.name for file in found] == ["s/a.txt", "s/binary", "s/deep/b c.txt", "s/large"]
    assert [file.name for file in list_shared(folders, "s/deep")[0]] == ["s/deep/b c.txt"]
    for name in ("gone", "file", "s/up", "s/..", "other", "", "s/a.txt"):
        with pytest.raises(NoSharedFile):
            list_shared(folders, name)
    assert {file.name.partition("/")[0] for file in list_all(folders, None)[0]} == {"s", "by-link"}
