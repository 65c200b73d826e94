"""What any Celery producer can do with a worker, and what it cannot."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.system.site import Site, eventually
from worker.daemons.sources import publisher
from worker.daemons.wiring import Store, fleet_of, open_deployment
from worker.model.access import Principal
from worker.model.status import Status
from worker.model.target import Target, queue_of
from worker.model.task import NewTask
from worker.operations.submit import submit

CELERY = str(Path(sys.executable).with_name("celery"))
# How a worker is started.
COMMANDS: dict[str, tuple[str, ...]] = {
    "penstock worker": (),
    "celery worker": (CELERY, "-A", "worker.daemons.consumer", "worker"),
}


def declare_scripts(site: Site) -> None:
    site.script("ready", "exit 0")
    site.script("echo", 'echo "task $TASK_ID run $RUN_ID"; cat; echo; echo oops >&2; echo hi > artifacts/hi.txt')
    site.script(
        "strict",
        "cat",
        schema={
            "type": "object",
            "required": ["n", "token"],
            "properties": {"n": {"type": "integer"}, "token": {"type": "string", "format": "password"}},
        },
    )
    site.script(
        "code",
        'exit "$CODE"',
        env={"CODE": {"fromPayload": "/code"}},
        schema={"type": "object", "properties": {"code": {"type": "integer"}}},
    )
    site.script("off", "echo ran", enabled=False)


@pytest.fixture(scope="module", params=COMMANDS)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="ps"))
    site = Site(folder)
    declare_scripts(site)
    site.start(*COMMANDS[request.param])
    yield site
    try:
        site.stop()
        assert [process.returncode for process in site.processes] == [0] * len(site.processes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_what_is_for_one_worker_comes_to_it_by_a_queue_of_its_own(site: Site) -> None:
    deployment = open_deployment(site.folder)
    name = deployment.settings.worker.name
    prepared = deployment.catalog.get("echo")
    assert prepared is not None

    async def ask(store: Store, target: Target) -> str:
        submitted = await submit(
            prepared,
            b"{}",
            records=store.records,
            publisher=publisher(deployment, store),
            default_queue="penstock",
            trigger="cli",
            principal=Principal("me", "local", frozenset({"*"})),
            target=target,
            fleet=fleet_of(deployment.settings, store),
        )
        return submitted.task_id

    one = site.finished(site.ask(lambda store: ask(store, Target(worker=name))))
    assert (one.status, one.queue, one.worker) == ("completed", queue_of(name), name)
    several = site.finished(site.ask(lambda store: ask(store, Target())))
    assert (several.status, [child.worker for child in several.children]) == ("completed", [name])


def test_kwargs_are_the_payload_and_the_producers_id_is_the_tasks(site: Site) -> None:
    task_id = site.send("echo", {"big": 2**70, "text": "héllo"}, task_id="build-7.x86")
    task = site.finished(task_id)
    assert task_id == "build-7.x86"
    assert (task.status, task.trigger, task.queue, task.runs[0].exit_code) == ("completed", "celery", "penstock", 0)
    assert task.payload == {"big": 2**70, "text": "héllo"}
    assert [(a.name, a.size) for a in task.runs[0].artifacts] == [("hi.txt", 3)]
    log = site.task_log(task_id).decode()
    assert "task build-7.x86 run 0\n" in log
    assert f'{{"big":{2**70},"text":"héllo"}}\n' in log
    assert "[worker:error] oops\n" in log


def test_one_object_in_args_is_a_payload_too(site: Site) -> None:
    with site.producer() as app:
        sent = app.send_task("penstock.echo", args=[{"a": 1}], **site.route)
    assert site.finished(sent.id).payload == {"a": 1}


@pytest.mark.parametrize("args", [[1], [{"a": 1}, {"b": 2}], ["text"], [[]]])
def test_other_args_are_a_malformed_payload(site: Site, args: list[object]) -> None:
    with site.producer() as app:
        sent = app.send_task("penstock.echo", args=args, **site.route)
    task = site.finished(sent.id)
    assert (task.status, task.reason) == ("exception", "malformed-payload")
    assert b"kwargs" in site.task_log(sent.id)


def test_a_payload_that_breaks_the_schema_is_recorded_with_a_log_and_without_the_secret(site: Site) -> None:
    task_id = site.send("strict", {"n": "1", "token": ["hunter2"], "x": None})
    task = site.finished(task_id)
    assert (task.status, task.reason, task.runs[0].exit_code) == ("exception", "malformed-payload", None)
    log = site.task_log(task_id)
    assert b"/n" in log and b"/token" in log and b'"x"' in log
    assert b"hunter2" not in log and "hunter2" not in repr(task) and "hunter2" not in site.log()


def test_a_secret_reaches_the_command_and_nothing_else(site: Site) -> None:
    task_id = site.send("strict", {"n": 1, "token": "hunter2-reaches"})
    task = site.finished(task_id)
    assert task.payload == {"n": 1, "token": "***"}
    assert b"hunter2-reaches" in site.task_log(task_id), "the command itself printed it"
    assert "hunter2-reaches" not in site.log()
    server = redis.Redis(unix_socket_path=str(site.store_socket))
    with server:
        kept = [key for key in server.scan_iter("*") if task_id.encode() in key and b"log" not in key]
        assert all(b"hunter2-reaches" not in (server.dump(key) or b"") for key in kept)


def test_pickle_is_refused(site: Site, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path}/pwned",)

    with site.producer(task_serializer="pickle", accept_content=["pickle"]) as app:
        sent = app.send_task("penstock.echo", kwargs={"b": Bomb()}, **site.route, serializer="pickle")
    assert site.finished(sent.id).reason == "malformed-payload"
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        (0, "completed", None),
        (1, "failed", "exit-code"),
        (2, "exception", "malformed-payload"),
        (3, "exception", "internal-error"),
        (5, "exception", "internal-error"),
    ],
)
def test_exit_codes_become_statuses(site: Site, code: int, status: str, reason: str | None) -> None:
    task = site.finished(site.send("code", {"code": code}))
    assert (task.status, task.reason, task.runs[0].exit_code) == (status, reason, code)


def test_a_disabled_script_is_refused_with_a_reason(site: Site) -> None:
    task_id = site.send("off", {})
    task = site.finished(task_id)
    assert (task.status, task.reason) == ("exception", "script-disabled")
    assert b"\nran\n" not in site.task_log(task_id)


def test_what_a_message_asks_of_celery_has_no_effect(site: Site) -> None:
    with site.producer() as app:
        follow = app.signature("penstock.echo", kwargs={"chained": True}, task_id="chained-one", **site.route)
        sent = app.send_task(
            "penstock.echo",
            kwargs={"a": 1},
            link=follow,
            chain=[follow],
            time_limit=0.001,
            soft_time_limit=0.001,
            retries=3,
            **site.route,
        )
    assert site.finished(sent.id).status == "completed"
    assert site.finished(site.send("echo", {"last": True})).status == "completed"
    assert site.task("chained-one") is None


def test_the_same_message_twice_is_one_task(site: Site) -> None:
    site.send("echo", {"a": 1}, task_id="twice")
    assert site.finished("twice").status == "completed"
    site.send("echo", {"a": 1}, task_id="twice")
    site.send("echo", {"a": "something else"}, task_id="twice")
    assert site.finished(site.send("echo", {})).status == "completed"
    task = site.finished("twice")
    assert len(task.runs) == 1 and task.payload == {"a": 1}


@pytest.mark.parametrize("task_id", ["../../etc", "a\nb", "", "x" * 65, ".hidden", "a/b"])
def test_a_hostile_id_makes_no_task_and_stops_nobody(site: Site, task_id: str) -> None:
    site.send("echo", {"a": 1}, task_id=task_id)
    assert site.finished(site.send("echo", {})).status == "completed"
    assert sorted(p.name for p in (site.folder / ".penstock").iterdir() if p.name == "etc") == []


def test_duplicate_keys_in_a_message_are_refused(site: Site) -> None:
    """Written by hand, as a producer in another language would."""
    body = b'[[], {"a": 1, "a": 2}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
    headers = {"lang": "go", "task": "penstock.echo", "id": "from-go", "argsrepr": "", "kwargsrepr": ""}
    site.put(body, headers=headers, content_type="application/json", content_encoding="utf-8")
    task = site.finished("from-go")
    assert task.reason == "malformed-payload"
    assert b"/a" in site.task_log("from-go")


def test_beat_needs_no_import_of_ours(site: Site, tmp_path: Path) -> None:
    (tmp_path / "plain_beat.py").write_text(
        "import celery\n"
        f"app = celery.Celery('beat', broker={site.broker_url!r})\n"
        "app.conf.beat_schedule = {'tick': {'task': 'penstock.echo', 'schedule': 0.5, 'kwargs': {'tick': True},\n"
        f"                                   'options': {site.route!r}}}}}\n"
    )
    beat = subprocess.Popen(
        [CELERY, "-A", "plain_beat", "beat", "-s", str(tmp_path / "schedule"), "--pidfile="],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def ticks() -> bool:
            page = site.ask(lambda store: store.records.list(script="echo", limit=20, status=Status.COMPLETED))
            return sum(site.task(task.id).payload == {"tick": True} for task in page.tasks) >= 2

        eventually(ticks, "two tasks of a beat")
    finally:
        beat.send_signal(signal.SIGTERM)
        beat.wait(10)


def test_an_unknown_script_stops_nobody(site: Site) -> None:
    site.send("no-such-script", {})
    assert site.finished(site.send("echo", {})).status == "completed"


def test_a_hint_for_another_script_runs_nothing(site: Site) -> None:
    """Whoever can write to a queue can name a recorded task, but not have another script run its payload."""

    async def record(store: Store) -> None:
        new = NewTask("of-another", "strict", b'{"n":1,"token":"x"}', "{}", "d", "nowhere", "cli")
        await store.records.register(new)

    site.ask(record)
    headers = {"task": "penstock.echo", "id": "of-another", "penstock-hint": 1}
    site.put(b"[[], {}, {}]", headers=headers, content_type="application/json", content_encoding="utf-8")
    assert site.finished(site.send("echo", {})).status == "completed"
    task = site.task("of-another")
    assert task is not None and task.status == "pending" and task.script == "strict"
