"""The records: who may change what, when, and what a second call does. Played on a real server."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from worker.embedded import Embedded
from worker.model.answers import (
    Cancelled,
    CancelOutcome,
    Claimed,
    Hint,
    Refusal,
    Refused,
    Registered,
    Resolved,
    ResolveOutcome,
)
from worker.model.status import Status
from worker.model.task import ArtifactRecord, Claim, NewTask, Resolution, Task
from worker.store import (
    InvalidName,
    Records,
    StoreError,
    StoreLimits,
    StoreUnavailable,
    connect,
)

Play = Callable[[Callable[[Records], Awaitable[Any]]], Any]
WORKER = "worker@host"
DONE = Resolution(Status.COMPLETED, exit_code=0, duration_ms=5)
DEADLINE_S = 20


def new(id: str = "t1", payload: bytes = b'{"file":"README.md"}', **fields: Any) -> NewTask:
    values: dict[str, Any] = {
        "script": "sign-file",
        "shown": '{"file":"README.md"}',
        "digest": hashlib.sha256(payload).hexdigest(),
        "queue": "penstock",
        "trigger": "cli",
    }
    return NewTask(id=id, payload=payload, **(values | fields))


async def claimed(records: Records, task_id: str = "t1", lease_s: float = 60, worker: str = WORKER) -> Claimed:
    answer = await records.claim(task_id, worker, lease_s)
    assert isinstance(answer, Claimed), answer
    return answer


async def task(records: Records, task_id: str = "t1") -> Task:
    found = await records.get(task_id)
    assert found is not None
    return found


async def prune(records: Records, **bounds: Any) -> tuple[str, ...]:
    """Both halves of it at once."""
    found = await records.prunable(**bounds)
    assert await records.forget(found) == len(found)
    assert await records.forget(found) == 0
    return tuple(task.task_id for task in found)


def test_a_task_goes_from_registered_to_completed_with_everything_recorded(play: Play) -> None:
    async def scene(records: Records) -> None:
        made = new(tags=("a", "ä"), trigger="api", retries=2, shown='{"file":"README.md","n":18446744073709551617}')
        assert (await records.register(made)).outcome is Registered.CREATED
        pending = await task(records)
        assert (pending.status, pending.runs[0].status, pending.retries) == (Status.PENDING, Status.PENDING, 2)
        assert pending.payload == {"file": "README.md", "n": 2**64 + 1}
        assert (pending.tags, pending.trigger, pending.queue) == (("a", "ä"), "api", "penstock")
        grant = await claimed(records)
        assert (grant.payload, grant.script, grant.retries) == (made.payload, "sign-file", 2)
        running = await task(records)
        assert (running.status, running.runs[0].worker) == (Status.RUNNING, WORKER)
        artifact = ArtifactRecord("public/ä.txt", 5, "0" * 64, "text/plain", True)
        end = Resolution(
            Status.FAILED,
            "exit-code",
            "exit code 1: ünïcode \ud800",
            exit_code=1,
            duration_ms=7,
            log_bytes=2**40,
            log_truncated=True,
            artifacts=(artifact,),
        )
        assert await records.resolve(grant.claim, end) == Resolved(ResolveOutcome.RECORDED)
        final = await task(records)
        run = final.runs[0]
        assert (final.status, final.reason, final.message) == (Status.FAILED, "exit-code", end.message)
        assert (run.exit_code, run.signal, run.duration_ms) == (1, None, 7)
        assert (run.log_bytes, run.log_truncated, run.artifacts) == (2**40, True, (artifact,))
        assert run.created_at is not None and run.claimed_at is not None and run.started_at is not None
        assert final.finished_at == run.finished_at
        assert final.created_at <= run.created_at <= run.claimed_at <= run.started_at <= (run.finished_at or 0)
        assert await records.payload("t1") is None
        kinds = [(event.kind, event.status, event.worker) for event in await records.events("0", block_ms=None)]
        assert kinds == [
            ("registered", Status.PENDING, None),
            ("claimed", Status.RUNNING, WORKER),
            ("resolved", Status.FAILED, WORKER),
        ]

    play(scene)


def test_registering_twice_changes_nothing(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new())
        before = await task(records)
        assert (await records.register(new(queue="other"))).outcome is Registered.SAME
        assert await task(records) == before
        await records.resolve((await claimed(records)).claim, DONE)
        before = await task(records)
        assert (await records.register(new())).outcome is Registered.SAME
        assert await task(records) == before
        assert await records.payload("t1") is None

    play(scene)


@pytest.mark.parametrize("other", [new(payload=b"{}"), new(script="other")])
def test_an_id_in_use_is_a_conflict_and_the_first_task_is_unharmed(play: Play, other: NewTask) -> None:
    async def scene(records: Records) -> None:
        await records.register(new())
        before = await task(records)
        assert (await records.register(other)).outcome is Registered.CONFLICT
        assert await records.claim("t1", WORKER, 60, other) == Refused(Refusal.CONFLICT, Status.PENDING)
        assert await task(records) == before
        assert await records.payload("t1") == new().payload

    play(scene)


def test_of_many_claims_at_once_exactly_one_is_granted(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new())
        answers = await asyncio.gather(*(records.claim("t1", f"w{n}", 60) for n in range(20)))
        assert sum(isinstance(answer, Claimed) for answer in answers) == 1
        refused = {answer for answer in answers if isinstance(answer, Refused)}
        assert refused == {Refused(Refusal.BUSY, Status.RUNNING)}

    play(scene)


def test_a_claim_that_is_repeated_gets_the_same_answer(play: Play) -> None:
    async def scene(records: Records) -> None:
        first = await records.claim("t1", WORKER, 60, new(), claim_id="abc")
        assert isinstance(first, Claimed)
        again = await records.claim("t1", WORKER, 60, new(), claim_id="abc")
        assert isinstance(again, Claimed) and again.now >= first.now
        assert replace(again, now=first.now) == first
        assert await records.claim("t1", "other", 60, claim_id="abc") == Refused(Refusal.BUSY, Status.RUNNING)
        assert await records.claim("t1", WORKER, 60, claim_id="def") == Refused(Refusal.BUSY, Status.RUNNING)

    play(scene)


def test_a_claim_that_is_repeated_after_its_lease_gets_a_whole_lease_again(play: Play) -> None:
    # The answer was lost, and the store away for so long that the lease has passed: who asks again starts a command.
    async def scene(records: Records) -> None:
        await records.claim("t1", WORKER, 0, new(), claim_id="abc")
        assert isinstance(await records.claim("t1", WORKER, 60, claim_id="abc"), Claimed)
        assert (await records.sweep()).rescued == ()

    play(scene)


def test_a_message_that_was_enqueued_without_us_is_recorded_and_claimed_in_one_call(play: Play) -> None:
    async def scene(records: Records) -> None:
        assert await records.claim("t1", WORKER, 60) == Refused(Refusal.UNKNOWN)
        assert await records.get("t1") is None
        made = new(trigger="celery", dry_run=True)
        answer = await records.claim("t1", WORKER, 60, made)
        assert isinstance(answer, Claimed)
        assert (answer.payload, answer.dry_run, answer.claim.run) == (made.payload, True, 0)
        assert (await task(records)).trigger == "celery"
        assert (await task(records)).dry_run

    play(scene)


def test_a_final_task_is_not_claimed_again(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new())
        await records.resolve((await claimed(records)).claim, DONE)
        before = await task(records)
        assert await records.claim("t1", WORKER, 60, new()) == Refused(Refusal.FINAL, Status.COMPLETED)
        assert await task(records) == before

    play(scene)


def test_a_repeated_resolve_is_recognised_and_changes_nothing(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new())
        claim = (await claimed(records)).claim
        assert await records.resolve(claim, DONE) == Resolved(ResolveOutcome.RECORDED)
        before = await task(records)
        assert await records.resolve(claim, DONE) == Resolved(ResolveOutcome.ALREADY)
        late = Resolution(Status.FAILED, "exit-code", exit_code=1)
        assert await records.resolve(claim, late) == Resolved(ResolveOutcome.ALREADY)
        assert await task(records) == before
        assert len(await records.events("0", block_ms=None)) == 3

    play(scene)


def test_a_next_run_is_made_in_the_call_that_ends_the_one_before(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new(retries=1))
        first = (await claimed(records)).claim
        fault = Resolution(Status.EXCEPTION, "internal-error", "signal 9", signal=9)
        following = (Hint("t1", "sign-file", "penstock", 1),)
        assert await records.resolve(first, fault, next_run=True) == Resolved(ResolveOutcome.RECORDED, 1, following)
        again = await records.resolve(first, fault, next_run=True)
        assert again == Resolved(ResolveOutcome.ALREADY, 1, following)
        found = await task(records)
        assert [(run.number, run.status) for run in found.runs] == [(0, Status.EXCEPTION), (1, Status.PENDING)]
        assert (found.status, found.retries, found.finished_at) == (Status.PENDING, 0, None)
        second = await claimed(records, worker="other")
        assert (second.claim.run, second.retries, second.payload) == (1, 0, new().payload)
        assert second.claim.token > first.token
        assert await records.resolve(first, DONE) == Resolved(ResolveOutcome.ALREADY, 1)
        await records.resolve(second.claim, DONE)
        found = await task(records)
        assert (found.status, found.reason, len(found.runs)) == (Status.COMPLETED, None, 2)
        assert found.runs[0].worker == WORKER and found.runs[1].worker == "other"

    play(scene)


def test_a_delayed_next_run_is_not_claimed_before_it_is_due(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new(retries=1))
        fault = Resolution(Status.EXCEPTION, "internal-error")
        await records.resolve((await claimed(records)).claim, fault, next_run=True, delay_s=1000)
        assert await records.claim("t1", WORKER, 60) == Refused(Refusal.BUSY, Status.PENDING)
        assert (await records.sweep()).publish == ()

    play(scene)


def test_a_late_resolve_after_a_sweep_changes_nothing(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new(retries=1))
        late = (await claimed(records, lease_s=0)).claim
        swept = await records.sweep()
        assert [(r.task_id, r.run, r.worker, r.status, r.retried) for r in swept.rescued] == [
            ("t1", 0, WORKER, Status.EXCEPTION, True)
        ]
        assert [(hint.task_id, hint.script, hint.queue, hint.run) for hint in swept.publish] == [
            ("t1", "sign-file", "penstock", 1)
        ]
        before = await task(records)
        assert before.runs[0].reason == "claim-expired"
        assert await records.resolve(late, DONE) == Resolved(ResolveOutcome.STALE)
        assert (await records.renew(WORKER, [late], 60))[0].lost
        assert await task(records) == before
        now = (await claimed(records, worker="other")).claim
        assert await records.resolve(late, DONE) == Resolved(ResolveOutcome.STALE)
        assert await records.resolve(now, DONE) == Resolved(ResolveOutcome.RECORDED)
        assert await records.resolve(late, DONE) == Resolved(ResolveOutcome.STALE)

    play(scene)


def test_a_run_whose_lease_passed_without_retries_left_is_final(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new())
        late = (await claimed(records, lease_s=0)).claim
        assert await records.claim("t1", "other", 60) == Refused(Refusal.BUSY, Status.RUNNING)
        swept = await records.sweep()
        assert (len(swept.rescued), swept.rescued[0].retried, swept.publish) == (1, False, ())
        found = await task(records)
        assert (found.status, found.reason) == (Status.EXCEPTION, "claim-expired")
        assert await records.payload("t1") is None
        assert await records.resolve(late, DONE) == Resolved(ResolveOutcome.STALE)
        assert await records.sweep() == type(swept)()

    play(scene)


def test_a_renewed_lease_is_not_swept(play: Play) -> None:
    async def scene(records: Records) -> None:
        claims = []
        for name in ("a", "b", "c"):
            await records.register(new(name))
            claims.append((await claimed(records, name, lease_s=0)).claim)
        await records.resolve(claims[2], DONE)
        strange = Claim("unknown", 0, 1, 60)
        renewals = await records.renew(WORKER, [claims[0], claims[2], strange], 60)
        assert [renewal.lost for renewal in renewals] == [False, True, True]
        assert [rescued.task_id for rescued in (await records.sweep()).rescued] == ["b"]
        assert (await records.renew("other", [claims[0]], 60))[0].lost
        assert await records.renew(WORKER, [], 60) == ()

    play(scene)


def test_a_sweep_is_bounded_and_says_that_there_is_more(play: Play) -> None:
    async def scene(records: Records) -> None:
        for number in range(5):
            await records.register(new(f"t{number}"))
            await claimed(records, f"t{number}", lease_s=0)
        first = await records.sweep(limit=3)
        assert (len(first.rescued), first.more) == (3, True)
        second = await records.sweep(limit=3)
        assert (len(second.rescued), second.more) == (2, False)

    play(scene)


def test_a_pending_run_whose_message_was_lost_is_handed_out_once_in_a_while(store: Embedded) -> None:
    async def scene() -> None:
        client = connect(store.url)
        records, impatient = Records(client), Records(client, StoreLimits(hint_after_s=0))
        await impatient.register(new())
        assert [hint.task_id for hint in (await records.sweep()).publish] == ["t1"]
        assert (await records.sweep()).publish == ()
        await impatient.register(new("t2"))
        await claimed(records, "t2")
        assert (await records.sweep()).publish == ()
        await client.aclose()

    asyncio.run(scene())


def test_a_pending_task_is_cancelled_at_once(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new())
        assert await records.cancel("t1", "anna", "typo") == Cancelled(CancelOutcome.CANCELLED, Status.CANCELLED)
        found = await task(records)
        assert (found.status, found.reason, found.message) == (
            Status.CANCELLED,
            "cancelled",
            "cancelled by anna: typo",
        )
        assert found.cancel is not None
        assert (found.cancel.by, found.cancel.why) == ("anna", "typo")
        assert (found.runs[0].worker, found.runs[0].claimed_at) == (None, None)
        assert await records.claim("t1", WORKER, 60) == Refused(Refusal.FINAL, Status.CANCELLED)
        assert await records.cancel("t1", "ben") == Cancelled(CancelOutcome.FINAL, Status.CANCELLED)
        assert await records.payload("t1") is None
        assert await task(records) == found

    play(scene)


def test_the_worker_of_a_running_task_hears_of_a_cancel_by_every_renewal(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new(retries=3))
        claim = (await claimed(records)).claim
        assert await records.cancel("t1", "anna") == Cancelled(CancelOutcome.REQUESTED, Status.RUNNING, WORKER)
        assert await records.cancel("t1", "ben") == Cancelled(CancelOutcome.ALREADY, Status.RUNNING, WORKER)
        for _ in range(2):
            (renewal,) = await records.renew(WORKER, [claim], 60)
            assert not renewal.lost
            assert renewal.cancel is not None and renewal.cancel.by == "anna"
        end = Resolution(Status.CANCELLED, "cancelled", signal=15)
        assert await records.resolve(claim, end, next_run=True) == Resolved(ResolveOutcome.RECORDED)
        assert (await task(records)).status is Status.CANCELLED

    play(scene)


def test_a_cancelled_run_whose_worker_died_is_cancelled_and_not_retried(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new(retries=3))
        await claimed(records, lease_s=0)
        await records.cancel("t1", "anna")
        swept = await records.sweep()
        assert [(rescued.status, rescued.retried) for rescued in swept.rescued] == [(Status.CANCELLED, False)]
        assert (await task(records)).status is Status.CANCELLED

    play(scene)


def test_a_task_that_nobody_knows_cannot_be_cancelled(play: Play) -> None:
    async def scene(records: Records) -> None:
        assert await records.cancel("nobody", "anna") == Cancelled(CancelOutcome.UNKNOWN)
        assert await records.get("nobody") is None

    play(scene)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"n":%d}' % 2**70,
        b"\x00\xff\xfe not JSON \r\n",
        b"",
        b'{"n":1e400,"m":-0.0,"k":123456789012345678901234567890.5}',
    ],
)
def test_a_payload_comes_out_as_it_went_in(play: Play, payload: bytes) -> None:
    async def scene(records: Records) -> None:
        await records.register(new(payload=payload))
        assert await records.payload("t1") == payload
        assert (await claimed(records)).payload == payload

    play(scene)


def test_what_is_shown_comes_out_even_if_it_is_no_json(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new("a", shown='{"n":1180591620717411303424,"f":1.0}'))
        await records.register(new("b", shown="\ud800 not JSON"))
        await records.register(new("c", shown="[" * 100_000))
        assert (await task(records, "a")).payload == {"n": 2**70, "f": 1.0}
        assert (await task(records, "b")).payload == "\\ud800 not JSON"
        assert (await task(records, "c")).payload == "[" * 100_000

    play(scene)


HOSTILE = ["", ".", "../etc", "a/b", "a b", "a\n", "a" * 65, "ä", "a:b", "a\x00", "*", "-\r\nFLUSHALL"]


@pytest.mark.parametrize("id", HOSTILE)
def test_a_hostile_id_is_refused_by_every_verb(play: Play, id: str) -> None:
    async def scene(records: Records) -> None:
        for call in (
            records.register(new(id)),
            records.claim(id, WORKER, 60),
            records.claim(id, WORKER, 60, new(id)),
            records.renew(WORKER, [Claim(id, 0, 1, 60)], 60),
            records.resolve(Claim(id, 0, 1, 60), DONE),
            records.cancel(id, "anna"),
            records.get(id),
            records.payload(id),
        ):
            with pytest.raises(InvalidName) as refused:
                await call
            assert "\n" not in str(refused.value) and "\x00" not in str(refused.value)
        assert (await records.list()).total == 0

    play(scene)


@pytest.mark.parametrize("name", ["", "Sign", "a:b", "a\n", "-a", "a" * 64, "*"])
def test_a_hostile_script_name_is_refused(play: Play, name: str) -> None:
    async def scene(records: Records) -> None:
        with pytest.raises(InvalidName):
            await records.register(new(script=name))
        with pytest.raises(InvalidName):
            await records.list(script=name)

    play(scene)


def test_a_hostile_worker_name_is_refused(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new())
        for name in ("", "a b", "a\n", "ä", "x" * 201):
            with pytest.raises(InvalidName):
                await records.claim("t1", name, 60)
        assert isinstance(await records.claim("t1", '"quoted\\"@host', 60), Claimed)
        assert (await task(records)).runs[0].worker == '"quoted\\"@host'
        await records.cancel("t1", "x")

    play(scene)


def test_hostile_text_stays_text(play: Play) -> None:
    hostile = '"},"s":"completed","x":{"\\\n\x00\ud800' + "ü" * 10_000

    async def scene(records: Records) -> None:
        await records.register(new(queue=hostile[:40], trigger=hostile[:40], tags=(hostile[:40],)))
        claim = (await claimed(records, worker='w"},{\\')).claim
        await records.cancel("t1", hostile, hostile)
        await records.resolve(claim, Resolution(Status.FAILED, "exit-code", hostile, exit_code=1))
        found = await task(records)
        assert found.status is Status.FAILED
        assert found.message.startswith(hostile[:40]) and len(found.message) == 4000
        assert found.tags == (hostile[:40],) and found.trigger == hostile[:40]
        assert found.runs[0].worker == 'w"},{\\'

    play(scene)


def test_a_run_cannot_end_as_running(play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new())
        claim = (await claimed(records)).claim
        with pytest.raises(ValueError, match="does not end as running"):
            await records.resolve(claim, Resolution(Status.RUNNING))
        assert (await task(records)).status is Status.RUNNING

    play(scene)


def test_a_task_without_its_payload_is_not_granted(store: Embedded, play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new())
        with redis.Redis.from_url(store.url, protocol=2) as client:
            client.delete("penstock:payload:t1")
        with pytest.raises(StoreError, match="payload of task t1 is gone"):
            await records.claim("t1", WORKER, 60)
        assert (await task(records)).status is Status.PENDING

    play(scene)


def test_the_scripts_are_sent_again_when_the_server_forgot_them(store: Embedded, play: Play) -> None:
    async def scene(records: Records) -> None:
        await records.register(new("a"))
        with redis.Redis.from_url(store.url, protocol=2) as client:
            client.script_flush()
        assert (await records.register(new("b"))).outcome is Registered.CREATED

    play(scene)


def test_a_store_that_is_away_or_full_is_unavailable(store: Embedded, tmp_path: Path) -> None:
    async def scene() -> None:
        nowhere = connect(f"unix://{tmp_path}/none.sock")
        with pytest.raises(StoreUnavailable) as away:
            await Records(nowhere).register(new())
        assert isinstance(away.value, OSError)
        await nowhere.aclose()
        client = connect(store.url)
        records = Records(client)
        await records.register(new())
        try:
            await client.config_set("maxmemory", "1mb")
            with pytest.raises(StoreUnavailable):
                await records.register(new("t2"))
            assert await records.get("t2") is None
        finally:
            await client.config_set("maxmemory", "0")
        await client.aclose()

    asyncio.run(scene())


def test_a_url_as_celery_writes_it_is_understood_and_another_is_refused_without_its_secret(store: Embedded) -> None:
    async def scene() -> None:
        client = connect(store.celery_url)
        assert await client.ping()
        await client.aclose()
        with pytest.raises(InvalidName) as refused:
            connect("amqp://me:hush@host/v")
        assert "hush" not in str(refused.value)

    asyncio.run(scene())


def test_tokens_keep_growing_when_the_servers_clock_goes_back(store: Embedded, play: Play) -> None:
    # A clock far ahead, as it looks after the server's own went back.
    ahead = 4_000_000_000_000_000

    async def scene(records: Records) -> None:
        with redis.Redis.from_url(store.url, protocol=2) as client:
            client.set("penstock:clock", ahead)
        await records.register(new("a"))
        await records.register(new("b"))
        assert [found.id for found in (await records.list()).tasks] == ["b", "a"]
        first, second = await claimed(records, "a"), await claimed(records, "b")
        assert ahead < first.claim.token < second.claim.token

    play(scene)


def test_a_finished_task_takes_less_than_two_kilobytes(store: Embedded, play: Play) -> None:
    tasks = 300

    async def scene(records: Records) -> None:
        for number in range(tasks):
            id = f"0b5bbc80-1f3c-4d2e-9b58-{number:012d}"
            await records.register(new(id))
            await records.resolve((await claimed(records, id)).claim, DONE)

    with redis.Redis.from_url(store.url, protocol=2) as client:
        client.info("memory")
        play(scene)
        used = sum(client.memory_usage(key, samples=0) for key in client.keys("penstock:*") if b"events" not in key)
    assert used / tasks < 2048


@given(message=st.text(), reason=st.text(max_size=30), numbers=st.integers(-(2**80), 2**80))
def test_any_end_is_read_as_it_was_written(message: str, reason: str, numbers: int) -> None:
    from worker.store import decoding, encoding

    end = Resolution(Status.FAILED, reason or None, message, exit_code=numbers, log_bytes=abs(numbers))
    body = json.loads('{"k":1,"b":1,"f":2,' + encoding.run_body(end))
    fields = {
        b"s": b"failed", b"n": b"0", b"m": b'{"t":"cli"}', b"c": b"x", b"a": b"1", b"p": b"{}", b"h": b"",
        b"q": b"", b"r": b"0", b"0": json.dumps(body).encode(),
    }  # fmt: skip
    run = decoding.task("t", fields).runs[0]
    assert (run.reason, run.exit_code, run.log_bytes) == (reason or None, numbers, abs(numbers))
    assert run.message == encoding.shortened(message)
