"""Beats with given instants and a real store: each slot once, whoever decides on it, and as whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from engine.errors import DeclarationError
from tests.worker.test_workers import card
from worker.broker import RedisPublisher
from worker.config import Catalog, Settings, WorkerSettings, load_catalog
from worker.daemons.scheduled import ScheduledWorkflows
from worker.embedded import Embedded
from worker.model.access import Principal
from worker.model.answers import Claimed
from worker.model.api_key import NewKey
from worker.model.schedule import Schedule
from worker.model.status import Status
from worker.model.task import Resolution, Task
from worker.model.worker import Admitted, Pulse
from worker.operations.address import Fleet
from worker.operations.authorise import NotAllowed
from worker.schedules.beat import Beat
from worker.schedules.change import Changing, ReadOnly, UnknownSchedule
from worker.schedules.decide import start_ms, task_id
from worker.schedules.declared import Known
from worker.schedules.files import load_schedules
from worker.schedules.read import read_schedule, written
from worker.schedules.submitting import Submitting, submit_slot, trigger
from worker.schedules.view import views
from worker.store import InvalidName, Records, connect
from worker.store.api_keys import ApiKeys
from worker.store.audit import Audit
from worker.store.schedules import ScheduleChanged, ScheduleExists, Schedules, TooManySchedules
from worker.store.targets import Targets
from worker.store.workers import Workers
from worker.store.workflow_runs import WorkflowRuns
from worker.store.workflows import Workflows
from worker.workflows.definitions import Definitions
from worker.workflows.drive import Driver
from worker.workflows.rights import current_rights

MINUTE = 60_000
NOON = 1_900_000_000_000 - 1_900_000_000_000 % (24 * 60 * MINUTE) + 12 * 60 * MINUTE
ANN = Principal("ann", "local", frozenset({"*"}))


@dataclass
class Site:
    """One store with schedules, as a beat sees it."""

    redis: Redis
    catalog: Catalog
    files: dict[str, Schedule]

    @property
    def schedules(self) -> Schedules:
        return Schedules(self.redis)

    @property
    def records(self) -> Records:
        return Records(self.redis)

    @property
    def changing(self) -> Changing:
        return Changing(self.schedules, self.catalog, self.workflows, self.files)

    @property
    def runs(self) -> WorkflowRuns:
        return WorkflowRuns(self.redis)

    @property
    def workflows(self) -> ScheduledWorkflows:
        rights = current_rights(ApiKeys(self.redis), {})
        publisher = RedisPublisher(self.redis)
        driver = Driver(self.runs, self.records, publisher, self.catalog.get, "penstock", rights)
        return ScheduledWorkflows(self.definitions, self.runs, driver, self.catalog.get)

    @property
    def definitions(self) -> Definitions:
        return Definitions({}, Workflows(self.redis))

    @property
    def audit(self) -> Audit:
        return Audit(self.redis)

    @property
    def fleet(self) -> Fleet:
        return Fleet(Workers(self.redis), Targets(self.redis), 60.0)

    @property
    def submitting(self) -> Submitting:
        publisher = RedisPublisher(self.redis)
        keys = ApiKeys(self.redis)
        workflows, audit, fleet = self.workflows, self.audit, self.fleet
        return Submitting(self.schedules, self.records, publisher, keys, {}, "penstock", workflows, audit, fleet)

    def beat(self) -> Beat:
        return Beat(lambda: Known(self.catalog, self.files), self.submitting)

    async def make(self, name: str = "nightly", owner: Principal = ANN, **fields: Any) -> Schedule:
        value = {"script": "work", "cronExpression": "* * * * *", "payload": {"n": 1}, **fields}
        if "workflow" in fields:
            del value["script"]
        return await self.schedules.create(await self.changing.read(name, value, owner), NOON)

    async def save(self, name: str = "both", script: str = "work", **more: Any) -> None:
        """A workflow of two steps with the same payload."""
        schema = {"properties": {"n": {"type": "integer"}, "token": {"type": "string", "writeOnly": True}}}
        steps = [{"name": each, "script": script, "payload": {"n": "${input.n}"}} for each in ("one", "two")]
        await self.definitions.stored.create(name, {"schema": schema, "steps": steps, **more}, "ann")

    async def run_ids(self, name: str = "nightly") -> list[str]:
        return list(reversed((await self.schedules.run_ids(name, 200))[0]))

    async def drive(self, run_id: str) -> None:
        """Both steps to their end."""
        for step in (0, 1):
            run = await self.runs.get(run_id)
            task = await self.records.get((run and run.steps[step].task) or "")
            assert task
            await self.end(task)
            await self.workflows._driver.advance(run_id)

    async def tasks(self, name: str = "nightly") -> list[Task]:
        return list(reversed((await self.schedules.tasks(name, 200))[0]))

    async def end(self, task: Task) -> None:
        claimed = await self.records.claim(task.id, "w", 10)
        assert isinstance(claimed, Claimed)
        await self.records.resolve(claimed.claim, Resolution(Status.COMPLETED))

    async def trouble(self, name: str = "nightly") -> str:
        return (await self.schedules.states([name]))[name].trouble


@pytest.fixture
def play(store: Embedded, tmp_path: Path) -> Callable[[Callable[[Site], Awaitable[None]]], None]:
    scripts = tmp_path / "config" / "scripts"
    scripts.mkdir(parents=True)
    schema = {"properties": {"n": {"type": "integer"}, "token": {"type": "string", "writeOnly": True}}}
    for name, more in (("work", {}), ("signed", {"allowedScopes": ["release:sign"]}), ("off", {"enabled": False})):
        (scripts / f"{name}.yaml").write_text(json.dumps({"command": ["/bin/cat"], "schema": schema, **more}))
    catalog = load_catalog(Settings(tmp_path, tmp_path / ".penstock", WorkerSettings("w")))

    def run(scene: Callable[[Site], Awaitable[None]]) -> None:
        async def with_site() -> None:
            redis = connect(store.url)
            try:
                await scene(Site(redis, catalog, {}))
            finally:
                await redis.aclose()

        asyncio.run(with_site())

    return run


def test_a_slot_becomes_a_task_as_it_was_declared(play: Callable[..., None]) -> None:
    async def scene(site: Site) -> None:
        await site.make(tags=["loud"], jitter="1h")
        assert await site.beat().tick(NOON) == NOON + MINUTE
        assert await site.tasks() == []
        assert await site.beat().tick(NOON + MINUTE + 5) == NOON + 2 * MINUTE
        [task] = await site.tasks()
        assert (task.script, task.trigger, task.payload, task.submitted_by) == ("work", "schedule", {"n": 1}, "ann")
        assert task.tags == ("loud", "schedule:nightly") and task.due_at is not None
        assert 0 <= task.due_at - (NOON + MINUTE) <= 3_600_000
        state = (await site.schedules.states(["nightly"]))["nightly"]
        assert (state.last_slot, state.last_task, state.waiting) == (NOON + MINUTE, task.id, ())

    play(scene)


def test_a_slot_is_for_whom_its_target_means_then(play: Callable[..., None]) -> None:
    async def scene(site: Site) -> None:
        schedule = await site.make(target=["group:web"], overlap="allow")
        assert written(schedule)["target"] == ["group:web"]
        await site.beat().tick(NOON)
        await site.beat().tick(NOON + MINUTE)
        assert await site.tasks() == [] and "no worker is meant by group:web" in await site.trouble()
        admits = (Admitted("work", "penstock", "0" * 64),)
        await site.fleet.workers.enter(card(beat_ms=60_000), admits, Pulse())
        await site.beat().tick(NOON + 2 * MINUTE)
        [task] = await site.tasks()
        assert (task.target, [child.worker for child in task.children]) == ("group:web", ["one"])
        for wrong in ("a b", ["one", "two"], "../x", []):
            with pytest.raises(DeclarationError) as caught:
                await site.make("wrong", target=wrong)
            assert [problem.pointer for problem in caught.value.problems] == ["/target"]

    play(scene)


def test_many_beats_at_the_same_time_submit_each_slot_once(play: Callable[..., None]) -> None:
    async def scene(site: Site) -> None:
        await site.make(overlap="allow")
        await site.make("once", cronExpression="*/3 * * * *", catchUp="once", overlap="allow")
        beats = [site.beat() for _ in range(6)]
        for minute in range(1, 13):
            # Their clocks differ by some milliseconds, as those of hosts that ask the store one after the other.
            await asyncio.gather(*(beat.tick(NOON + minute * MINUTE + late) for late, beat in enumerate(beats)))
        assert len(await site.tasks()) == 12
        assert len(await site.tasks("once")) == 4
        assert sum((await site.records.counts()).values()) == 16

    play(scene)


def test_what_a_beat_decided_and_did_not_do_is_done_by_the_next(play: Callable[..., None]) -> None:
    async def scene(site: Site) -> None:
        made = await site.make()
        before = (await site.schedules.states(["nightly"]))["nightly"]
        # Killed right after its decision.
        after = replace(before, handled=NOON + MINUTE, waiting=(NOON + MINUTE,))
        assert await site.schedules.decide("nightly", before, after)
        assert await site.schedules.decide("nightly", before, after) is None
        await site.beat().tick(NOON + MINUTE + 5000)
        assert len(await site.tasks()) == 1
        # Killed between the task and the note of it: the next one finds the same task.
        state = (await site.schedules.states(["nightly"]))["nightly"]
        [task] = await site.tasks()
        await site.end(task)
        await site.schedules.decide("nightly", state, replace(state, waiting=(NOON + MINUTE,)))
        await site.beat().tick(NOON + MINUTE + 6000)
        assert [t.id for t in await site.tasks()] == [task.id] and made.name == "nightly"

    play(scene)


def test_an_overlap_is_skipped_or_waits_for_the_end_of_the_task(play: Callable[..., None]) -> None:
    async def scene(site: Site) -> None:
        await site.make("skips", overlap="skip")
        await site.make("queues", overlap="queue")
        beat = site.beat()
        for minute in (1, 2, 3):
            following = await beat.tick(NOON + minute * MINUTE)
        assert following == NOON + 3 * MINUTE  # something waits: look again soon
        [skips], [queues] = await site.tasks("skips"), await site.tasks("queues")
        states = await site.schedules.states(["skips", "queues"])
        assert (states["skips"].skipped, states["queues"].skipped) == (2, 1)
        await site.end(skips)
        await site.end(queues)
        await beat.tick(NOON + 3 * MINUTE + 1000)
        assert len(await site.tasks("skips")) == 1
        assert len(await site.tasks("queues")) == 2
        assert await beat.tick(NOON + 3 * MINUTE + 2000) == NOON + 4 * MINUTE
        await beat.tick(NOON + 4 * MINUTE)
        assert len(await site.tasks("skips")) == 2

    play(scene)


def test_a_schedule_whose_key_is_revoked_or_whose_scopes_went_stops_and_says_why(play: Callable[..., None]) -> None:
    async def scene(site: Site) -> None:
        keys = ApiKeys(site.redis)
        key = (await keys.create(NewKey("ci", frozenset({"scripts:execute:work"})))).key
        ci = Principal("ci", "key", key.scopes, key.id)
        await site.make(owner=ci, overlap="allow")
        await site.make("signs", script="signed", owner=replace(ci, scopes=frozenset({"*"})), overlap="allow")
        beat = site.beat()
        await beat.tick(NOON + MINUTE)
        assert [task.submitted_by for task in await site.tasks()] == ["ci"]
        # What it had when it was made does not suffice: it has to have it now.
        assert await site.tasks("signs") == [] and "may not run" in await site.trouble("signs")
        [refused] = (await site.audit.read()).entries
        assert (refused.action, refused.result, refused.who, refused.key, refused.target) == (
            "schedules.submit",
            "denied",
            "ci",
            key.id,
            "signs",
        )
        successor = (await keys.rotate(key.id, overlap_s=0)).key
        await beat.tick(NOON + 2 * MINUTE)
        assert len(await site.tasks()) == 2
        await keys.revoke(successor.id)
        await beat.tick(NOON + 3 * MINUTE)
        assert len(await site.tasks()) == 2
        assert successor.id in await site.trouble() and "revoked" in await site.trouble()

    play(scene)


def test_a_script_that_is_disabled_gone_or_asks_for_another_payload_is_a_trouble_and_no_crash(
    play: Callable[..., None],
) -> None:
    async def scene(site: Site) -> None:
        await site.make("off", script="off")
        await site.make("strict")
        await site.make("gone")
        await site.make("fine")
        for name, change in (("strict", {"payload": {"n": "x"}}), ("gone", {"script": "gone"})):
            old = await site.schedules.get(name)
            assert old
            await site.schedules.update(old, replace(old, **change), NOON)
        await site.beat().tick(NOON + MINUTE)
        assert "disabled" in await site.trouble("off")
        assert "/n" in await site.trouble("strict")
        assert "no script gone" in await site.trouble("gone")
        assert len(await site.tasks("fine")) == 1 and await site.trouble("fine") == ""

    play(scene)


def test_each_slot_starts_a_workflow_once_whoever_decides_and_dies(play: Callable[..., None]) -> None:
    async def scene(site: Site) -> None:
        await site.save()
        await site.make(workflow="both", overlap="allow", payload={"n": 3, "token": "s"})
        before = (await site.schedules.states(["nightly"]))["nightly"]
        beats = [site.beat() for _ in range(4)]
        for minute in range(1, 6):
            await asyncio.gather(*(beat.tick(NOON + minute * MINUTE + late) for late, beat in enumerate(beats)))
        ids = await site.run_ids()
        assert len(set(ids)) == 5 == len((await site.runs.page()).runs)
        run = await site.runs.get(ids[0])
        assert run and (run.trigger, run.principal.name, run.shown) == ("schedule", "ann", {"n": 3, "token": "***"})
        # Killed between the start and the note of it; meanwhile nobody could start it any more.
        state = (await site.schedules.states(["nightly"]))["nightly"]
        await site.schedules.decide("nightly", state, replace(state, waiting=(NOON + MINUTE,)))
        await site.definitions.stored.delete("both")
        await site.beat().tick(NOON + 5 * MINUTE + 500)
        assert (await site.run_ids())[-1] == ids[0] and len((await site.runs.page()).runs) == 5
        assert await site.trouble() == "" and before.salt == state.salt
        await site.beat().tick(NOON + 6 * MINUTE)
        assert len((await site.runs.page()).runs) == 5 and "no workflow both" in await site.trouble()
        # All are through, each of their steps once.
        for id in ids:
            await site.drive(id)
        assert sum((await site.records.counts()).values()) == 10

    play(scene)


def test_a_run_that_goes_on_overlaps_and_a_jitter_is_waited_for(play: Callable[..., None]) -> None:
    async def scene(site: Site) -> None:
        await site.save()
        await site.make("skips", workflow="both", overlap="skip")
        await site.make("queues", workflow="both", overlap="queue")
        beat = site.beat()
        for minute in (1, 2, 3):
            await beat.tick(NOON + minute * MINUTE)
        [skips], [queues] = await site.run_ids("skips"), await site.run_ids("queues")
        found = await site.schedules.states(["skips", "queues"])
        assert (found["skips"].skipped, found["queues"].skipped) == (2, 1)
        await site.drive(skips)
        await site.drive(queues)
        await beat.tick(NOON + 3 * MINUTE + 1000)
        assert (len(await site.run_ids("skips")), len(await site.run_ids("queues"))) == (1, 2)
        [shown] = await views([await site.changing.find("skips")], site.changing, site.submitting.launched)
        assert (shown.last_workflow_run, shown.last_task, shown.last_status) == (skips, None, Status.COMPLETED)
        # The jitter is drawn from each schedule's own secret: take one whose minutes begin later than the third.
        for name in (f"late-{number}" for number in count(1)):
            late = await site.make(name, workflow="both", overlap="allow", jitter="1h")
            state = (await site.schedules.states([name]))[name]
            at = [start_ms(state, late, NOON + minute * MINUTE) or 0 for minute in (1, 2, 3)]
            if min(at) > NOON + 3 * MINUTE:
                break
        for minute in (1, 2, 3):
            await beat.tick(NOON + minute * MINUTE)
        assert await site.run_ids(name) == []
        wanted = {task_id(state, name, NOON + minute * MINUTE) for minute in (1, 2, 3)}
        for begun, begins in enumerate(sorted(at)):
            # Other minutes came meanwhile, and may begin earlier. Each beat is another one, as after a kill.
            await site.beat().tick(begins - 1)
            assert len(wanted & set(await site.run_ids(name))) == begun
            await site.beat().tick(begins)
        assert wanted <= set(await site.run_ids(name))

    play(scene)


def test_a_workflow_is_started_with_the_rights_to_all_of_its_steps_or_not_at_all(play: Callable[..., None]) -> None:
    async def scene(site: Site) -> None:
        await site.save()
        await site.save("signing", "signed")
        keys = ApiKeys(site.redis)
        wide = frozenset({"workflows:execute:both", "scripts:execute:work"})
        key = (await keys.create(NewKey("ci", wide))).key
        ci = Principal("ci", "key", wide, key.id)
        for name, owner in (("signing", ci), ("both", replace(ci, scopes=frozenset({"workflows:execute"})))):
            with pytest.raises(NotAllowed):
                await site.changing.create(await site.changing.read("no", value(script=None, workflow=name), owner))
        await site.make(workflow="both", owner=ci, overlap="allow")
        # It was allowed more when it was made than its key may now.
        await site.make("signs", workflow="signing", owner=replace(ci, scopes=frozenset({"*"})), overlap="allow")
        # And less than its key may now: its steps get what both may.
        less = replace(ci, scopes=wide | {"scripts:execute:signed"})
        await site.make("less", workflow="both", owner=less, overlap="allow")
        await site.beat().tick(NOON + MINUTE)
        assert len(await site.run_ids()) == 1 and await site.run_ids("signs") == []
        assert "may not run" in await site.trouble("signs")
        run = await site.runs.get((await site.run_ids("less"))[0])
        assert run and run.principal.scopes == wide
        await keys.revoke(key.id)
        await site.beat().tick(NOON + 2 * MINUTE)
        assert len(await site.run_ids()) == 1 and "revoked" in await site.trouble()
        denied = [entry for entry in (await site.audit.read()).entries if entry.result == "denied"]
        assert sorted(entry.target for entry in denied) == ["less", "nightly", "signs", "signs"]

    play(scene)


def test_a_schedule_that_gets_a_workflow_for_its_script_starts_no_slot_twice(play: Callable[..., None]) -> None:
    async def scene(site: Site) -> None:
        await site.save()
        made = await site.make()
        state = (await site.schedules.states(["nightly"]))["nightly"]
        waiting = replace(state, handled=NOON + MINUTE, waiting=(NOON + MINUTE,))
        assert await site.schedules.decide("nightly", state, waiting)
        await submit_slot(made, state, NOON + MINUTE, site.catalog, site.submitting)  # and killed
        await site.schedules.update(made, replace(made, script=None, workflow="both"), NOON + MINUTE + 1)
        await site.beat().tick(NOON + MINUTE + 10)
        assert await site.run_ids() == []
        await site.beat().tick(NOON + 2 * MINUTE)
        assert len(await site.run_ids()) == 1

    play(scene)


def test_changes_are_checked_heard_of_and_made_once(play: Callable[..., None]) -> None:
    async def scene(site: Site) -> None:
        change = await site.schedules.newest_change()
        new = read_schedule("nightly", value(), catalog=site.catalog, owner=ANN)
        made = await site.changing.create(new)
        assert await site.schedules.changed(change, 1) != change
        with pytest.raises(ScheduleExists):
            await site.changing.create(new)
        first = await site.changing.update(replace(new, description="first"))
        with pytest.raises(ScheduleChanged):
            await site.schedules.update(made, replace(new, description="second"), NOON)
        assert (first.created_at, first.description) == (made.created_at, "first")
        assert (await site.changing.switch("nightly", ANN, enabled=False)).enabled is False
        nobody = Principal("bob", "key", frozenset({"schedules:*"}), "abcdefgh")
        with pytest.raises(NotAllowed):
            await site.changing.switch("nightly", nobody, enabled=True)
        with pytest.raises(NotAllowed):
            await site.changing.create(replace(new, name="bobs", owner=nobody))
        await site.changing.remove("nightly")
        with pytest.raises(UnknownSchedule):
            await site.changing.remove("nightly")
        assert await site.schedules.states(["nightly"]) == {}

    play(scene)


def test_a_file_hides_what_the_store_has_and_is_not_changed(play: Callable[..., None], tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        await site.make("declared", payload={"n": 1})
        folder = tmp_path / "config" / "schedules"
        folder.mkdir()
        (folder / "declared.yaml").write_text("{script: work, cronExpression: '* * * * *', payload: {n: 2}}")
        site.files.update(load_schedules(folder, site.catalog, {}))
        for change in (site.changing.remove("declared"), site.changing.switch("declared", ANN, enabled=False)):
            with pytest.raises(ReadOnly):
                await change
        await site.beat().tick(NOON + MINUTE)
        assert [(task.payload, task.submitted_by) for task in await site.tasks("declared")] == [({"n": 2}, "operator")]

    play(scene)


def test_a_trigger_submits_as_who_asks_and_leaves_the_times_as_they_are(play: Callable[..., None]) -> None:
    async def scene(site: Site) -> None:
        made = await site.make()
        id = await trigger(made, replace(ANN, name="bob"), site.catalog, site.submitting)
        [task] = await site.tasks()
        assert (task.id, task.submitted_by) == (id, "bob")
        await site.beat().tick(NOON + MINUTE)
        assert len(await site.tasks()) == 2

    play(scene)


def test_a_store_full_of_schedules_takes_no_more(play: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.store.schedules.MOST", 3)

    async def scene(site: Site) -> None:
        for number in range(3):
            await site.make(f"n{number}")
        with pytest.raises(TooManySchedules):
            await site.make("n3")
        for name in ("../n1", "n1\n", "N1", "", "a" * 64, "*"):
            with pytest.raises(InvalidName):
                await site.schedules.get(name)

    play(scene)


def value(**fields: Any) -> dict[str, Any]:
    found = {"script": "work", "cronExpression": "* * * * *", **fields}
    return {key: each for key, each in found.items() if each is not None}


HOSTILE = "$(touch x)"


@pytest.mark.parametrize(
    ("name", "fields", "pointers"),
    [
        ("../etc", {}, [""]),
        (HOSTILE, {}, [""]),
        ("ok", {"script": HOSTILE}, ["/script"]),
        ("ok", {"script": "../../x"}, ["/script"]),
        ("ok", {"workflow": "w"}, [""]),
        ("ok", {"script": None, "workflow": "w"}, ["/workflow"]),
        ("ok", {"script": None, "workflow": "../both"}, ["/workflow"]),
        ("ok", {"script": None, "workflow": HOSTILE}, ["/workflow"]),
        ("ok", {"script": None, "workflow": "both\n"}, ["/workflow"]),
        ("ok", {"script": None, "workflow": "w" * 100_000}, ["/workflow"]),
        ("ok", {"script": None, "workflow": ["both"]}, ["/workflow"]),
        ("ok", {"script": None, "workflow": "both", "payload": {"n": "1"}}, ["/payload/n"]),
        ("ok", {"script": None, "workflow": "both", "payload": {"token": "***"}}, ["/payload/token"]),
        ("ok", {"script": None, "workflow": "both", "payload": {"token": "x" * 300_000}}, ["/payload"]),
        ("ok", {"timezone": "../../etc/passwd"}, ["/timezone"]),
        ("ok", {"timezone": "/etc/passwd"}, ["/timezone"]),
        ("ok", {"timezone": "Europe"}, ["/timezone"]),
        ("ok", {"timezone": "UTC\x00"}, ["/timezone"]),
        ("ok", {"timezone": HOSTILE}, ["/timezone"]),
        ("ok", {"cronExpression": HOSTILE}, ["/cronExpression"]),
        ("ok", {"cronExpression": "0 0 30 2 *"}, ["/cronExpression"]),
        ("ok", {"cronExpression": "1," * 100_000 + "1 * * * *"}, ["/cronExpression"]),
        ("ok", {"payload": {"n": "1"}}, ["/payload/n"]),
        ("ok", {"payload": {"x": 1}}, ["/payload/x"]),
        ("ok", {"payload": {"token": "***"}}, ["/payload/token"]),
        ("ok", {"payload": {"token": "x" * 20_000_000}}, ["/payload"]),
        ("ok", {"payload": []}, ["/payload"]),
        ("ok", {"startAt": "tomorrow", "endAt": "9999-99-99"}, ["/startAt", "/endAt"]),
        ("ok", {"startAt": "2027-01-02", "endAt": "2027-01-01"}, ["/endAt"]),
        ("ok", {"cronExpression": "0 0 29 2 *", "startAt": "2026-03-01", "endAt": "2027-03-01"}, ["/endAt"]),
        ("ok", {"startAt": "0001-01-01T00:00+14:00"}, ["/startAt"]),
        ("ok", {"jitter": "1y"}, ["/jitter"]),
        ("ok", {"jitter": "25h"}, ["/jitter"]),
        ("ok", {"jitter": -1}, ["/jitter"]),
        ("ok", {"catchUpLimit": 10**9, "overlap": "x", "enabled": "no"}, ["/catchUpLimit", "/enabled", "/overlap"]),
        ("ok", {"tags": ["a\nb"]}, ["/tags"]),
        ("ok", {"command": [HOSTILE]}, ["/command"]),
    ],
)
def test_all_that_is_wrong_is_told_with_its_place(
    play: Callable[..., None], name: str, fields: dict[str, Any], pointers: list[str]
) -> None:
    async def scene(site: Site) -> None:
        await site.save()
        with pytest.raises(DeclarationError) as error:
            await site.changing.read(name, value(**fields), ANN)
        assert sorted(problem.pointer for problem in error.value.problems) == sorted(pointers)
        assert all(str(problem).isprintable() and len(str(problem)) < 600 for problem in error.value.problems)

    play(scene)


def test_a_file_is_told_with_its_line_and_what_was_read_can_be_written(
    play: Callable[..., None], tmp_path: Path
) -> None:
    folder = tmp_path / "config" / "schedules"
    folder.mkdir(parents=True)
    wrong = folder / "wrong.yaml"

    async def scene(site: Site) -> None:
        wrong.write_text("script: nope\ncronExpression: 0 25 * * *\n")
        (folder / "Wrong Name.yml").write_text("{script: work, cronExpression: '@daily'}")
        with pytest.raises(DeclarationError) as error:
            load_schedules(folder, site.catalog, {})
        places = {(Path(problem.file or "").name, problem.line, problem.pointer) for problem in error.value.problems}
        assert places >= {("wrong.yaml", 1, "/script"), ("wrong.yaml", 2, "/cronExpression")}
        assert any(file == "Wrong Name.yml" for file, _, _ in places)
        made = await site.make(jitter="5m", startAt="2027-01-01", timezone="Asia/Tokyo", overlap="queue", catchUp="all")
        assert made.start_at == 1_798_729_200_000  # midnight in Tokyo
        again = read_schedule("nightly", written(made), catalog=site.catalog, owner=ANN)
        assert again == replace(made, created_at=None, updated_at=None)
        assert await site.schedules.get("nightly") == made

    play(scene)
