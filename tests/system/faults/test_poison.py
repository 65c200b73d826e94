"""Whatever lies in the queue, workers go on, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.faults.fault_site import FaultSite
from tests.system.faults.places import DONE, ends
from tests.system.faults.poison import HARMLESS, MALFORMED, PICKLE_MARK, UNREADABLE, message
from tests.system.site import eventually
from worker.daemons.wiring import Store
from worker.model.task import Task
from worker.store.dead_letters import DeadLetters

SCHEMA = {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "integer"}}}


@pytest.fixture
def steps(site: FaultSite) -> Iterator[FaultSite]:
    site.script("step", "cat", schema=SCHEMA)
    yield site
    assert not Path(PICKLE_MARK).exists()


def letters(site: FaultSite) -> set[bytes]:
    async def read(store: Store) -> set[bytes]:
        kept = DeadLetters(store.redis)
        page = await kept.list(limit=1000)
        assert all(letter.reason and letter.queue == "penstock" and letter.at for letter in page.letters)
        found = [await kept.get(letter.id) for letter in page.letters]
        return {raw for _, raw in filter(None, found)}

    kept: set[bytes] = site.ask(read)
    return kept


def test_what_cannot_become_a_task_is_a_dead_letter_and_stops_nobody(steps: FaultSite) -> None:
    worker = steps.worker("one")
    good = []
    for raw in UNREADABLE.values():
        steps.push(raw)
        good.append(steps.send("step", {"a": 1}))
    assert {ends(steps, task_id) for task_id in good} == {(DONE,)}
    kept = eventually(lambda: len(letters(steps)) >= len(UNREADABLE) and letters(steps), "all dead letters")
    lost = [name for name, raw in UNREADABLE.items() if raw not in kept]
    assert not lost, f"not among the dead letters: {lost}"
    assert kept == set(UNREADABLE.values())
    assert worker.poll() is None, "the same worker, from the first to the last"
    steps.check()


def test_what_names_a_script_and_is_wrong_is_a_malformed_payload(steps: FaultSite) -> None:
    worker = steps.worker("one")
    ids = {name: f"malformed-{number}" for number, name in enumerate(MALFORMED)}
    for name, parts in MALFORMED.items():
        steps.push(message(task_id=ids[name], **parts), task_id=ids[name])
    good = steps.send("step", {"a": 1})
    found = {name: steps.finished(task_id).reason for name, task_id in ids.items()}
    assert {name: reason for name, reason in found.items() if reason != "malformed-payload"} == {}
    assert ends(steps, good) == (DONE,)
    assert letters(steps) == set()
    assert all(not steps.marks(task_id) for task_id in ids.values()), "no command saw any of it"
    assert worker.poll() is None
    steps.check()


def test_what_a_message_asks_for_besides_its_script_has_no_effect(steps: FaultSite) -> None:
    worker = steps.worker("one")
    ids = {name: f"harmless-{number}" for number, name in enumerate(HARMLESS)}
    for name, parts in HARMLESS.items():
        steps.push(message(task_id=ids[name], **parts), task_id=ids[name])
    found = {name: ends(steps, task_id) for name, task_id in ids.items()}
    assert {name: end for name, end in found.items() if end != (DONE,)} == {}
    assert steps.task("called-back") is None
    assert worker.poll() is None
    steps.check()


def test_a_worker_that_starts_on_a_poisoned_queue_lives(steps: FaultSite) -> None:
    """Where a stock worker dies, again at every start."""
    for raw in UNREADABLE.values():
        steps.push(raw)
    good = steps.send("step", {"a": 1})
    worker = steps.worker("one")
    assert ends(steps, good) == (DONE,)
    eventually(lambda: len(letters(steps)) == len(set(UNREADABLE.values())), "all dead letters")
    assert worker.poll() is None
    steps.check()


def test_a_dead_letter_is_kept_while_the_store_is_away(steps: FaultSite) -> None:
    steps.worker("one")
    steps.push(UNREADABLE["a JSON number"])
    steps.store.restart()
    eventually(lambda: letters(steps) == {UNREADABLE["a JSON number"]}, "the dead letter")
    steps.check()


def test_a_replayed_letter_becomes_a_task_once_there_is_a_script_for_it(steps: FaultSite) -> None:
    worker = steps.worker("one")
    steps.tried("late")
    steps.push(message(task="penstock.later", task_id="late"))
    eventually(lambda: letters(steps), "the dead letter")
    steps.script("later", "cat")
    worker.terminate()
    assert worker.wait(20) == 0
    steps.worker("two")
    [letter] = steps.ask(lambda store: DeadLetters(store.redis).list()).letters
    steps.penstock("dead-letters", "replay", letter.id)
    assert ends(steps, "late") == (DONE,)
    assert letters(steps) == set()
    steps.check()


@pytest.fixture
def opened(folder: Path) -> Iterator[FaultSite]:
    """With a queue for plain documents."""
    with FaultSite(folder, queues={"uploads": {"plain": "step"}}) as site:
        site.script("step", "cat", once=True)
        yield site


def uploaded(site: FaultSite, count: int) -> list[Task]:
    """The tasks that were made of documents, when there are so many; no producer knows their ids."""

    def look() -> list[Task]:
        found = [task for task in site.tasks().values() if task.script == "step"]
        return found if len(found) >= count else []

    found = eventually(look, f"{count} tasks")
    for task in found:
        site.tried(task.id)
    return [site.finished(task.id) for task in found]


def test_a_plain_document_in_a_queue_that_is_opened_for_it_is_a_task(opened: FaultSite) -> None:
    """Whatever it says of itself; what is no document is malformed, and elsewhere it is a dead letter."""
    opened.script("other", "exit 0")
    opened.worker("one")
    opened.push(b'{"big": %d, "task": "penstock.other", "id": "mine", "args": []}' % 2**70, "uploads")
    (task,) = uploaded(opened, 1)
    assert (task.status, task.queue, task.payload["big"]) == ("completed", "uploads", 2**70)
    for raw in (b"5", b'{"a": 1', b"\xff\x00", b"", b'{"a": 1, "a": 2}'):
        opened.push(raw, "uploads")
    assert [task.reason for task in uploaded(opened, 6)].count("malformed-payload") == 5
    opened.push(b'{"a": 1}')
    eventually(lambda: letters(opened) == {b'{"a": 1}'}, "a dead letter")
    opened.check()
    assert opened.task("mine") is None


def test_a_plain_document_is_one_task_though_its_worker_is_killed(opened: FaultSite) -> None:
    """It gets its id before anything is done with it."""
    proxy = opened.proxy()
    worker = opened.worker("one", via=proxy)
    hold = proxy.hold_request("EVALSHA", "uploads", "step")
    opened.push(b'{"n": 1}', "uploads")
    hold.wait()
    opened.kill(worker)
    hold.drop()
    opened.worker("two")
    (task,) = uploaded(opened, 1)
    assert task.payload == {"n": 1}
    assert ends(opened, task.id) == (DONE,)
    opened.check()
