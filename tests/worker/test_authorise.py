"""Who may run and read what: by scopes, and by what a script asks for besides."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.errors import DeclarationError
from engine.plugin import Plugins
from engine.script import Script
from engine.script.load import load_script
from worker.broker import RedisPublisher
from worker.embedded import Embedded
from worker.model.access import ROLES, Principal
from worker.operations.authorise import NotAllowed, check_grant, may_read, may_read_task, missing_to_execute
from worker.operations.submit import submit
from worker.store import Records, connect


def declared(folder: Path, text: str = "", name: str = "sign-file") -> Script:
    path = folder / "config" / "scripts" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"command: [/bin/cat]\nschema: {{}}\n{text}\n")
    return load_script(path, home=folder)


def holding(*scopes: str) -> Principal:
    return Principal("ann", "key", frozenset(scopes))


@pytest.mark.parametrize(
    ("held", "allowed", "may"),
    [
        ([], "", False),
        (["scripts:read"], "", False),
        (["scripts:execute"], "", True),
        (["scripts:execute:sign-file"], "", True),
        (["scripts:execute:sign"], "", False),
        (["scripts:execute:sign-file-2"], "", False),
        (["scripts:*"], "", True),
        (["*"], "", True),
        (["scripts:execute"], "release:sign", False),
        (["release:sign"], "release:sign", False),
        (["scripts:execute", "release:sign"], "release:sign", True),
        (["scripts:execute", "deploy"], "release:sign, deploy", True),
        (["scripts:execute", "release"], "release:sign", True),
        (["scripts:execute", "release:*"], "release:sign", True),
        (["scripts:execute", "release:sign:more"], "release:sign", False),
        (["scripts:execute", "release:signs"], "release:sign", False),
        (["*"], "release:sign", True),
    ],
)
def test_running_takes_the_right_to_run_and_one_of_what_the_script_names(
    tmp_path: Path, held: list[str], allowed: str, may: bool
) -> None:
    script = declared(tmp_path, f"allowedScopes: [{', '.join(map(repr, allowed.split(', ')))}]" if allowed else "")
    assert (not missing_to_execute(holding(*held), script)) is may


def test_reading_a_task_takes_the_right_to_read_its_script(tmp_path: Path) -> None:
    script = declared(tmp_path)
    assert may_read(holding("scripts:read:sign-file"), script)
    assert not may_read(holding("scripts:execute"), script)
    assert may_read_task(holding("tasks:read", "scripts:read:sign-file"), "sign-file")
    assert not may_read_task(holding("tasks:read", "scripts:read:other"), "sign-file")
    assert not may_read_task(holding("scripts:read"), "sign-file")
    assert may_read_task(Principal("r", "key", ROLES["reader"]), "gone-by-now")


@pytest.mark.parametrize(
    ("held", "wanted", "may"),
    [
        (["*"], ["*"], True),
        (["keys:write", "tasks:read"], ["tasks:read"], True),
        (["keys:write", "tasks"], ["tasks:*"], True),
        (["keys:write", "tasks:read"], ["tasks:*"], False),
        (["keys:write", "tasks:*"], ["*"], False),
        (["keys:write", "tasks:*"], ["tasks*"], False),
        (["keys:write"], ["audit:read"], False),
        (["keys:write", "scripts:execute"], ["scripts:execute:sign-file"], True),
        (["keys:write", "scripts:execute:sign-file"], ["scripts:execute"], False),
    ],
)
def test_nobody_hands_on_what_they_do_not_hold(held: list[str], wanted: list[str], may: bool) -> None:
    if may:
        check_grant(holding(*held), wanted)
    else:
        with pytest.raises(NotAllowed):
            check_grant(holding(*held), wanted)


@pytest.mark.parametrize(
    "wrong", ["[]", "release:sign", "['*']", "['release:*']", "['a b']", '["a\\n"]', "[a, a]", "[1]"]
)
def test_a_wrong_list_of_scopes_is_told_at_its_place(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declared(tmp_path, f"allowedScopes: {wrong}")
    assert all(problem.pointer.startswith("/allowedScopes") and problem.line for problem in caught.value.problems)


def test_a_submission_is_refused_before_anything_is_looked_at(tmp_path: Path, store: Embedded) -> None:
    prepared = Plugins().prepare(declared(tmp_path, "allowedScopes: ['release:sign', 'release:test']"))

    async def scene() -> None:
        client = connect(store.url)
        records = Records(client)
        with pytest.raises(NotAllowed) as caught:
            await submit(
                prepared,
                b"no JSON",
                records=records,
                publisher=RedisPublisher(client),
                default_queue="penstock",
                trigger="api",
                principal=holding("scripts:execute"),
            )
        assert caught.value.missing == ("release:sign", "release:test")
        assert str(caught.value) == "not allowed: that needs one of release:sign, release:test"
        assert (await records.list()).total == 0 and not await client.keys("*")
        await client.aclose()

    asyncio.run(scene())


def test_a_record_says_who_submitted_it_and_from_where_in_printable_text(tmp_path: Path, store: Embedded) -> None:
    prepared = Plugins().prepare(declared(tmp_path))

    async def scene() -> None:
        client = connect(store.url)
        records = Records(client)
        who = Principal("evil\n\x1b[2J" + "x" * 10_000, "jwt", frozenset({"*"}))
        done = await submit(
            prepared,
            b"{}",
            records=records,
            publisher=RedisPublisher(client),
            default_queue="penstock",
            trigger="api",
            principal=who,
            address="10.0.0.1\r\n",
        )
        task = await records.get(done.task_id)
        assert task is not None and task.submitted_by is not None
        assert task.submitted_by.startswith("evil\\n\\x1b[2Jxx") and len(task.submitted_by) == 201
        assert (task.submitted_from, task.digest) == ("10.0.0.1\\r\\n", done.digest)
        await client.aclose()

    asyncio.run(scene())
