"""Admission: whether a worker runs a version of a registered script. By its operator's word only; pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from worker.config.allow import Allowed
from worker.model.registration import Registration
from worker.operations.approvals import Approved

_NEITHER = "neither config/allow.yaml nor an approval admits it here"


class Verdict(Struct, frozen=True):
    """`why` it is admitted, or is not. `sha256`: what its program has to be when it starts; None: whatever it is.

    It holds until `until_s`, seconds since the epoch, if that is given.
    """

    admitted: bool
    why: str
    sha256: str | None = None
    until_s: float | None = None


def admit(
    registration: Registration,
    *,
    allowed: Iterable[Allowed],
    approved: Iterable[Approved],
    inline: bool,
    isolation: bool,
    now_s: float,
) -> Verdict:
    """`inline`: bodies are run here; `isolation`: bubblewrap works here."""
    if registration.in_browser:
        return Verdict(False, "it runs in a page only")
    if registration.path is None and not inline:
        return Verdict(False, "worker.allowInlineBodies is off here")
    if registration.declaration.get("runner") == "isolated" and not isolation:
        return Verdict(False, "it is to run isolated, and bubblewrap cannot be had here")
    digest = registration.digest
    expired = False
    for each in approved:
        if each.script == registration.name and each.digest == digest:
            if each.expires is None or now_s < each.expires:
                return Verdict(True, f"approved by {each.by}", registration.sha256, each.expires)
            expired = True
    other = False
    for entry in allowed:
        if entry.name != registration.name or entry.path != registration.path:
            continue
        if registration.path is not None or entry.sha256 == registration.sha256:
            return Verdict(True, "config/allow.yaml", entry.sha256)
        other = True
    if expired:
        return Verdict(False, "its approval has expired")
    return Verdict(False, "config/allow.yaml names it with another SHA-256" if other else _NEITHER)
