"""Audit: what is kept of who did what, and of what was refused. Pure; nothing here writes."""

from __future__ import annotations

import re
from typing import Any, Literal

from msgspec import Struct

from worker.model.access import Principal
from worker.model.command import PAYLOAD_BYTES
from worker.model.times import known_time

Result = Literal["allowed", "denied", "failed"]
RESULTS: tuple[Result, ...] = ("allowed", "denied", "failed")
ACTION = re.compile(r"[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)*\Z")
# What an operator ran is kept whole; of all else the detail is cut at the first.
DETAIL_CHARS = 1000
_COMMAND_CHARS = PAYLOAD_BYTES + DETAIL_CHARS
# The id of an entry, which is the cursor of a page too; a refusal ends with "r".
ENTRY_ID = re.compile(r"([0-9]{1,15})-([0-9]{1,19})(r?)\Z")
# An API key, of which the public id is kept, and a token, of which nothing is.
_PROOF = re.compile(
    r"(penstock_[a-z2-7]{8}_)[A-Za-z0-9_-]{16,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"
)


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One call that changed or ran something, or was refused.

    `at` (milliseconds by the store's clock) and `id` are given by the store when the entry is appended. `who` and
    `kind` are a principal's; for who did not prove anything, what was shown of the attempt, and the kind of proof or
    `none`. `key` is the public id of an API key, `from_` an address. `action` is a resource and a verb, such as
    `scripts.execute`; `target` the name or id it was about. `digest` is the SHA-256 of a payload in hex, `status` the
    HTTP status, where there was one.

    The result is `denied` for what was not allowed, `failed` for what was allowed and did not succeed. All text may
    come from outside: the store keeps it printable and short, and without keys and tokens.
    """

    who: str
    kind: str
    action: str
    result: Result
    target: str = ""
    key: str = ""
    from_: str = ""
    digest: str | None = None
    status: int | None = None
    detail: str = ""
    at: int = 0
    id: str = ""

    @classmethod
    def by(cls, principal: Principal, action: str, result: Result, target: str = "", **more: Any) -> AuditEntry:
        return cls(
            who=principal.name,
            kind=principal.kind,
            key=principal.key_id or "",
            action=action,
            result=result,
            target=target,
            **more,
        )

    @property
    def detail_chars(self) -> int:
        """How much of its detail is kept."""
        return _COMMAND_CHARS if self.action.startswith("commands.") else DETAIL_CHARS

    def document(self) -> dict[str, Any]:
        """As JSON, the same over HTTP and on the command line: what there is not is null."""
        return {
            "id": self.id,
            "at": known_time(self.at),
            "who": self.who or None,
            "kind": self.kind,
            "key": self.key or None,
            "from": self.from_ or None,
            "action": self.action,
            "target": self.target or None,
            "digest": self.digest,
            "result": self.result,
            "status": self.status,
            "detail": self.detail or None,
        }


def without_proofs(text: str) -> str:
    """The text, with `***` for what somebody would be let in with: it is sent in the wrong place by mistake."""
    return _PROOF.sub(lambda found: f"{found[1] or ''}***", text)


class AuditFilter(Struct, frozen=True, kw_only=True):
    """Which entries are wanted; None does not look. `since` and `until` are milliseconds, both included.

    `action` is a whole one (`keys.create`) or its first parts (`keys`).
    """

    who: str | None = None
    kind: str | None = None
    action: str | None = None
    target: str | None = None
    result: Result | None = None
    since: int | None = None
    until: int | None = None

    def takes(self, entry: AuditEntry) -> bool:
        return (
            (self.who is None or entry.who == self.who)
            and (self.kind is None or entry.kind == self.kind)
            and (self.action is None or f"{entry.action}.".startswith(f"{self.action}."))
            and (self.target is None or entry.target == self.target)
            and (self.result is None or entry.result == self.result)
            and (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at <= self.until)
        )


class AuditPage(Struct, frozen=True):
    """Entries, newest first. `next` continues after them, None at the end.

    A page may be short, or empty, and still have a `next`: only so many entries are looked at for one.
    """

    entries: tuple[AuditEntry, ...]
    next: str | None = None
