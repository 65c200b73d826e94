"""Audit: everything that was appended is read, newest first, in bounds, whatever is in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from worker.embedded import Embedded
from worker.model.audit import AuditEntry, AuditFilter, without_proofs
from worker.store import InvalidName, connect
from worker.store.audit import Audit
from worker.store.keys import AUDIT, AUDIT_REFUSED

DONE = AuditEntry(who="ann", kind="key", action="scripts.execute", result="allowed", target="sign-file")
REFUSED = replace(DONE, result="denied", status=403, detail="scripts:execute:sign-file is missing")


@pytest.fixture
def play_audit(store: Embedded) -> Callable[..., Any]:
    """Runs a coroutine function with the empty audit in an event loop of its own."""

    def run(scene: Callable[[Audit], Awaitable[Any]], **bounds: int) -> Any:
        async def with_audit() -> Any:
            client = connect(store.url)
            try:
                return await scene(Audit(client, **bounds))
            finally:
                await client.aclose()

        return asyncio.run(with_audit())

    return run


def test_an_entry_comes_back_as_it_was_kept(play_audit: Callable[..., Any]) -> None:
    async def scene(audit: Audit) -> None:
        full = replace(DONE, from_="::1", digest="ab" * 32, status=202, detail="Übung")
        kept = await audit.append(full)
        assert kept == replace(full, at=kept.at, id=kept.id) and kept.at > 10**12
        page = await audit.read()
        assert (page.entries, page.next) == ((kept,), None)
        refused = await audit.append(REFUSED)
        assert refused.id.endswith("r")
        assert (await audit.read()).entries == (refused, kept)

    play_audit(scene)


def test_pages_go_through_both_streams_in_one_order_without_gap_or_double(play_audit: Callable[..., Any]) -> None:
    async def scene(audit: Audit) -> None:
        entries = [REFUSED if n % 3 else DONE for n in range(40)]
        kept = [await audit.append(replace(entry, target=f"t{n}")) for n, entry in enumerate(entries)]
        for limit in (1, 7, 39, 40, 41):
            seen, before = [], None
            while True:
                page = await audit.read(limit=limit, before=before)
                seen += page.entries
                if (before := page.next) is None:
                    break
            assert len(seen) == 40 and set(seen) == set(kept)
            assert [entry.at for entry in seen] == sorted((entry.at for entry in seen), reverse=True)

    play_audit(scene)


@pytest.mark.parametrize(
    ("wanted", "targets"),
    [
        (AuditFilter(), ["d", "c", "b", "a"]),
        (AuditFilter(who="bob"), ["b"]),
        (AuditFilter(kind="jwt"), ["c"]),
        (AuditFilter(action="keys"), ["d"]),
        (AuditFilter(action="keys.create"), ["d"]),
        (AuditFilter(action="key"), []),
        (AuditFilter(target="a"), ["a"]),
        (AuditFilter(result="denied"), ["c"]),
        (AuditFilter(result="allowed"), ["d", "b", "a"]),
        (AuditFilter(result="failed"), []),
        (AuditFilter(until=0), []),
        (AuditFilter(until=-1), []),
        (AuditFilter(since=10**14), []),
        (AuditFilter(who="*"), []),
    ],
)
def test_a_filter_takes_what_it_names(play_audit: Callable[..., Any], wanted: AuditFilter, targets: list[str]) -> None:
    async def scene(audit: Audit) -> None:
        await audit.append(replace(DONE, target="a"))
        await audit.append(replace(DONE, target="b", who="bob"))
        await audit.append(replace(REFUSED, target="c", kind="jwt"))
        await audit.append(replace(DONE, target="d", action="keys.create"))
        found = (await audit.read(wanted)).entries
        assert sorted(entry.target for entry in found) == sorted(targets)

    play_audit(scene)


def test_a_time_span_has_both_ends(play_audit: Callable[..., Any]) -> None:
    async def scene(audit: Audit) -> None:
        kept = [await audit.append(entry) for entry in (DONE, REFUSED, DONE)]
        first, last = kept[0].at, kept[-1].at
        assert len((await audit.read(AuditFilter(since=first, until=last))).entries) == 3
        assert all(entry.at > first for entry in (await audit.read(AuditFilter(since=first + 1))).entries)

    play_audit(scene)


def test_hostile_text_is_one_printable_bounded_line(play_audit: Callable[..., Any]) -> None:
    hostile = 'evil\r\n2026-01-01 admin "allowed"\x1b[2J\x00\u202e\ud800' + "x" * 1_000_000

    async def scene(audit: Audit) -> None:
        await audit.append(
            replace(DONE, who=hostile, from_=hostile, target=hostile, detail=hostile, kind=hostile, digest=hostile)
        )
        [entry] = (await audit.read()).entries
        texts = [entry.who, entry.from_, entry.target, entry.detail, entry.kind, entry.digest or ""]
        assert all(text.isprintable() and len(text) <= 1001 for text in texts)
        assert entry.who.startswith("evil\\r\\n2026-01-01 admin")

    play_audit(scene)


def test_an_action_or_result_that_is_none_is_refused(play_audit: Callable[..., Any]) -> None:
    async def scene(audit: Audit) -> None:
        for action in ("", "Keys.create", "keys..create", "keys create", "keys.create\n"):
            with pytest.raises(ValueError):
                await audit.append(replace(DONE, action=action))
        with pytest.raises(ValueError):
            await audit.append(replace(DONE, result="maybe"))  # type: ignore[arg-type]

    play_audit(scene)


@pytest.mark.parametrize("cursor", ["", "-", "1", "1-1\n", "1-1x", "(1-1", "+", "9" * 20 + "-1", "1-" + "9" * 19, "$"])
def test_what_is_no_cursor_is_refused(play_audit: Callable[..., Any], cursor: str) -> None:
    async def scene(audit: Audit) -> None:
        with pytest.raises(InvalidName):
            await audit.read(before=cursor)

    play_audit(scene)


def test_a_flood_of_refusals_pushes_out_only_refusals(play_audit: Callable[..., Any], store: Embedded) -> None:
    async def scene(audit: Audit) -> None:
        await audit.append(DONE)
        for _ in range(10):
            await asyncio.gather(*(audit.append(REFUSED) for _ in range(100)))
        assert len((await audit.read(AuditFilter(result="allowed"))).entries) == 1

    play_audit(scene, kept=100, refused_kept=100)
    with redis.Redis.from_url(store.url, protocol=2) as client:
        # Redis trims whole nodes of a hundred.
        assert client.xlen(AUDIT_REFUSED.name) <= 300 and client.xlen(AUDIT.name) == 1


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("penstock_aaaaaaaa_" + "x" * 43, "penstock_aaaaaaaa_***"),
        ("a task penstock_aaaaaaaa_" + "x" * 20 + " and more", "a task penstock_aaaaaaaa_*** and more"),
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "***"),
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "***"),
        ("penstock_aaaaaaaa", "penstock_aaaaaaaa"),
        ("eyJ is no token. Nor is this.", "eyJ is no token. Nor is this."),
    ],
)
def test_a_key_or_token_in_the_wrong_place_is_not_kept(text: str, kept: str) -> None:
    assert without_proofs(text) == kept
