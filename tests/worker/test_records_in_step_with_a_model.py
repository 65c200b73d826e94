"""The records and a small model of them are driven in step, by whatever sequence of calls Hypothesis finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from tests.worker.records_model import CALLED, FINISHED, Model, Wanted
from tests.worker.test_records import prune
from worker.embedded import Embedded
from worker.model.answers import Claimed, Hint, Refused
from worker.model.status import Status
from worker.model.task import Claim, NewTask, Resolution, RunLimits
from worker.store import Records, StoreLimits, connect
from worker.store.keys import FIELDS

T = TypeVar("T")
# Weighted towards what leads somewhere: most calls are to meet a task that is there and can be worked on.
IDS = st.sampled_from(["a", "a", "b", "b", "c", "d"])
WORKERS = st.sampled_from(["w1", "w2"])
# Counted from the end: what happened just before is what a call is likely to meet.
RECENT = st.sampled_from([-1, -1, -1, -2, -2, -3, -5])
LEASES_S = st.sampled_from([0, 1000, 1000])
LONG_AGO, FAR_AWAY = 1, 10**13
WANTED = st.builds(
    Wanted,
    content=st.sampled_from([0, 0, 0, 0, 0, 0, 1]),
    retries=st.integers(0, 2),
    due=st.sampled_from([*[None] * 10, False, True]),
    start_by=st.sampled_from([*[None] * 10, *[False] * 5, True]),
    deadline=st.sampled_from([*[None] * 10, *[False] * 5, True]),
    priority=st.sampled_from([0, 0, 5, 9]),
    key=st.sampled_from([*[None] * 5, "k", "ключ 2"]),
)
# With a period that does not pass by itself.
LIMITS = st.sampled_from(
    [
        None,
        RunLimits(concurrency=1),
        RunLimits(concurrency=2),
        RunLimits(rate_count=1, rate_per_s=10**6),
        RunLimits(rate_count=2, rate_per_s=10**6),
        RunLimits(concurrency=1, rate_count=2, rate_per_s=10**6),
    ]
)
MOSTLY = st.sampled_from([True] * 5 + [False])
# Every key, and the members of what is an index; of those that wait only who was not handed out.
DUMP = """
local found = {}
for _, key in ipairs(redis.call('KEYS', 'penstock:*')) do
  local kind, members = redis.call('TYPE', key).ok, {}
  if kind == 'zset' then
    members = redis.call('ZRANGEBYSCORE', key, '-inf', string.find(key, ':waiting:') and '(1e15' or '+inf')
  elseif kind == 'set' then
    members = redis.call('SMEMBERS', key)
  elseif kind == 'hash' and not string.find(key, ':task:') then
    members = redis.call('HKEYS', key)
  end
  found[#found + 1] = {key, members}
end
return found
"""
SCRIPTS = ("script-0", "script-1")


def new(id: str, wanted: Wanted) -> NewTask:
    return NewTask(
        id=id,
        script=wanted.script,
        payload=b"%d" % wanted.content,
        shown=f"{wanted.content}",
        digest=f"{wanted.content}",
        queue="q",
        trigger="cli",
        retries=wanted.retries,
        due_at=at(wanted.due),
        start_by=at(wanted.start_by),
        deadline=at(wanted.deadline),
        priority=wanted.priority,
        key=wanted.key,
    )


def at(passed: bool | None) -> int | None:
    return None if passed is None else LONG_AGO if passed else FAR_AWAY


class Steps(RuleBasedStateMachine):
    url: str

    @initialize(patient=st.booleans(), crowded=st.booleans(), limits=LIMITS)
    def begin(self, patient: bool, crowded: bool, limits: RunLimits | None) -> None:
        """`crowded`: nothing but tasks of one limited script that may start at once, so that they meet."""
        self.runner = asyncio.Runner()
        self.crowded = crowded
        self.limits = limits or (RunLimits(concurrency=1) if crowded else None)
        self.model = Model(patient)
        self.claims: list[Claim] = []
        self.calls: list[tuple[str, str]] = []
        self.client = self.runner.run(self._connect())
        self.records = Records(self.client, StoreLimits(hint_after_s=1000 if patient else 0))

    async def _connect(self) -> Any:
        client = connect(self.url)
        await client.flushall()
        return client

    def play(self, call: Awaitable[T]) -> T:
        async def wait() -> T:
            return await call

        return self.runner.run(wait())

    def plain(self, wanted: Wanted) -> Wanted:
        if not self.crowded:
            return wanted
        return replace(wanted, content=0, due=None, start_by=None, deadline=None, key=None)

    def created(self, id: str) -> int:
        """When it was made: those that wait for room are in that order."""
        task = self.play(self.records.get(id))
        return task.created_at if task else 0

    @precondition(lambda self: len(self.model.in_status(Status.PENDING)) < 3)
    @rule(id=IDS, wanted=WANTED)
    def register(self, id: str, wanted: Wanted) -> None:
        wanted = self.plain(wanted)
        registration = self.play(self.records.register(new(id, wanted)))
        expected = self.model.register(id, wanted, self.created(id))
        assert (registration.outcome, registration.task_id) == expected

    @precondition(lambda self: self.model.in_status(Status.PENDING))
    @rule(data=st.data(), worker=WORKERS, lease_s=LEASES_S)
    def claim_what_is_pending(self, data: st.DataObject, worker: str, lease_s: int) -> None:
        id = data.draw(st.sampled_from(self.model.in_status(Status.PENDING)))
        self.claim(id, worker, lease_s, None, True, None, None)

    @rule(
        id=IDS,
        worker=WORKERS,
        lease_s=LEASES_S,
        wanted=st.none() | WANTED,
        usual=MOSTLY,
        other=LIMITS,
        of_script=st.sampled_from([None, None, "script-0", "script-0", "script-0", "script-1"]),
    )
    def claim(
        self,
        id: str,
        worker: str,
        lease_s: int,
        wanted: Wanted | None,
        usual: bool,
        other: RunLimits | None,
        of_script: str | None,
    ) -> None:
        limits = self.limits if usual or self.crowded else other
        if self.crowded:
            wanted, of_script = wanted and self.plain(wanted), None
        made = None if wanted is None else new(id, wanted)
        call = f"call-{len(self.calls)}"
        asked = self.records.claim(id, worker, lease_s, made, claim_id=call, limits=limits, of_script=of_script)
        answer = self.play(asked)
        expected = self.model.claim(id, worker, lease_s == 0, wanted, limits, of_script, self.created(id))
        if isinstance(answer, Refused):
            assert answer.refusal is expected
            return
        assert expected == len(self.claims)
        task = self.model.tasks[id]
        assert (answer.payload, answer.retries) == (b"%d" % task.content, task.retries)
        assert answer.claim.run == answer.runs == len(task.runs) - 1
        assert answer.deadline == at(task.wanted.deadline)
        assert answer.now >= answer.created_at
        assert all(answer.claim.token > earlier.token for earlier in self.claims)
        self.claims.append(answer.claim)
        self.calls.append((worker, call))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), limits=LIMITS, lease_s=LEASES_S)
    def repeat_a_claim(self, data: st.DataObject, limits: RunLimits | None, lease_s: int) -> None:
        number = data.draw(RECENT) % len(self.claims)
        claim, (worker, call) = self.claims[number], self.calls[number]
        if self.model.held(number) is not None:
            answer = self.play(self.records.claim(claim.task_id, worker, lease_s, claim_id=call, limits=limits))
            assert isinstance(answer, Claimed) and answer.claim == replace(claim, lease_s=lease_s)
            self.model.renew(number, lease_s == 0)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), lease_s=LEASES_S)
    def renew_all(self, data: st.DataObject, lease_s: int) -> None:
        numbers = set(data.draw(st.lists(st.integers(0, len(self.claims) - 1), max_size=2)))
        numbers |= {number for number in range(len(self.claims)) if self.model.held(number)}
        for worker in ("w1", "w2"):
            of_worker = [number for number in numbers if self.calls[number][0] == worker]
            expected = [self.model.renew(number, lease_s == 0) for number in of_worker]
            answers = self.play(self.records.renew(worker, [self.claims[n] for n in of_worker], lease_s))
            assert [(answer.lost, answer.cancel_requested, answer.overdue) for answer in answers] == expected

    @precondition(lambda self: self.claims)
    @rule(
        data=st.data(),
        status=st.sampled_from(sorted(FINISHED)),
        next_run=st.booleans(),
        delay_s=st.sampled_from([0, 0, 1000]),
    )
    def resolve(self, data: st.DataObject, status: Status, next_run: bool, delay_s: int) -> None:
        self._resolve(data.draw(RECENT) % len(self.claims), status, next_run, delay_s)

    @precondition(lambda self: self.model.in_status(Status.RUNNING))
    @rule(data=st.data(), next_run=MOSTLY, delay_s=st.sampled_from([0, 0, 1000]))
    def resolve_what_runs(self, data: st.DataObject, next_run: bool, delay_s: int) -> None:
        running = self.model.tasks[data.draw(st.sampled_from(self.model.in_status(Status.RUNNING)))]
        assert running.run.held_by is not None
        self._resolve(running.run.held_by, Status.FAILED, next_run, delay_s)

    def _resolve(self, number: int, status: Status, next_run: bool, delay_s: int) -> None:
        expected = self.model.resolve(number, status, next_run, delay_s > 0)
        end, limited = Resolution(status), bool(self.model.throttled)
        answer = self.play(
            self.records.resolve(self.claims[number], end, next_run=next_run, delay_s=delay_s, limited=limited)
        )
        assert (answer.outcome, answer.next_run, self.handed_out(answer.publish)) == expected

    def handed_out(self, publish: Sequence[Hint]) -> list[str]:
        for hint in publish:
            task = self.model.tasks[hint.task_id]
            expected = (task.wanted.script, "q", len(task.runs) - 1, task.wanted.priority)
            assert (hint.script, hint.queue, hint.run, hint.priority) == expected
        return [hint.task_id for hint in publish]

    @precondition(lambda self: len(self.model.in_status(Status.PENDING, Status.RUNNING)) > (3 if self.crowded else 1))
    @rule(id=IDS)
    def cancel(self, id: str) -> None:
        assert self.play(self.records.cancel(id, "anna")).outcome is self.model.cancel(id)

    @precondition(lambda self: self.model.tasks)
    @rule()
    def sweep(self) -> None:
        overdue, rescued, publish = self.model.sweep()
        swept = self.play(self.records.sweep())
        assert {(o.task_id, o.run, o.worker, o.status) for o in swept.overdue} == set(overdue)
        assert {(r.task_id, r.run, r.status, r.retried) for r in swept.rescued} == set(rescued)
        assert sorted(self.handed_out(swept.publish)) == sorted(publish)
        assert not swept.more

    @precondition(lambda self: self.model.to_come())
    @rule(data=st.data())
    def a_time_of_a_task_passes(self, data: st.DataObject) -> None:
        id, field = data.draw(st.sampled_from(self.model.to_come()))
        self.model.passes(id, field)
        self.play(self._put_back(id, field, "hints" if field == "due" else "deadlines"))

    async def _put_back(self, id: str, field: str, key: str) -> None:
        """As if the time of that field had passed long ago."""
        await self.client.hset(f"penstock:task:{id}", FIELDS[field], LONG_AGO)
        task = self.model.tasks[id]
        if key == "hints" or field == "deadline" or task.run.status is Status.PENDING:
            await self.client.zadd(f"penstock:{key}", {id: LONG_AGO}, xx=True)

    @precondition(lambda self: any(self.model.starts.values()))
    @rule()
    def the_period_of_the_rate_limits_passes(self) -> None:
        self.model.starts.clear()
        for script in SCRIPTS:
            self.play(self.client.delete(f"penstock:starts:{script}"))

    @precondition(lambda self: sum(task.final for task in self.model.tasks.values()) > 1)
    @rule(script=st.sampled_from([None, None, *SCRIPTS]), besides=st.sampled_from([None, None, *SCRIPTS]))
    def prune(self, script: str | None, besides: str | None) -> None:
        others = [besides] if besides else []
        pruned = self.play(prune(self.records, older_than_ms=None, keep_count=0, script=script, besides=others))
        assert sorted(pruned) == sorted(self.model.prune(script, besides))

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        if hasattr(self, "runner"):
            self.play(self._compare())

    async def _compare(self) -> None:
        tasks = self.model.tasks
        page = await self.records.list()
        for found, (id, expected) in zip(page.tasks, reversed(tasks.items()), strict=True):
            assert found.id == id
            assert found.status is expected.run.status
            assert [run.status for run in found.runs] == [run.status for run in expected.runs]
            assert [run.worker for run in found.runs] == [run.worker for run in expected.runs]
            assert (found.retries, found.cancel is not None) == (expected.retries, expected.cancel)
            assert (found.finished_at is not None) is expected.final
            wanted = expected.wanted
            assert (found.start_by, found.deadline) == (at(wanted.start_by), at(wanted.deadline))
            assert (found.priority, found.key) == (wanted.priority, wanted.key)
            assert (found.due_at is not None) is (expected.run.delayed and not expected.final)
        pending = [id for id, task in reversed(tasks.items()) if task.run.status is Status.PENDING]
        assert list(await self.records.pending()) == pending
        assert await self._indexes() == self._expected_indexes()

    async def _indexes(self) -> dict[str, set[str]]:
        """The members of every key that has some; of a task and a payload that there is one."""
        found: Any = await self.client.eval(DUMP, 0)
        indexes: dict[str, set[str]] = {}
        for key, members in found:
            name = key.decode().removeprefix("penstock:")
            if members:
                indexes[name] = {member.decode() for member in members}
            elif name.startswith(("task:", "payload:")):
                kind, id = name.split(":")
                indexes.setdefault(kind, set()).add(id)
        return indexes

    def _expected_indexes(self) -> dict[str, set[str]]:
        tasks = self.model.tasks.items()
        found: dict[str, set[str]] = {}
        for id, task in tasks:
            script, status = task.wanted.script, task.run.status
            for index, belongs in {
                "task": True,
                "payload": not task.final,
                f"tasks:status:{status}": True,
                f"tasks:script:{script}:{status}": True,
                f"tasks:finished:{script}": task.final,
                "leases": status is Status.RUNNING,
                "hints": task.hinted,
                "deadlines": task.watched,
            }.items():
                if belongs:
                    found.setdefault(index, set()).add(id)
            if task.final:
                found.setdefault("scripts:finished", set()).add(script)
            if task.wanted.key:
                found.setdefault("idempotency", set()).add(f"{task.wanted.script}:{task.wanted.key}")
        for script, waiting in self.model.waiting.items():
            if places := {id for id, place in waiting.items() if place is not CALLED}:
                found[f"waiting:{script}"] = places
        if self.model.throttled:
            found["throttled"] = set(self.model.throttled)
        return found

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.play(self.client.aclose())
            self.runner.close()


def test_the_records_do_what_the_model_does(store: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Steps, "url", store.url, raising=False)
    run_state_machine_as_test(
        Steps, settings=settings(max_examples=60, stateful_step_count=50, deadline=None, database=None)
    )
