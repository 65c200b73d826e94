"""What a log may do to a terminal: colour its text, and nothing else."""

from __future__ import annotations

import os
import pty
import re
import select
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.system.conftest import Deployment
from worker.cli.terminal import TerminalText

ALLOWED = re.compile("\x1b\\[[0-9;:]*m|\r\n|[\n\t]")


def shown(*pieces: bytes) -> str:
    text = TerminalText()
    return "".join(text.feed(piece) for piece in pieces) + text.end()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"plain\n", "plain\n"),
        (b"\x1b[31mred\x1b[0m\n", "\x1b[31mred\x1b[0m\n\x1b[0m"),
        (b"\x1b]0;title\x07\n", "^[]0;title^G\n"),
        (b"\x1b[2J\x1b[H\n", "^[[2J^[[H\n"),
        (b"dos\r\n", "dos\r\n"),
        (b"[worker:error] bad\rall is well\n", "[worker:error] bad^Mall is well\n"),
        (b"\xc2\x9b31m\n", "<U+009B>31m\n"),
        (b"\x9b\xff\n", "\\x9b\\xff\n"),
        ("\u202eabc\n".encode(), "<U+202E>abc\n"),
        ("zażółć 🐢\n".encode(), "zażółć 🐢\n"),
        (b"\x00\x7f\n", "^@^?\n"),
        (b"\x1b", "^["),
    ],
)
def test_only_colors_and_line_ends_pass(written: bytes, expected: str) -> None:
    assert shown(written) == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_it_does_not_matter_where_the_stream_is_cut(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert shown(*pieces) == shown(data)


@given(
    st.lists(
        st.sampled_from(
            [b"\x1b", b"[", b"31", b"m", b"]0;", b"\x07", b"\r", b"\n", b"\xc2", b"\x9b", b"a", b"\xf0\x9f"]
        )
    )
)
def test_nothing_that_steers_a_terminal_is_left(pieces: list[bytes]) -> None:
    rest = ALLOWED.sub("", shown(*pieces))
    assert not {unicodedata.category(character) for character in rest} & {"Cc", "Cf", "Zl", "Zp"}


def test_a_real_terminal_gets_text_and_a_pipe_gets_bytes(deployment: Deployment) -> None:
    deployment.script("hostile", r"printf '\033]0;owned\007\033[2Jx\n'", plugins={"disabled": ["logHeader"]})
    master, slave = pty.openpty()
    try:
        process = deployment.start("exec", "hostile", stdout=slave)
        os.close(slave)
        written = b""
        while select.select([master], [], [], 30)[0]:
            try:
                written += os.read(master, 4096)
            except OSError:  # the other end is closed (EIO)
                break
        process.communicate(timeout=30)
    finally:
        os.close(master)
    assert written == b"^[]0;owned^G^[[2Jx\r\n"
