"""Runs of workflows in a real store, step by step: what is done twice, or by several at a time, is done once."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.plugin import Plugins, Prepared
from engine.script.load import load_script
from worker.broker import RedisPublisher
from worker.embedded import Embedded
from worker.model.access import Principal
from worker.model.answers import Claimed
from worker.model.api_key import NewKey
from worker.model.status import Status
from worker.model.task import Resolution, Task
from worker.model.workflow_run import Advance, Advanced, StepStatus, WorkflowRun, WorkflowStatus, step_task_id
from worker.operations.authorise import NotAllowed
from worker.operations.submit import Conflict, submit
from worker.store import Records, connect
from worker.store.api_keys import ApiKeys
from worker.store.workflow_runs import WorkflowRuns
from worker.workflows.drive import Driver
from worker.workflows.prune import prune_runs
from worker.workflows.read import read_workflow
from worker.workflows.rights import current_rights
from worker.workflows.start import repeat, start
from worker.workflows.stop import stop
from worker.workflows.workflow import Workflow

ALL = Principal("me", "local", frozenset({"*"}))
SECRET = "correct horse battery staple"


class Stage:
    """A store, drivers, and a worker that is played by hand."""

    def __init__(self, redis: Any, scripts: dict[str, Prepared]) -> None:
        self.redis = redis
        self.records = Records(redis)
        self.runs = WorkflowRuns(redis)
        self.keys = ApiKeys(redis)
        self.scripts = scripts
        self.driver = self.new_driver()

    def new_driver(self, scripts: dict[str, Prepared] | None = None) -> Driver:
        find = (self.scripts if scripts is None else scripts).get
        publisher = RedisPublisher(self.redis)
        rights = current_rights(self.keys, {})
        return Driver(self.runs, self.records, publisher, find, "penstock", rights)

    def workflow(self, *steps: dict[str, Any], **more: Any) -> Workflow:
        return read_workflow("flow", {"steps": list(steps), **more}, scripts=self.scripts.get)

    async def start(self, workflow: Workflow, payload: dict[str, Any] | None = None, **more: Any) -> str:
        data = json.dumps(payload or {}).encode()
        started = await start(
            workflow,
            data,
            **{
                "runs": self.runs,
                "driver": self.driver,
                "find": self.scripts.get,
                "principal": ALL,
                "trigger": "api",
                **more,
            },
        )
        return started.run_id

    async def run(self, run_id: str) -> WorkflowRun:
        found = await self.runs.get(run_id)
        assert found
        return found

    async def end(self, task_id: str, status: str = "completed", result: Any = None, reason: str = "exit-code") -> None:
        claimed = await self.records.claim(task_id, "w", 60)
        assert isinstance(claimed, Claimed), claimed
        text = None if result is None else json.dumps(result)
        end = Resolution(Status(status), None if status == "completed" else reason, result=text)
        await self.records.resolve(claimed.claim, end)

    async def running(self, run_id: str) -> list[str]:
        return [s.task for s in (await self.run(run_id)).steps if s.status is StepStatus.RUNNING and s.task]

    async def finish(self, run_id: str, **how: Any) -> WorkflowRun:
        """Complete whatever runs until the run has ended."""
        await self.driver.sweep()
        while not (run := await self.run(run_id)).status.final:
            for task_id in await self.running(run_id):
                await self.end(task_id, **how)
            await self.driver.sweep()
        return run

    async def tasks(self) -> tuple[Task, ...]:
        return (await self.records.list(limit=1000)).tasks


Scene = Callable[[Stage], Awaitable[None]]


@pytest.fixture
def play(store: Embedded, tmp_path: Path) -> Callable[[Scene], None]:
    scripts = {}
    schemas: dict[str, Any] = {
        "open": {"additionalProperties": True},
        "other": {"additionalProperties": True},
        "strict": {"properties": {"n": {"type": "integer"}}},
        "secret": {"properties": {"token": {"type": "string", "writeOnly": True}}},
    }
    for name, schema in schemas.items():
        file = tmp_path / f"{name}.yaml"
        file.write_text(json.dumps({"command": ["/bin/cat"], "schema": schema}))
        scripts[name] = Plugins().prepare(load_script(file, home=tmp_path))

    def run(scene: Scene) -> None:
        async def with_stage() -> None:
            client = connect(store.url)
            try:
                await scene(Stage(client, scripts))
            finally:
                await client.aclose()

        asyncio.run(with_stage())

    return run


Play = Callable[[Scene], None]


def step(name: str, script: str = "open", **more: Any) -> dict[str, Any]:
    return {"name": name, "script": script, **more}


def told(run: WorkflowRun) -> dict[str, tuple[str, str | None]]:
    return {state.name: (state.status.value, state.reason) for state in run.steps}


def test_many_drivers_at_once_start_each_step_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        steps = [step("a", needs=[]), *(step(f"b{n}", needs=["a"]) for n in range(10))]
        steps.append(step("c", needs=[f"b{n}" for n in range(10)]))
        run_id = await stage.start(stage.workflow(*steps))
        drivers = [stage.new_driver() for _ in range(5)]
        dice = random.Random(7)
        while not (await stage.run(run_id)).status.final:
            running = await stage.running(run_id)
            dice.shuffle(running)
            ends = [stage.end(task_id) for task_id in running[:3]]
            await asyncio.gather(*ends, *(driver.advance(run_id) for driver in drivers))
        run = await stage.run(run_id)
        assert run.status is WorkflowStatus.COMPLETED
        ids = {step_task_id(run_id, state.name, 0) for state in run.steps}
        assert {task.id for task in await stage.tasks()} == ids
        assert all(task.workflow and task.workflow.run == run_id for task in await stage.tasks())
        events = Counter(e.task_id for e in await stage.records.events("0") if e.kind == "registered")
        assert set(events.values()) == {1} and len(events) == 12
        assert await stage.runs.due() == ()

    play(scene)


def test_the_end_of_a_task_makes_its_run_due_in_the_same_call(play: Play) -> None:
    """So that nobody has to live on after a task has ended."""

    async def scene(stage: Stage) -> None:
        run_id = await stage.start(stage.workflow(step("a"), step("b")))
        assert await stage.runs.due() == ()
        before = (await stage.run(run_id)).version
        await stage.end((await stage.running(run_id))[0])
        assert (await stage.run(run_id)).version == before + 1
        assert await stage.runs.due() == (run_id,)
        assert await stage.runs.due() == ()  # handed out, for some seconds
        await stage.driver.advance(run_id)
        assert told(await stage.run(run_id)) == {"a": ("completed", None), "b": ("running", None)}
        # A task that ends before it was ever claimed counts as well.
        await stage.records.cancel((await stage.running(run_id))[0], "me")
        assert await stage.runs.due() == (run_id,)
        await stage.driver.advance(run_id)
        run = await stage.run(run_id)
        assert (run.status.value, told(run)["b"]) == ("failed", ("cancelled", "cancelled"))

    play(scene)


def test_a_change_of_what_was_changed_meanwhile_does_nothing(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        run_id = await stage.start(stage.workflow(step("a"), step("b")))
        stale = await stage.run(run_id)
        await stage.end((await stage.running(run_id))[0])
        answer = await stage.runs.advance(stale, Advance(WorkflowStatus.FAILED, stale.steps))
        assert answer.outcome is Advanced.STALE
        assert (await stage.run(run_id)).status is WorkflowStatus.RUNNING

    play(scene)


def test_starting_the_same_run_twice_is_once_and_another_payload_a_conflict(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        flow = stage.workflow(step("a"), schema={"additionalProperties": True})
        assert await stage.start(flow, {"x": 1}, run_id="same") == "same"
        assert await stage.start(flow, {"x": 1}, run_id="same") == "same"
        assert len(await stage.tasks()) == 1
        with pytest.raises(Conflict):
            await stage.start(flow, {"x": 2}, run_id="same")

    play(scene)


def test_a_failure_stops_the_run_and_what_runs_beside_it_may_end(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        flow = stage.workflow(step("a", needs=[]), step("b", needs=[]), step("c", needs=["b"]), step("d", needs=["c"]))
        run_id = await stage.start(flow)
        await stage.end(step_task_id(run_id, "a", 0), "failed")
        await stage.driver.sweep()
        run = await stage.run(run_id)
        assert run.status is WorkflowStatus.RUNNING
        assert told(run)["c"] == told(run)["d"] == ("skipped", "stopped")
        run = await stage.finish(run_id)
        assert (run.status.value, run.failed_steps) == ("failed", ("a",))
        assert told(run)["b"] == ("completed", None)

    play(scene)


def test_a_step_that_may_fail_lets_the_others_go_on_and_the_run_says_which(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        flow = stage.workflow(
            step("a", onFailure="continue"),
            step("b", when="${steps.a.status} == completed"),
            step("c", when="${steps.a.status} == failed and ${steps.a.reason} == exit-code"),
        )
        run_id = await stage.start(flow)
        await stage.end((await stage.running(run_id))[0], "failed")
        run = await stage.finish(run_id)
        assert (run.status.value, run.failed_steps) == ("failed", ("a",))
        assert told(run) == {"a": ("failed", "exit-code"), "b": ("skipped", "when"), "c": ("completed", None)}

    play(scene)


def test_a_step_is_tried_again_under_another_id(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        run_id = await stage.start(stage.workflow(step("a", retries=2), step("b")))
        for attempt in range(2):
            [task_id] = await stage.running(run_id)
            assert task_id == step_task_id(run_id, "a", attempt)
            await stage.end(task_id, "failed")
            await stage.driver.sweep()
        run = await stage.finish(run_id)
        assert run.status is WorkflowStatus.COMPLETED
        assert run.steps[0].attempt == 2
        # Out of tries: failed.
        run_id = await stage.start(stage.workflow(step("a", retries=1)))
        run = await stage.finish(run_id, status="timeout")
        assert (run.status.value, told(run)["a"], run.steps[0].attempt) == ("failed", ("timeout", "exit-code"), 1)

    play(scene)


def test_a_cancelled_run_ends_what_runs_and_begins_nothing(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        run_id = await stage.start(stage.workflow(step("a", needs=[]), step("b", needs=[]), step("c", needs=["a"])))
        claimed = await stage.records.claim(step_task_id(run_id, "a", 0), "w", 60)
        assert isinstance(claimed, Claimed)
        outcome, _ = await stop(run_id, runs=stage.runs, driver=stage.driver, by="me", why="wrong")
        assert outcome == "requested"
        task = await stage.records.get(step_task_id(run_id, "a", 0))
        assert task and task.cancel and (task.cancel.by, task.cancel.why) == ("me", "wrong")
        assert told(await stage.run(run_id))["b"][0] == "cancelled"
        await stage.records.resolve(claimed.claim, Resolution(Status.CANCELLED, "cancelled"))
        await stage.driver.sweep()
        run = await stage.run(run_id)
        assert (run.status.value, told(run)["c"]) == ("cancelled", ("skipped", "cancelled"))
        assert (await stop(run_id, runs=stage.runs, driver=stage.driver, by="me"))[0] == "final"
        assert (await stop("nobody", runs=stage.runs, driver=stage.driver, by="me"))[0] == "unknown"

    play(scene)


def test_a_cancellation_whose_asker_died_is_carried_out_by_others(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        run_id = await stage.start(stage.workflow(step("a"), step("b")))
        await stage.runs.cancel(run_id, "me")  # and dies
        await stage.driver.sweep()
        run = await stage.run(run_id)
        assert (run.status.value, told(run)) == (
            "cancelled",
            {"a": ("cancelled", "cancelled"), "b": ("skipped", "cancelled")},
        )

    play(scene)


def test_a_run_is_repeated_from_where_it_failed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        flow = stage.workflow(
            step("a"),
            step("b", payload={"v": "${steps.a.result.v}"}),
            step("c", payload={"v": "${steps.a.result.v}"}),
            schema={"additionalProperties": True},
        )
        first = await stage.start(flow, {"x": 1})
        await stage.end(step_task_id(first, "a", 0), result={"v": 42})
        await stage.driver.sweep()
        await stage.end(step_task_id(first, "b", 0), "failed")
        await stage.driver.sweep()
        old = await stage.run(first)
        assert old.status is WorkflowStatus.FAILED
        started = await repeat(
            old, runs=stage.runs, driver=stage.driver, find=stage.scripts.get, principal=ALL, trigger="api"
        )
        run = await stage.finish(started.run_id)
        assert (run.status.value, run.rerun_of, run.steps[0].kept) == ("completed", first, True)
        assert run.steps[0].task == step_task_id(first, "a", 0)
        again = await stage.records.get(step_task_id(run.id, "b", 0))
        assert again and again.payload == {"v": 42}
        assert len(await stage.tasks()) == 4
        assert (await stage.run(first)).status is WorkflowStatus.FAILED

    play(scene)


@pytest.mark.parametrize("result", ["not json at all", None, [], "x" * 10, {"v": {"deep": 1}}])
def test_a_result_that_is_not_as_expected_fails_the_step_that_asks_for_it(play: Play, result: Any) -> None:
    async def scene(stage: Stage) -> None:
        flow = stage.workflow(step("a"), step("b", "strict", payload={"n": "${steps.a.result.v}"}), step("c"))
        run_id = await stage.start(flow)
        await stage.end((await stage.running(run_id))[0], result=result)
        run = await stage.finish(run_id)
        assert (run.status.value, told(run)["b"]) == ("failed", ("exception", "malformed-payload"))
        assert told(run)["c"] == ("skipped", "stopped")

    play(scene)


def test_a_secret_in_a_result_is_not_repeated_by_what_follows(
    play: Play, store: Embedded, capfd: pytest.CaptureFixture[str]
) -> None:
    async def scene(stage: Stage) -> None:
        flow = stage.workflow(
            step("a"),
            step("b", "secret", payload={"token": "${steps.a.result.token}"}),
            step("c", "secret", payload={"token": "${steps.a.result.wrong}"}),
        )
        run_id = await stage.start(flow)
        await stage.end((await stage.running(run_id))[0], result={"token": SECRET, "wrong": [SECRET]})
        await stage.driver.sweep()
        [task_id] = await stage.running(run_id)
        assert SECRET.encode() in (await stage.records.payload(task_id) or b"")
        run = await stage.finish(run_id)
        assert told(run)["c"] == ("exception", "malformed-payload")
        task = await stage.records.get(task_id)
        for shown in (
            repr(run),
            repr(task),
            run.steps,
            run.shown,
            repr(await stage.records.get(run.steps[0].task or "")),
        ):
            assert SECRET not in str(shown)
        for key in await stage.redis.keys("penstock:workflow-run*"):
            if await stage.redis.type(key) == b"hash":
                assert SECRET not in str(await stage.redis.hgetall(key))

    play(scene)
    assert SECRET not in "".join(capfd.readouterr())


def test_a_secret_of_the_payload_is_forgotten_with_the_end(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        marked = {"properties": {"token": {"type": "string", "writeOnly": True}}}
        flow = stage.workflow(step("a", "secret", payload={"token": "${input.token}"}), step("b"), schema=marked)
        run_id = await stage.start(flow, {"token": SECRET})
        run = await stage.run(run_id)
        assert run.shown == {"token": "***"} and SECRET not in repr(run)
        assert (await stage.records.get(step_task_id(run_id, "a", 0))).payload == {"token": "***"}  # type: ignore[union-attr]
        await stage.finish(run_id)
        assert SECRET not in str(await stage.redis.hgetall(f"penstock:workflow-run:{run_id}"))

    play(scene)


def test_the_rights_of_who_started_it_are_asked_at_the_start_and_at_each_step(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        flow = stage.workflow(step("a", "open"), step("b", "other"))
        held = frozenset({"workflows:execute", "scripts:execute:open"})
        with pytest.raises(NotAllowed, match="scripts:execute:other"):
            await stage.start(flow, principal=Principal("key", "key", held))
        with pytest.raises(NotAllowed, match="workflows:execute:flow"):
            await stage.start(flow, principal=Principal("key", "key", frozenset({"scripts:execute"})))
        assert await stage.tasks() == ()
        scopes = frozenset({"workflows:*", "scripts:execute"})
        made = (await stage.keys.create(NewKey("ci", scopes))).key
        run_id = await stage.start(flow, principal=Principal("ci", "key", scopes, made.id))
        await stage.keys.revoke(made.id)
        run = await stage.finish(run_id)
        assert told(run) == {"a": ("completed", None), "b": ("exception", "not-allowed")}
        assert "revoked" in run.steps[1].message

    play(scene)


def test_an_id_that_another_task_has_fails_the_step(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        flow = stage.workflow(step("a"), step("b"))
        await submit(
            stage.scripts["open"],
            b'{"taken": 1}',
            records=stage.records,
            publisher=RedisPublisher(stage.redis),
            default_queue="penstock",
            trigger="api",
            principal=ALL,
            task_id=step_task_id("mine", "b", 0),
        )
        run = await stage.finish(await stage.start(flow, run_id="mine"))
        assert told(run)["b"] == ("exception", "conflict")
        assert (await stage.records.get(step_task_id("mine", "b", 0))).payload == {"taken": 1}  # type: ignore[union-attr]

    play(scene)


def test_a_script_that_is_not_here_is_left_to_others_for_a_while(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        run_id = await stage.start(stage.workflow(step("a"), step("b", "other")))
        await stage.end((await stage.running(run_id))[0])
        ignorant = stage.new_driver({"open": stage.scripts["open"]})
        await ignorant.advance(run_id)
        assert told(await stage.run(run_id)) == {"a": ("completed", None), "b": ("waiting", None)}
        await ignorant.advance(run_id)
        assert await stage.redis.zcard("penstock:workflow-runs:due") == 1
        await stage.driver.advance(run_id)
        assert told(await stage.run(run_id))["b"] == ("running", None)

    play(scene)


def test_a_task_that_was_removed_ends_its_step(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        run_id = await stage.start(stage.workflow(step("a"), step("b")))
        [task_id] = await stage.running(run_id)
        await stage.end(task_id)
        found = await stage.records.prunable(older_than_ms=0, keep_count=None)
        assert await stage.records.forget(found) == 1
        await stage.driver.sweep()
        assert told(await stage.run(run_id))["a"] == ("exception", "task-removed")
        assert len(await stage.tasks()) == 0

    play(scene)


def test_runs_are_listed_newest_first_and_pruned_when_they_have_ended(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        flow = stage.workflow(step("a"))
        ids = [await stage.start(flow) for _ in range(5)]
        for run_id in ids[:4]:
            await stage.finish(run_id, status="failed" if run_id == ids[1] else "completed")
        page = await stage.runs.page(limit=2)
        assert [run.id for run in page.runs] == ids[:2:-1]
        rest = await stage.runs.page(limit=10, before=page.next)
        assert [run.id for run in rest.runs] == ids[2::-1] and rest.next is None
        assert [run.id for run in (await stage.runs.page(status=WorkflowStatus.FAILED)).runs] == [ids[1]]
        assert [run.id for run in (await stage.runs.page(workflow="other")).runs] == []
        assert await prune_runs(stage.runs, age_s=None, count=1) == 3
        assert {run.id for run in (await stage.runs.page(workflow="flow")).runs} == {ids[3], ids[4]}
        assert await prune_runs(stage.runs, age_s=0, count=None) == 1
        assert {run.id for run in (await stage.runs.page()).runs} == {ids[4]}
        keys = {key.decode() for key in await stage.redis.keys("penstock:workflow-run:*")}
        assert keys == {f"penstock:workflow-run:{ids[4]}"}
        # The end of a task of a run that was pruned wakes nobody.
        await stage.finish(ids[4])
        assert await stage.runs.due() == ()

    play(scene)
