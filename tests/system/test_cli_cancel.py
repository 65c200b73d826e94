"""Cancelling, delays, deadlines, keys and dead letters from the terminal, with one `penstock up` for all tests."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import select
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest

from tests.system.conftest import Deployment, finish, running_up
from tests.system.site import eventually
from tests.system.test_docs import fits
from worker.config import load_settings
from worker.daemons.wiring import Store, open_store
from worker.store.dead_letters import DeadLetters

pytestmark = pytest.mark.xdist_group("cli-cancel")

QUIET = {"plugins": {"disabled": ["logHeader"]}}
POISON = b'\x1b]0;owned\x07 \xff {"no": message'
T = TypeVar("T")


@pytest.fixture(scope="module")
def site(shared_deployment: Deployment) -> Iterator[Deployment]:
    site = shared_deployment
    text = {"type": "object", "properties": {"text": {"type": "string"}}}
    site.file("config/penstock.yaml", "worker: {shutdownGrace: 300ms, queues: [penstock]}\n")
    site.script("echo", "cat", text, **QUIET)
    site.script("stay", "echo begun; sleep 60", killGrace=0, **QUIET)
    # Ignores what asks it to end, leaves its session and starts others.
    stubborn = "trap '' TERM; echo begun; setsid sh -c 'trap \"\" TERM; sleep 60' & sleep 60; wait"
    site.script("stubborn", stubborn, killGrace="200ms", retries=2, **QUIET)
    site.script("elsewhere", "true", queue="nobody-consumes-this")
    site.script("elsewhere-too", "true", queue="nobody-consumes-this")
    yield site


@pytest.fixture(scope="module", autouse=True)
def up(site: Deployment) -> Iterator[subprocess.Popen[bytes]]:
    yield from running_up(site)


def asked(site: Deployment, question: Callable[[Store], Awaitable[T]]) -> T:
    async def main() -> T:
        async with open_store(load_settings(site.home, environ={})) as store:
            return await question(store)

    return asyncio.run(main())


def status(site: Deployment, task_id: str) -> tuple[str, str | None]:
    task = asked(site, lambda store: store.records.get(task_id))
    assert task is not None
    return task.status.value, task.reason


def begun(site: Deployment, script: str, task_id: str) -> subprocess.Popen[bytes]:
    """A task whose command runs, and who follows it."""
    process = site.start("run", script, "--id", task_id)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    return process


def outcomes(document: Any) -> dict[str, str]:
    return {task["taskId"]: task["outcome"] for task in document["tasks"]}


def test_a_task_that_waits_never_starts_and_a_second_cancel_is_no_mistake(site: Deployment) -> None:
    site.penstock("submit", "elsewhere", "--id", "waits")
    done = site.penstock("cancel", "waits", "--why", "not wanted")
    assert (done.code, done.out) == (0, "waits cancelled; it never starts\n")
    assert status(site, "waits") == ("cancelled", "cancelled")
    again = site.penstock("cancel", "waits")
    assert (again.code, again.out) == (0, "waits had ended already (cancelled)\n")
    shown = site.penstock("show", "waits", "--json").json
    assert (shown["cancel"]["why"], shown["runs"][0]["claimedAt"]) == ("not wanted", None)


@pytest.mark.parametrize("script", ["stay", "stubborn"])
def test_a_running_command_hears_it_within_a_second_and_all_of_it_ends(site: Deployment, script: str) -> None:
    task_id = f"runs-{script}"
    follower = begun(site, script, task_id)
    done = site.penstock("cancel", task_id, "--why", "enough", "--json")
    assert done.code == 0
    assert (outcomes(done.json), done.json["tasks"][0]["status"]) == ({task_id: "requested"}, "running")
    ended = finish(follower)
    assert ended.code == 130
    assert "cancelled" in ended.err
    assert "enough" in ended.err
    task = asked(site, lambda store: store.records.get(task_id))
    assert task and task.cancel and task.finished_at
    grace_ms = 200 if script == "stubborn" else 0
    assert task.finished_at - task.cancel.at < 1000 + grace_ms
    assert (task.status.value, task.reason, len(task.runs)) == ("cancelled", "cancelled", 1)


def test_a_task_that_has_ended_is_left_as_it_is(site: Deployment) -> None:
    site.penstock("run", "echo", "--id", "ended", "-q")
    before = site.penstock("show", "ended", "--json").json
    done = site.penstock("cancel", "ended")
    assert (done.code, done.out) == (0, "ended had ended already (completed)\n")
    assert site.penstock("show", "ended", "--json").json == before


def test_unknown_ids_are_66_and_the_others_are_cancelled_all_the_same(site: Deployment) -> None:
    site.penstock("submit", "elsewhere", "--id", "among-others")
    done = site.penstock("cancel", "--json", "no-such", "among-others", "../x", "a\nb\x1b[2J", "among-others")
    assert done.code == 66
    assert outcomes(done.json) == {
        "no-such": "unknown",
        "among-others": "cancelled",
        "../x": "unknown",
        "a\nb\x1b[2J": "unknown",
    }
    shown = site.penstock("cancel", "a\nb\x1b[2J")
    assert shown.code == 66
    assert len(shown.out.splitlines()) == 1
    assert "\x1b" not in shown.out


def test_a_script_is_cancelled_where_it_waits_and_where_it_runs(site: Deployment) -> None:
    follower = begun(site, "stay", "of-the-script")
    site.penstock("submit", "stay", "--id", "of-the-script-later", "--delay", "1h")
    site.penstock("submit", "elsewhere", "--id", "of-another")
    done = site.penstock("cancel", "--script", "stay", "--yes", "--json")
    assert outcomes(done.json) == {"of-the-script": "requested", "of-the-script-later": "cancelled"}
    assert finish(follower).code == 130
    assert status(site, "of-another") == ("pending", None)
    left = site.penstock("cancel", "--script", "stay", "--yes")
    assert (left.code, left.out) == (0, "")
    assert "nothing to cancel" in left.err


def test_all_that_waits_is_cancelled_and_what_runs_goes_on(site: Deployment) -> None:
    follower = begun(site, "stay", "goes-on")
    for name in ("elsewhere", "elsewhere-too"):
        site.penstock("submit", name, "--id", f"one-of-{name}")
    assert site.penstock("cancel", "--all-pending").code == 64
    assert status(site, "one-of-elsewhere") == ("pending", None)
    of_one = site.penstock("cancel", "--all-pending", "--script", "elsewhere-too", "-y", "--json")
    assert outcomes(of_one.json) == {"one-of-elsewhere-too": "cancelled"}
    done = site.penstock("cancel", "--all-pending", "--yes")
    assert re.fullmatch(r"\d+ tasks?: cancelled; it never starts\n", done.out)
    assert site.penstock("tasks", "--status", "pending", "--json").json["total"] == 0
    assert status(site, "goes-on") == ("running", None)
    follower.send_signal(signal.SIGINT)
    finish(follower)
    site.penstock("cancel", "goes-on")


def test_on_a_terminal_it_asks_first_and_no_is_an_answer(site: Deployment) -> None:
    site.penstock("submit", "elsewhere", "--id", "asked-for")
    master, slave = pty.openpty()
    try:
        process = site.start("cancel", "--script", "elsewhere", stdin=slave, stderr=slave)
        os.close(slave)
        said = b""
        while b"?" not in said and select.select([master], [], [], 30)[0]:
            said += os.read(master, 4096)
        assert b"1 pending and 0 running of elsewhere?" in said
        os.write(master, b"n\n")
        assert process.wait(timeout=30) == 130
    finally:
        os.close(master)
    assert status(site, "asked-for") == ("pending", None)


@pytest.mark.parametrize(
    "arguments", [(), ("a", "--all-pending"), ("a", "--script", "stay"), ("--yes",), ("--script", "../x", "--yes")]
)
def test_it_has_to_be_said_which_tasks(site: Deployment, arguments: tuple[str, ...]) -> None:
    done = site.penstock("cancel", *arguments)
    assert done.code == 64
    assert done.out == ""


def test_show_tells_the_story_of_each_run_and_who_cancelled_it(site: Deployment) -> None:
    site.penstock("submit", "elsewhere", "--id", "story", "--priority", "7", "--deadline", "1h")
    waiting = site.penstock("show", "story").out
    assert "retries:  2 left" in waiting
    assert "priority: 7" in waiting
    assert re.search(r"deadline: \d{4}-", waiting)
    assert re.search(r"run 0: pending\n +pending \d{4}-", waiting)
    site.penstock("cancel", "story", "--why", "a\x1b[2Jb\nc")
    shown = site.penstock("show", "story").out
    assert re.search(r"cancel: +asked for by \S+, \d{4}-.*: a\\x1b\[2Jb\\nc", shown)
    assert re.search(r"run 0: cancelled \(cancelled\)\n +pending \d{4}-[^\n]*, ended \d{4}-", shown)
    site.penstock("run", "echo", "--id", "told", "-q")
    times = site.penstock("show", "told").out.partition("run 0: ")[2].splitlines()[1]
    assert [word for word in times.split() if word.isalpha()] == ["pending", "claimed", "started", "ended"]


def test_a_task_with_a_delay_waits_and_says_until_when(site: Deployment) -> None:
    site.penstock("submit", "echo", "--id", "later", "--delay", "1h")
    site.penstock("submit", "echo", "--id", "at", "--at", "2099-01-01T00:00:00Z")
    shown = site.penstock("show", "at", "--json").json
    assert (shown["status"], shown["dueAt"]) == ("pending", "2099-01-01T00:00:00.000Z")
    listed = site.penstock("tasks", "--script", "echo", "--status", "pending")
    assert [line.split()[:4] for line in listed.out.splitlines()[1:]] == [
        ["at", "echo", "pending", "due"],
        ["later", "echo", "pending", "due"],
    ]
    assert "2 of these wait to be started" in listed.err
    due = site.penstock("tasks", "--script", "echo", "--limit", "1", "--json").json["tasks"][0]
    assert (due["taskId"], due["dueAt"], due["priority"]) == ("at", shown["dueAt"], 0)
    site.penstock("cancel", "later", "at")


def test_a_short_delay_is_kept_and_then_the_task_runs(site: Deployment) -> None:
    done = site.penstock("run", "echo", "--delay", "1s", "--json", "-q")
    assert done.code == 0
    task = asked(site, lambda store: store.records.get(done.json["taskId"]))
    assert task and task.runs[0].claimed_at
    # The delay counts from a moment before the task was recorded.
    assert task.runs[0].claimed_at - task.created_at > 500


def test_a_deadline_ends_what_runs_and_what_waits(site: Deployment) -> None:
    site.penstock("submit", "elsewhere", "--id", "too-late", "--deadline", "300ms")
    done = site.penstock("run", "stay", "--deadline", "500ms", "--json")
    assert done.code == 124
    assert (done.json["status"], done.json["reason"]) == ("exception", "deadline-exceeded")
    eventually(lambda: status(site, "too-late") == ("exception", "deadline-exceeded"), "the end of what waits", 10)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--priority", "10"),
        ("--priority", "-1"),
        ("--priority", "high"),
        ("--delay", "soon"),
        ("--delay", "-5"),
        ("--at", "tomorrow"),
        ("--delay", "1h", "--at", "2099-01-01T00:00:00Z"),
        ("--deadline", "2001-01-01T00:00:00Z"),
        ("--deadline", "1h", "--delay", "2h"),
        ("--idempotency-key", ""),
        ("--idempotency-key", "a\nb"),
        ("--idempotency-key", "x" * 201),
    ],
)
def test_wrong_options_are_64_and_nothing_is_recorded(site: Deployment, arguments: tuple[str, ...]) -> None:
    done = site.penstock("submit", "echo", "--id", "never-recorded", *arguments)
    assert done.code == 64, done.err
    assert done.out == ""
    assert asked(site, lambda store: store.records.get("never-recorded")) is None


def test_the_same_key_is_the_same_task_and_with_other_content_a_conflict(site: Deployment) -> None:
    keyed = ("submit", "echo", "--idempotency-key", "release 7/żółw", "--json")
    first = site.penstock(*keyed, "-p", "text=a").json
    assert first["created"] is True
    assert site.penstock(*keyed, "-p", "text=a").json == {**first, "created": False}
    # Whatever id is asked for; and `run` follows the task that there is.
    again = site.penstock("run", "echo", "--idempotency-key", "release 7/żółw", "--id", "other", "-p", "text=a")
    assert (again.code, again.out) == (0, '{"text":"a"}\n')
    assert f"task {first['taskId']} was there already" in again.err
    assert site.penstock("show", "other").code == 66
    other = site.penstock(*keyed, "-p", "text=b")
    assert other.code == 65
    assert "conflict" in other.err
    assert first["taskId"] in other.err
    shown = site.penstock("show", first["taskId"], "--json").json
    assert (shown["idempotencyKey"], shown["payload"]) == ("release 7/żółw", {"text": "a"})


def buried(site: Deployment, raw: bytes, queue: str = "nobody-consumes-this") -> str:
    return asked(site, lambda store: DeadLetters(store.redis).add(queue, raw, "it is no JSON object", "the test"))


def test_dead_letters_are_listed_and_shown_without_steering_the_terminal(site: Deployment) -> None:
    letter = buried(site, POISON)
    buried(site, POISON)
    listed = site.penstock("dead-letters", "list")
    assert listed.out.splitlines()[0].split() == ["ID", "RECEIVED", "TIMES", "QUEUE", "SIZE", "REASON"]
    (line,) = [line for line in listed.out.splitlines() if line.startswith(letter)]
    assert line.split()[3:7] == ["2", "nobody-consumes-this", str(len(POISON)), "B"]
    shown = site.penstock("dead-letters", "show", letter)
    assert "it is no JSON object" in shown.out
    assert "\x1b" not in listed.out + shown.out
    document = fits("dead-letter", site.penstock("dead-letters", "show", letter, "--json").out)
    assert (document["times"], document["source"], document["size"]) == (2, "the test", len(POISON))
    assert document in fits("dead-letters", site.penstock("dead-letters", "list", "--json").out)["letters"]
    with site.start("dead-letters", "show", letter, "--raw") as process:
        raw, _ = process.communicate(timeout=30)
    assert raw == POISON


def test_dead_letters_are_paged(site: Deployment) -> None:
    for number in range(3):
        buried(site, b"page %d" % number)
    first = site.penstock("dead-letters", "list", "--limit", "2", "--json").json
    assert [letter["head"] for letter in first["letters"]] == ["page 2", "page 1"]
    second = site.penstock("dead-letters", "list", "--limit", "1", "--before", first["next"], "--json").json
    assert [letter["head"] for letter in second["letters"]] == ["page 0"]
    assert first["total"] == second["total"] >= 3
    assert site.penstock("dead-letters", "list", "--before", "x'y").code == 64


def test_a_replayed_letter_is_in_its_queue_as_it_came(site: Deployment) -> None:
    letter = buried(site, b"again" + POISON, "a-queue")
    done = site.penstock("dead-letters", "replay", letter, "no-such", "0" * 24)
    assert done.code == 66
    assert done.out.splitlines() == [f"{letter} replayed", "no-such is unknown", f"{'0' * 24} is unknown"]
    assert asked(site, lambda store: store.redis.lrange("a-queue", 0, -1)) == [b"again" + POISON]
    assert site.penstock("dead-letters", "show", letter).code == 66


def test_what_was_replayed_or_dropped_is_told_as_json(site: Deployment) -> None:
    letters = [buried(site, b"as json %d" % number, "another-queue") for number in range(3)]
    done = site.penstock("dead-letters", "replay", letters[0], "no-such", "--json")
    assert done.code == 66
    assert fits("dead-letters-done", done.out) == {
        "letters": [{"id": letters[0], "outcome": "replayed"}, {"id": "no-such", "outcome": "unknown"}],
        "count": 1,
    }
    done = site.penstock("dead-letters", "drop", letters[1], "--json")
    assert done.code == 0
    assert fits("dead-letters-done", done.out) == {"letters": [{"id": letters[1], "outcome": "dropped"}], "count": 1}
    every = fits("dead-letters-done", site.penstock("dead-letters", "drop", "--all", "--json").out)
    assert every["letters"] == [] and every["count"] >= 1


def test_what_a_worker_cannot_read_is_kept_again_when_it_is_replayed_too_early(site: Deployment) -> None:
    message = {
        "body": "W10=",
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "penstock.not-declared-yet", "id": "from-a-letter"},
        "properties": {"body_encoding": "base64"},
    }
    raw = json.dumps(message).encode()
    asked(site, lambda store: store.redis.lpush("penstock", raw))

    def kept() -> str | None:
        page = asked(site, lambda store: DeadLetters(store.redis).list())
        found = [letter.id for letter in page.letters if letter.size == len(raw) and letter.queue == "penstock"]
        return found[0] if found else None

    letter = eventually(kept, "the dead letter", 10)
    assert "not-declared-yet" in site.penstock("dead-letters", "show", letter).out
    # It cannot be read this time either, and is not lost on the way.
    assert site.penstock("dead-letters", "replay", letter).code == 0
    eventually(
        lambda: (found := asked(site, lambda store: DeadLetters(store.redis).get(letter))) and found[1] == raw,
        "the letter again",
        10,
    )


def test_letters_are_dropped_by_name_or_all(site: Deployment) -> None:
    letters = [buried(site, b"drop %d" % number) for number in range(2)]
    assert site.penstock("dead-letters", "drop").code == 64
    assert site.penstock("dead-letters", "drop", letters[0], "--all").code == 64
    done = site.penstock("dead-letters", "drop", letters[0], "../x")
    assert (done.code, done.out.splitlines()) == (66, [f"{letters[0]} dropped", "../x is unknown"])
    every = site.penstock("dead-letters", "drop", "--all")
    assert every.code == 0
    assert int(every.out.split()[0]) >= 1
    assert site.penstock("dead-letters", "list", "--json").json["letters"] == []
    assert site.penstock("dead-letters", "show", letters[1]).code == 66
