"""The records and a small model of them are driven in step, by whatever sequence of calls Hypothesis finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
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

from tests.worker.records_model import FINISHED, Model
from worker.embedded import Embedded
from worker.model import Claim, Claimed, NewTask, Refused, Resolution, Status
from worker.store import Records, StoreLimits, connect

T = TypeVar("T")
# Weighted towards what leads somewhere: most calls are to meet a task that is there and can be worked on.
IDS = st.sampled_from(["a", "a", "a", "b", "c"])
CONTENTS = st.sampled_from([0, 0, 0, 0, 0, 1])
WORKERS = st.sampled_from(["w1", "w2"])
RETRIES = st.integers(0, 2)
# Counted from the end: what happened just before is what a call is likely to meet.
RECENT = st.sampled_from([-1, -1, -1, -2, -2, -3, -5])
LEASES_S = st.sampled_from([0, 1000])


def new(id: str, content: int, retries: int) -> NewTask:
    return NewTask(
        id=id,
        script=f"script-{content}",
        payload=b"%d" % content,
        shown=f"{content}",
        digest=f"{content}",
        queue="q",
        trigger="cli",
        retries=retries,
    )


class Steps(RuleBasedStateMachine):
    url: str

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.model = Model()
        self.claims: list[Claim] = []
        self.calls: list[tuple[str, str]] = []
        self.client = self.runner.run(self._connect())
        self.records = Records(self.client, StoreLimits(hint_after_s=0))

    async def _connect(self) -> Any:
        client = connect(self.url)
        await client.flushall()
        return client

    def play(self, call: Awaitable[T]) -> T:
        async def wait() -> T:
            return await call

        return self.runner.run(wait())

    @rule(id=IDS, content=CONTENTS, retries=RETRIES)
    def register(self, id: str, content: int, retries: int) -> None:
        expected = self.model.register(id, content, retries)
        assert self.play(self.records.register(new(id, content, retries))) is expected

    @rule(id=IDS, worker=WORKERS, content=st.just(0), retries=RETRIES)
    def claim_and_let_it_expire(self, **drawn: Any) -> None:
        self.claim(lease_s=0, **drawn)

    @rule(id=IDS, worker=WORKERS, lease_s=LEASES_S, content=st.sampled_from([None, 0, 0, 0, 0, 1]), retries=RETRIES)
    def claim(self, id: str, worker: str, lease_s: int, content: int | None, retries: int) -> None:
        expected = self.model.claim(id, worker, lease_s == 0, content, retries)
        made = None if content is None else new(id, content, retries)
        call = f"call-{len(self.calls)}"
        answer = self.play(self.records.claim(id, worker, lease_s, made, claim_id=call))
        if isinstance(answer, Refused):
            assert answer.refusal is expected
            return
        assert expected == len(self.claims)
        task = self.model.tasks[id]
        assert (answer.payload, answer.retries) == (b"%d" % task.content, task.retries)
        assert answer.claim.run == len(task.runs) - 1
        assert all(answer.claim.token > earlier.token for earlier in self.claims)
        self.claims.append(answer.claim)
        self.calls.append((worker, call))

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def repeat_a_claim(self, data: st.DataObject) -> None:
        number = data.draw(RECENT) % len(self.claims)
        claim, (worker, call) = self.claims[number], self.calls[number]
        if self.model.held(number) is not None:
            answer = self.play(self.records.claim(claim.task_id, worker, claim.lease_s, claim_id=call))
            assert isinstance(answer, Claimed) and answer.claim == claim

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), lease_s=LEASES_S)
    def renew_all(self, data: st.DataObject, lease_s: int) -> None:
        numbers = data.draw(st.lists(st.integers(0, len(self.claims) - 1), unique=True, max_size=4))
        for worker in ("w1", "w2"):
            of_worker = [number for number in numbers if self.calls[number][0] == worker]
            expected = [self.model.renew(number, lease_s == 0) for number in of_worker]
            answers = self.play(self.records.renew(worker, [self.claims[n] for n in of_worker], lease_s))
            assert [(answer.lost, answer.cancel_requested) for answer in answers] == expected

    @precondition(lambda self: self.claims)
    @rule(
        data=st.data(),
        status=st.sampled_from(sorted(FINISHED)),
        next_run=st.booleans(),
        delay_s=st.sampled_from([0, 1000]),
    )
    def resolve(self, data: st.DataObject, status: Status, next_run: bool, delay_s: int) -> None:
        number = data.draw(RECENT) % len(self.claims)
        expected = self.model.resolve(number, status, next_run, delay_s > 0)
        answer = self.play(
            self.records.resolve(self.claims[number], Resolution(status), next_run=next_run, delay_s=delay_s)
        )
        assert (answer.outcome, answer.next_run) == expected

    @precondition(lambda self: any(not task.final for task in self.model.tasks.values()))
    @rule(id=IDS)
    def cancel(self, id: str) -> None:
        assert self.play(self.records.cancel(id, "anna")).outcome is self.model.cancel(id)

    @precondition(lambda self: self.model.tasks)
    @rule()
    def sweep(self) -> None:
        rescued, publish = self.model.sweep()
        swept = self.play(self.records.sweep())
        assert {(r.task_id, r.run, r.status, r.retried) for r in swept.rescued} == rescued
        assert {(hint.task_id, hint.run) for hint in swept.publish} == publish
        assert len(swept.publish) == len(publish)

    @precondition(lambda self: len(self.model.finished) > 1)
    @rule()
    def prune(self) -> None:
        assert set(self.play(self.records.prune(older_than_ms=None, keep_count=0))) == self.model.prune()

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        if hasattr(self, "runner"):
            self.play(self._compare())

    async def _compare(self) -> None:
        tasks = self.model.tasks
        for id in ("a", "b", "c"):
            found, payload, expected = await self.records.get(id), await self.records.payload(id), tasks.get(id)
            if expected is None:
                assert found is None and payload is None
                continue
            assert found is not None
            assert found.status is expected.run.status
            assert [run.status for run in found.runs] == [run.status for run in expected.runs]
            assert [run.worker for run in found.runs] == [run.worker for run in expected.runs]
            assert (found.retries, found.cancel is not None) == (expected.retries, expected.cancel)
            assert (payload is None) is expected.final
            assert (found.finished_at is not None) is expected.final
        async with self.client.pipeline(transaction=False) as lists:
            expected_members = []
            for status in Status:
                lists.zrange(f"penstock:tasks:status:{status}", 0, -1)
                expected_members.append({id for id, task in tasks.items() if task.run.status is status})
                for content in (0, 1):
                    lists.zrange(f"penstock:tasks:script:script-{content}:{status}", 0, -1)
                    expected_members.append(
                        {id for id in expected_members[-1 - content] if tasks[id].content == content}
                    )
            for key, wanted in (("leases", Status.RUNNING), ("hints", Status.PENDING)):
                lists.zrange(f"penstock:{key}", 0, -1)
                expected_members.append({id for id, task in tasks.items() if task.run.status is wanted})
            lists.zrange("penstock:tasks:finished", 0, -1)
            expected_members.append({id for id, task in tasks.items() if task.final})
            members = [{member.decode() for member in answer} for answer in await lists.execute()]
        assert members == expected_members

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.play(self.client.aclose())
            self.runner.close()


def test_the_records_do_what_the_model_does(store: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Steps, "url", store.url, raising=False)
    run_state_machine_as_test(
        Steps, settings=settings(max_examples=100, stateful_step_count=30, deadline=None, database=None)
    )
