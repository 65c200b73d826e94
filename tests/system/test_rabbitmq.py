"""What any Celery producer can do with a worker, and what it cannot, with RabbitMQ as the broker."""

from __future__ import annotations

import pickle
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amqp
import pytest

from tests.system.conftest import Deployment
from tests.system.rabbit import PLAIN, Node, RabbitSite
from tests.system.site import eventually

# The scenes themselves: each runs here with the `site` below.
from tests.system.test_celery import *  # noqa: F403
from tests.system.test_celery import COMMANDS, declare_scripts
from worker.broker.rabbit_queues import DEAD, quorum_queue
from worker.model.listing import TaskPage
from worker.model.task import Task


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.close()


@pytest.fixture(scope="module", params=COMMANDS)
def site(request: pytest.FixtureRequest, node: Node) -> Iterator[RabbitSite]:
    site = RabbitSite(Path(tempfile.mkdtemp(prefix="ps")), node)
    declare_scripts(site)
    site.settings(queues={PLAIN: {"plain": "echo"}})
    site.start(*COMMANDS[request.param])
    yield site
    try:
        site.stop()
        assert [process.returncode for process in site.processes] == [0] * len(site.processes)
        assert site.queued() == (0, 0)
        assert site.queued(PLAIN) == (0, 0)
        assert site.queued(DEAD) == (0, 0)
    finally:
        site.close()
        shutil.rmtree(site.folder, ignore_errors=True)


class Undecodable(amqp.Message):
    """A message whose content type is no UTF-8."""

    def _serialize_properties(self) -> bytes:
        return struct.pack(">HB4s", 1 << 15, 4, b"\xff\xfe\xff\xfe")


def message(task: object = "penstock.echo", task_id: object = None, **headers: object) -> dict[str, Any]:
    named = {"task": task, "id": task_id, "lang": "py", **headers}
    return {"headers": {key: value for key, value in named.items() if value is not None}}


JSON = {"content_type": "application/json", "content_encoding": "utf-8"}
EMPTY = b"[[], {}, {}]"
UNREADABLE: dict[str, tuple[bytes, dict[str, Any]]] = {
    "nothing at all": (b"", {}),
    "no JSON": (b"\xff\x00{", JSON),
    "a number": (b"5", JSON),
    "a body of another shape": (b'{"hello": [1]}', JSON),
    "no id": (EMPTY, {**JSON, **message()}),
    "an id that is a number": (EMPTY, {**JSON, **message(task_id=7)}),
    "an id that is a path": (EMPTY, {**JSON, **message(task_id="a/../b")}),
    "an id of two lines": (EMPTY, {**JSON, **message(task_id="a\nb")}),
    "a name that is a number": (EMPTY, {**JSON, **message(task=3, task_id="number-name")}),
    "an unknown task": (EMPTY, {**JSON, **message(task="somebody.elses", task_id="unknown")}),
    "an unknown script": (EMPTY, {**JSON, **message(task="penstock.nothing", task_id="unknown-script")}),
    "a Celery task of Celery's": (EMPTY, {**JSON, **message(task="celery.map", task_id="built-in")}),
    "pickle in protocol 1": (pickle.dumps({"task": "penstock.echo", "id": "p1"}), {"content_type": "x-pickle"}),
}
MALFORMED: dict[str, tuple[bytes, dict[str, Any]]] = {
    "no content type": (EMPTY, {}),
    "pickle": (pickle.dumps(([], {}, {})), {"content_type": "application/x-python-serialize"}),
    "YAML": (b"- []\n- {}\n- {}\n", {"content_type": "application/x-yaml"}),
    "a codec that is slow": (b"a" * 100_000 + b"-" + b"b" * 100_000, {**JSON, "content_encoding": "punycode"}),
    "a codec that there is not": (EMPTY, {**JSON, "content_encoding": "no-such"}),
    "no list": (b'{"a": 1}', JSON),
    "too deep": (b"[[], " + b"[" * 10_000 + b"]" * 10_000 + b", {}]", JSON),
    "too large": (b'[[], {"a": "' + b"a" * 20_000_000 + b'"}, {}]', JSON),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_is_no_task_becomes_a_dead_letter_and_stops_nobody(site: RabbitSite, what: str) -> None:
    from worker.store import DeadLetters

    before = site.ask(lambda store: DeadLetters(store.redis).count())
    body, properties = UNREADABLE[what]
    site.put(body, **properties)
    eventually(lambda: site.ask(lambda store: DeadLetters(store.redis).count()) == before + 1, "a dead letter")
    assert site.finished(site.send("echo", {})).status == "completed"
    assert site.queued(DEAD) == (0, 0), "RabbitMQ's own dead letters are not ours"


@pytest.mark.parametrize("what", MALFORMED)
def test_what_names_a_script_and_is_wrong_is_a_malformed_payload(site: RabbitSite, what: str) -> None:
    body, properties = MALFORMED[what]
    task_id = "wrong-" + what.replace(" ", "-").lower()
    site.put(body, **{**properties, **message(task_id=task_id)})
    task = site.finished(task_id)
    assert (task.status, task.reason) == ("exception", "malformed-payload")
    assert site.finished(site.send("echo", {})).status == "completed"


def test_a_compressed_message_is_not_inflated(site: RabbitSite) -> None:
    bomb = zlib.compress(b"[" * 200_000_000, 9)
    site.put(bomb, **JSON, **message(task_id="bomb", compression="application/x-gzip"))
    assert site.finished("bomb").reason == "malformed-payload"
    assert b"compressed" in site.task_log("bomb")


def test_properties_that_cannot_be_decoded_stop_nobody(site: RabbitSite) -> None:
    for _ in range(3):
        site.put_message(Undecodable(EMPTY))
    assert site.finished(site.send("echo", {})).status == "completed"
    assert site.finished(site.send("echo", {})).status == "completed"


def test_what_headers_ask_for_has_no_effect(site: RabbitSite) -> None:
    asked = {"timelimit": ["soon", {"a": 1}], "retries": "many", "stamps": 7, "group": 3, "callbacks": "x", "chain": 1}
    site.put(EMPTY, **JSON, **message(task_id="asks-a-lot", **asked))
    assert site.finished("asks-a-lot").status == "completed"


def test_a_name_and_an_id_in_the_body_are_of_protocol_1(site: RabbitSite) -> None:
    site.put(b'{"task": "penstock.echo", "id": "first-protocol", "args": [], "kwargs": {"a": 1}}', **JSON)
    assert site.finished("first-protocol").payload == {"a": 1}


def test_the_queues_are_quorum_queues_with_dead_letters(site: RabbitSite) -> None:
    ours = quorum_queue("penstock")
    with site.node.connect() as connection:
        with connection.channel() as channel:
            channel.queue_declare("penstock", durable=True, auto_delete=False, arguments=ours.queue_arguments)
        with connection.channel() as channel, pytest.raises(amqp.exceptions.PreconditionFailed):
            channel.queue_declare("penstock", durable=True, auto_delete=False)


def plain_tasks(site: RabbitSite) -> dict[str, Task]:
    tasks: TaskPage = site.ask(lambda store: store.records.list(script="echo", limit=500))
    return {task.id: task for task in tasks.tasks if task.queue == PLAIN}


def test_a_plain_document_in_a_queue_that_is_opened_for_it_is_a_task(site: RabbitSite) -> None:
    """Whatever it says of itself, or nothing."""
    before = set(plain_tasks(site))
    for properties in ({}, JSON, {"content_type": "text/plain"}, {"headers": {"x-from": "a device"}}):
        site.put(b'{"big": %d, "task": "penstock.code", "id": "mine"}' % 2**70, PLAIN, **properties)
    new = eventually(lambda: len(found := set(plain_tasks(site)) - before) == 4 and found, "four tasks")
    for task_id in new:
        task = site.finished(task_id)
        assert (task.status, task.script, task.payload["big"]) == ("completed", "echo", 2**70)
    assert site.task("mine") is None
    eventually(lambda: site.queued(PLAIN)[0] == 0, "all acknowledged")


def test_a_plain_document_with_an_id_of_its_message_is_one_task(site: RabbitSite) -> None:
    for _ in range(2):
        site.put(b'{"a": 1}', PLAIN, message_id="upload-7")
    assert site.finished("upload-7").payload == {"a": 1}
    site.put(b'{"a": 2}', PLAIN, message_id="upload-7")
    assert site.finished(site.send("echo", {})).status == "completed"
    eventually(lambda: site.queued(PLAIN)[0] == 0, "all acknowledged")
    assert site.finished("upload-7").payload == {"a": 1}


@pytest.mark.parametrize("body", [b"5", b'{"a": 1', b"\xff\x00", b"", b'{"a": 1, "a": 2}'])
def test_what_is_no_document_there_is_a_malformed_payload(site: RabbitSite, body: bytes) -> None:
    before = set(plain_tasks(site))
    site.put(body, PLAIN)
    (new,) = eventually(lambda: set(plain_tasks(site)) - before, "a task")
    assert site.finished(new).reason == "malformed-payload"


def test_messages_of_celery_go_through_such_a_queue_too(site: RabbitSite) -> None:
    site.put(b'[[], {"a": 3}, {}]', PLAIN, **JSON, **message(task_id="through-the-other"))
    task = site.finished("through-the-other")
    assert (task.status, task.queue, task.payload) == ("completed", PLAIN, {"a": 3})


def test_submit_publishes_and_run_follows(site: RabbitSite) -> None:
    done = Deployment(site.folder).penstock("run", "echo", "-p", "a=1")
    assert done.code == 0, done.err
    assert '{"a":"1"}' in done.out
