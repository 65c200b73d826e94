"""Denied: who asks has not proved who that is."""

from __future__ import annotations

from engine.errors import PenstockError


class Denied(PenstockError):
    """The message is for whoever asks, and says nothing that helps to guess.

    For the audit: `kind` is the proof that was tried (`key`, `jwt`, `basic`, or `none`), `tried` what was shown of
    it in the open, such as the public id of a key, and `detail` why it was refused. All of it may come from outside.
    """

    def __init__(self, message: str, *, kind: str = "none", tried: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.code = "unauthorized"
        self.kind = kind
        self.tried = tried
        self.detail = detail or message


class TooManyGuesses(PenstockError):
    """A password was not looked at: too many were tried from there, or are looked at just now. `wait_s`: seconds."""

    def __init__(self, wait_s: int) -> None:
        super().__init__("too many guesses at a password")
        self.wait_s = wait_s
