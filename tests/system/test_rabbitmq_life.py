"""How a worker starts, stops and dies with RabbitMQ as the broker, and what it does when that goes away."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
import celery
import kombu
import pytest

from tests.system.conftest import Deployment
from tests.system.rabbit import Node, RabbitSite
from tests.system.site import eventually
from tests.system.test_worker_life import (
    ESCAPES,
    bearers,
    running,
    test_a_lost_worker_is_followed_by_another_run_where_retries_allow,  # noqa: F401
    test_a_worker_killed_with_sigkill_leaves_no_command_and_no_server,  # noqa: F401
    test_exit_code_4_of_a_command_ends_the_worker_with_4_after_what_runs,  # noqa: F401
    test_sigterm_finishes_what_runs_and_leaves_nothing,  # noqa: F401
    test_two_workers_share_one_store_and_each_task_runs_once,  # noqa: F401
    test_what_outlasts_the_grace_is_ended_and_told,  # noqa: F401
)
from worker.broker.rabbit_queues import DEAD
from worker.model.worker import Worker, WorkerState
from worker.operations.fleet import ask
from worker.store.dead_letters import DeadLetters
from worker.store.workers import Workers


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.close()


@pytest.fixture
def fresh_node() -> Iterator[Node]:
    """One that may be stopped: this version muddles up queues that are made, stopped and deleted within seconds.

    It is yet to be started, and need not run in the end.
    """
    node = Node(started=False)
    yield node
    node.close()


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[RabbitSite]:
    node = request.getfixturevalue("fresh_node" if "fresh_node" in request.fixturenames else "node")
    site = RabbitSite(Path(tempfile.mkdtemp(prefix="ps")), node)
    site.script("ready", "exit 0")
    yield site
    try:
        site.stop()
        assert bearers(site) == []
        assert not node.runs or site.queued(DEAD)[0] == 0
    finally:
        site.close()
        shutil.rmtree(site.folder, ignore_errors=True)


def test_a_second_sigterm_ends_what_runs_at_once(site: RabbitSite) -> None:
    site.script("slow", ESCAPES, env={"SITE": str(site.folder)}, killGrace=0, retries=0)
    worker = site.start()
    task_id = site.send("slow", {})
    eventually(lambda: running(site, "begun"), "the command")
    worker.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping" in site.log(), "the first to be heard")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert bearers(site) == []
    site.start()
    task = site.finished(task_id)
    assert task.runs[0].reason == "worker-shutdown"


def test_a_letter_for_a_script_that_was_declared_too_late_becomes_its_task(site: RabbitSite) -> None:
    """It goes back into its queue as it came, headers and all."""
    first = site.start()
    body = b'[[], {"text": "\xc5\xbc\xc3\xb3\xc5\x82w"}, {}]'
    headers = {"task": "penstock.late", "id": "too-early", "lang": "py"}
    site.put(body, content_type="application/json", content_encoding="utf-8", headers=headers)
    letters = eventually(lambda: site.ask(lambda store: DeadLetters(store.redis).list()).letters, "the letter")
    first.terminate()
    assert first.wait(timeout=30) == 0
    site.script("late", "cat")
    site.start()
    done = Deployment(site.folder).penstock("dead-letters", "replay", letters[0].id)
    assert (done.code, done.out) == (0, f"{letters[0].id} replayed\n"), done.err
    assert site.finished("too-early").status == "completed"
    assert '{"text":"żółw"}' in site.task_log("too-early").decode()
    assert site.ask(lambda store: DeadLetters(store.redis).count()) == 0


def test_ctrl_c_ends_an_idle_worker_with_0(site: RabbitSite) -> None:
    worker = site.start()
    worker.send_signal(signal.SIGINT)
    assert worker.wait(10) == 0


def test_a_run_longer_than_the_brokers_consumer_timeout_runs_once(site: RabbitSite) -> None:
    site.node.evaluate("application:set_env(rabbit, consumer_timeout, 1500).")
    try:
        site.script("slow", 'echo "$RUN_ID" >> "$SITE/ran"; sleep 5', env={"SITE": str(site.folder)})
        site.start()
        task_id = site.send("slow", {})
        task = site.finished(task_id)
        assert (task.status, len(task.runs)) == ("completed", 1)
        assert (site.folder / "ran").read_text() == "0\n"
        assert site.finished(site.send("ready", {})).status == "completed"
    finally:
        site.node.evaluate("application:set_env(rabbit, consumer_timeout, 1800000).")


def test_what_a_busy_worker_has_no_room_for_goes_to_another(site: RabbitSite) -> None:
    site.settings(worker={"concurrency": 1})
    script = 'touch "$SITE/begun"; until [ -e "$SITE/go" ]; do sleep 0.1; done'
    site.script("slow", script, env={"SITE": str(site.folder)})
    site.start(env={"PENSTOCK_WORKER_NAME": "busy"})
    slow = site.send("slow", {})
    eventually(lambda: running(site, "begun"), "the command")
    # One after the other, so that the busy worker has been sent at least one of them when it is alone.
    waiting = [site.send("ready", {"n": n}) for n in range(3)]
    site.start(env={"PENSTOCK_WORKER_NAME": "free"})
    assert {site.finished(task_id, within_s=15).runs[0].worker for task_id in waiting} == {"free"}
    (site.folder / "go").touch()
    assert site.finished(slow).runs[0].worker == "busy"
    site.processes[1].send_signal(signal.SIGTERM)
    assert site.processes[1].wait(20) == 0
    assert site.finished(site.send("ready", {})).runs[0].worker == "busy", "it takes messages again"


def state_of(site: RabbitSite, name: str) -> WorkerState:
    found: Worker = site.ask(lambda store: Workers(store.redis).get(name))
    return found.state


def test_a_drained_worker_leaves_what_was_sent_ahead_to_others(site: RabbitSite) -> None:
    site.settings(worker={"concurrency": 1, "beat": "500ms"})
    script = 'touch "$SITE/begun"; until [ -e "$SITE/go" ]; do sleep 0.1; done'
    site.script("slow", script, env={"SITE": str(site.folder)})
    site.start(env={"PENSTOCK_WORKER_NAME": "drained"})
    slow = site.send("slow", {})
    eventually(lambda: running(site, "begun"), "the command")
    waiting = [site.send("ready", {"n": n}) for n in range(3)]
    site.ask(lambda store: ask(Workers(store.redis), "drained", "drain", by="anna"))
    eventually(lambda: state_of(site, "drained") is WorkerState.DRAINING, "that it has heard of it")
    eventually(lambda: site.queued("penstock")[0] == 3, "the messages that it had been sent")
    (site.folder / "go").touch()
    assert site.finished(slow).runs[0].worker == "drained"
    other = site.start(env={"PENSTOCK_WORKER_NAME": "other"})
    assert {site.finished(task_id).runs[0].worker for task_id in waiting} == {"other"}
    other.send_signal(signal.SIGTERM)
    assert other.wait(20) == 0
    late = site.send("ready", {})
    site.ask(lambda store: ask(Workers(store.redis), "drained", "undrain", by="anna"))
    assert site.finished(late).runs[0].worker == "drained"


def test_an_account_may_do_what_its_role_needs_and_no_more(site: RabbitSite) -> None:
    """The commands that `penstock acl` prints are played at the broker."""
    files = {}
    for role, name in (("worker", "w1"), ("producer", "p1")):
        files[name] = site.folder / f"{name}.url"
        options = ["--name", name, "--url-file", str(files[name]), "--server", f"amqp://127.0.0.1:{site.node.port}//"]
        site.node.obey(Deployment(site.folder).penstock("acl", "--role", role, *options).out)
    site.start(env={"PENSTOCK_BROKER_URL": files["w1"].read_text().strip(), "PENSTOCK_WORKER_NAME": "w1"})
    with celery.Celery(broker=files["p1"].read_text().strip()) as app:
        # Else Celery declares its own queue first, which the account may not.
        app.conf.task_queues = [kombu.Queue("celery", kombu.Exchange("celery", no_declare=True), no_declare=True)]
        assert site.finished(app.send_task("penstock.ready", **site.route).id).status == "completed"
    denied: dict[str, list[Callable[[amqp.Channel], Any]]] = {
        "p1": [
            lambda channel: channel.basic_get("penstock"),
            lambda channel: channel.queue_declare("mine"),
            lambda channel: channel.queue_purge("penstock"),
            lambda channel: channel.queue_delete("penstock"),
            lambda channel: channel.basic_publish(amqp.Message(b""), exchange="", routing_key="penstock.worker.w1"),
        ],
        "w1": [
            lambda channel: channel.queue_declare("mine"),
            lambda channel: channel.queue_delete("another"),
            lambda channel: channel.basic_get("another"),
            lambda channel: channel.basic_publish(amqp.Message(b""), exchange="amq.topic", routing_key="x"),
        ],
    }
    with site.node.connect() as connection, connection.channel() as channel:
        channel.queue_declare("another")
    for name, attempts in denied.items():
        password = urlsplit(files[name].read_text().strip()).password
        for attempt in attempts:
            with site.node.connect(name, password or "") as connection, pytest.raises(amqp.exceptions.AccessRefused):
                attempt(connection.channel())
    with site.node.connect() as connection, connection.channel() as channel:
        channel.queue_delete("another")
    # Revoked: it gets nothing any more, and others go on.
    site.node.obey("rabbitmqctl delete_user w1; rabbitmqctl close_all_user_connections w1 revoked")
    site.start(env={"PENSTOCK_WORKER_NAME": "w2"})
    assert site.finished(site.send("ready", {})).runs[0].worker == "w2"


def test_a_queue_that_a_producer_made_is_used_as_it_is(site: RabbitSite) -> None:
    """Stock Celery declares a classic queue."""
    with site.producer() as app:
        early = app.send_task("penstock.ready", kwargs={"early": True}, queue="penstock").id
    site.start()
    assert site.finished(early).payload == {"early": True}
    with site.producer() as app:
        assert site.finished(app.send_task("penstock.ready", queue="penstock").id).status == "completed"


def test_a_worker_waits_for_its_broker_outlives_its_restart_and_ends_without_it(
    fresh_node: Node, site: RabbitSite
) -> None:
    script = 'echo "$RUN_ID" >> "$SITE/ran"; until [ -e "$SITE/go" ]; do sleep 0.1; done; echo done'
    site.script("slow", script, env={"SITE": str(site.folder)})
    worker = site.start(ready=False)
    eventually(lambda: "the broker is away" in site.log(), "the first attempt")
    fresh_node.start()
    eventually(lambda: site._performs(worker, None), "the worker")
    # A run outlives the broker and is not repeated.
    task_id = site.send("slow", {})
    eventually(lambda: running(site, "ran"), "the command")
    fresh_node.stop()
    fresh_node.start()
    # The message of the run is delivered again, to the only worker that there is.
    eventually(lambda: site.queued()[1] == 1, "the worker's return")
    after = site.send("ready", {})
    assert site.finished(after).status == "completed"
    (site.folder / "go").touch()
    assert site.finished(task_id).status == "completed"
    assert (site.folder / "ran").read_text() == "0\n"
    assert worker.poll() is None
    eventually(lambda: site.queued() == (0, 1), "an empty queue")
    assert site.queued(DEAD)[0] == 0
    fresh_node.stop()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0, "it stops while the broker is away"


def test_a_message_whose_worker_was_killed_before_the_claim_is_delivered_again(site: RabbitSite) -> None:
    """The store stands still, so the worker holds the message and cannot claim; what it asked for, it may yet get."""
    site.settings(worker={"lease": 2})
    worker = site.start()
    with site.store_stands_still():
        task_id = site.send("ready", {"n": 1})
        eventually(lambda: site.queued()[0] == 0, "the delivery")
        worker.kill()
        worker.wait()
    eventually(lambda: site.queued()[0] == 1, "its return to the queue")
    site.start()
    task = site.finished(task_id)
    assert (task.status, task.payload) == ("completed", {"n": 1})


def test_a_plain_rejection_of_rabbitmq_is_kept(site: RabbitSite) -> None:
    """A message that nobody ever acknowledges leaves the queue for the dead letters, and not for nowhere."""
    worker = site.start()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    site.put(b"again and again")
    with site.node.connect() as connection, connection.channel() as channel:
        deliveries = 0
        while message := channel.basic_get("penstock"):
            deliveries += 1
            channel.basic_reject(message.delivery_tag, requeue=True)
    assert deliveries > 50
    with site.node.connect() as connection, connection.channel() as channel:

        def dead() -> amqp.Message | None:
            found: amqp.Message | None = channel.basic_get(DEAD)
            return found

        kept = eventually(dead, "the dead letter")
        assert kept.body == b"again and again"
        channel.basic_ack(kept.delivery_tag)
