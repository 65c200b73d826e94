"""Audit in the store: two streams that are only ever appended to. There is no call that changes or removes an entry.

What was refused has a stream of its own: whoever floods us with wrong keys pushes out the refusals of others, and not
the record of what was done.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import merge
from itertools import islice
from typing import Any, cast

from msgspec.structs import replace
from redis.asyncio import Redis

from engine.log.text import printable
from worker.model.audit import ACTION, ENTRY_ID, RESULTS, AuditEntry, AuditFilter, AuditPage, Result, without_proofs
from worker.store import encoding
from worker.store.errors import InvalidName, store_errors
from worker.store.keys import AUDIT, AUDIT_FIELDS, AUDIT_REFUSED

PAGE_LIMIT = 1000
# About 300 bytes each.
KEPT = 100_000
REFUSED_KEPT = 20_000
# So many entries are looked at for one page, so that a filter that finds nothing does not read everything.
_LOOKED_AT = 5000
_BLOCK = 500
_MOST = {"who": 200, "kind": 20, "key": 20, "from_": 100, "action": 64, "target": 200, "digest": 64}

_Place = tuple[int, int, int]


class Audit:
    """The audit behind one connection pool; safe for any number of tasks of one event loop.

    An absent or full store raises StoreUnavailable. `kept` bounds what was done and what failed, `refused_kept` what
    was denied; both roughly.
    """

    def __init__(self, redis: Redis, *, kept: int = KEPT, refused_kept: int = REFUSED_KEPT) -> None:
        self._redis = redis
        self._kept = kept
        self._refused_kept = refused_kept

    async def append(self, entry: AuditEntry) -> AuditEntry:
        """Keep an entry; returns it as it is kept, with its time and id, its texts printable and cut.

        A call that was repeated because its answer was lost leaves two entries. Raises ValueError for an action that
        is none.
        """
        if not ACTION.match(entry.action) or entry.result not in RESULTS:
            raise ValueError(f"not an action and a result: {entry.action[:80]!a} {entry.result[:80]!a}")
        # Twice what is kept: what is hidden is shorter than it was, and nobody can make us look at a megabyte.
        bounds = {**_MOST, "detail": entry.detail_chars}
        cut = {n: printable(without_proofs((getattr(entry, n) or "")[: 2 * most]), most) for n, most in bounds.items()}
        values = {**cut, "result": entry.result, "status": "" if entry.status is None else str(entry.status)}
        refused = entry.result == "denied"
        with store_errors():
            at: Any = await self._redis.xadd(
                (AUDIT_REFUSED if refused else AUDIT).name,
                {short: encoding.text(values[name]) for name, short in AUDIT_FIELDS.items()},
                maxlen=self._refused_kept if refused else self._kept,
                approximate=True,
            )
        return _entry(at, {short.encode(): encoding.text(values[n]) for n, short in AUDIT_FIELDS.items()}, refused)

    async def read(
        self, wanted: AuditFilter = AuditFilter(), *, limit: int = 100, before: str | None = None
    ) -> AuditPage:
        """Entries that the filter takes, newest first; `before` is the `next` of a page."""
        if not 1 <= limit <= PAGE_LIMIT:
            raise ValueError(f"a page has 1 to {PAGE_LIMIT} entries, not {limit}")
        place = _place(before) if before is not None else None
        found: list[AuditEntry] = []
        for _ in range(_LOOKED_AT // _BLOCK):
            block = await self._block(wanted, place)
            for entry in block:
                place = _place(entry.id)
                if wanted.takes(entry):
                    found.append(entry)
                    if len(found) == limit:
                        return AuditPage(tuple(found), entry.id)
            if len(block) < _BLOCK:
                return AuditPage(tuple(found), None)
        assert place is not None
        return AuditPage(tuple(found), _id(place))

    async def _block(self, wanted: AuditFilter, place: _Place | None) -> list[AuditEntry]:
        """The next entries of both streams, in the one order of their places."""
        least = "-" if wanted.since is None else f"{max(0, wanted.since)}-0"
        streams = []
        if wanted.result != "denied":
            streams.append((AUDIT.name, False))
        if wanted.result in (None, "denied"):
            streams.append((AUDIT_REFUSED.name, True))
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name, refused in streams:
                pipeline.xrevrange(name, max=_most(wanted, place, refused), min=least, count=_BLOCK)
            with store_errors():
                answers = await pipeline.execute()
        lists: list[Iterable[AuditEntry]] = [
            [_entry(id, values, refused) for id, values in answer]
            for (_, refused), answer in zip(streams, answers, strict=True)
        ]
        return list(islice(merge(*lists, key=lambda entry: _place(entry.id), reverse=True), _BLOCK))


def _most(wanted: AuditFilter, place: _Place | None, refused: bool) -> str:
    """The last id of a stream that may come, with both ends of the time and the place before it in mind."""
    bounds = [] if wanted.until is None else [(wanted.until, 2**64 - 1)]
    if place is not None:
        ms, number, of_refused = place
        # Of two with the same id the refusal stands above the other.
        bounds.append((ms, number) if of_refused and not refused else _before(ms, number))
    if not bounds:
        return "+"
    ms, number = min(bounds)
    return "0-0" if ms < 0 else f"{ms}-{number}"


def _before(ms: int, number: int) -> tuple[int, int]:
    return (ms, number - 1) if number else (ms - 1, 2**64 - 1)


def _place(id: str) -> _Place:
    found = ENTRY_ID.match(id)
    if not found or int(found[2]) >= 2**63:
        raise InvalidName(f"not a cursor: {id[:40]!a}")
    return int(found[1]), int(found[2]), 1 if found[3] else 0


def _id(place: _Place) -> str:
    return f"{place[0]}-{place[1]}{'r' if place[2] else ''}"


def _entry(id: bytes, values: dict[bytes, bytes], refused: bool) -> AuditEntry:
    def text(name: str) -> str:
        return values.get(AUDIT_FIELDS[name].encode(), b"").decode("utf-8", "replace")

    status = text("status")
    entry = AuditEntry(
        who=text("who"),
        kind=text("kind"),
        key=text("key"),
        action=text("action"),
        result=cast("Result", text("result")),
        target=text("target"),
        from_=text("from_"),
        digest=text("digest") or None,
        status=int(status) if status else None,
        detail=text("detail"),
    )
    shown = id.decode()
    return replace(entry, at=int(shown.partition("-")[0]), id=shown + ("r" if refused else ""))
