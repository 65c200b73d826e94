"""Values that keep a secret show it to nobody who prints them."""

from __future__ import annotations

import pprint

from engine.hiding import Hiding


class Token(Hiding, frozen=True):
    HIDDEN = frozenset({"text"})

    name: str
    text: str


def test_a_hidden_field_is_in_nothing_that_is_printed() -> None:
    token = Token("deploy", "s3cr3t")
    assert repr(token) == "Token(name='deploy')"
    assert token.__rich_repr__() == [("name", "deploy")]  # what the tracebacks of Rich print
    assert "s3cr3t" not in f"{token} {[token]} {pprint.pformat(token)} {ValueError(token)}"
