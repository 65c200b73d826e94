"""What accounts may do follows the code: every key and every command is somebody's, and no more than that."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import redis

from worker.embedded import Embedded
from worker.operations.grants import COMMANDS, READS, WRITES, Queues, Role, acl_user, rabbit_permissions
from worker.store.keys import API_KEY, AUDIT, KEYS, REGISTRATION, SCHEDULES

ROOT = Path(__file__).resolve().parents[2] / "worker"
QUEUES = Queues(frozenset({"penstock", "builds"}), frozenset({"builds"}))


def test_every_key_is_named_for_a_role() -> None:
    """A new key: say in worker/operations/grants.py which roles write it, and which only read it."""
    named = {key for table in (WRITES, READS) for keys in table.values() for key in keys}
    assert {key.name for key in KEYS} - {key.name for key in named} == set()
    assert not {API_KEY, AUDIT, SCHEDULES, REGISTRATION} & {*WRITES[Role.WORKER]}
    for role in WRITES:
        assert not {*WRITES[role]} & {*READS[role]}


def test_every_command_that_the_code_sends_is_allowed(store: Embedded) -> None:
    """In the scripts, by methods of the client, and written out where the server knows a command of that name."""
    with redis.Redis.from_url(store.url, protocol=2) as client:
        known = {name.lower() for name in client.command()}
    files = [*(ROOT / "store").rglob("*.py"), *(ROOT / "broker").rglob("*.py")]
    texts = [path.read_text() for path in [*files, *(ROOT / "store" / "scripts").glob("*.lua")]]
    sent = {name.lower() for text in texts for name in re.findall(r"redis\.p?call\('(\w+)'", text)}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith(
                ("redis", "pipe", "pipeline", "batch", "index", "indexes", "hashes")
            ):
                sent.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isupper():
                sent.add(node.value.lower())
    assert len(sent & known) > 40
    assert (sent & known) - {*COMMANDS} - {"type", "echo"} == set()


@pytest.mark.parametrize("role", Role)
def test_the_server_takes_the_account(store: Embedded, role: Role) -> None:
    line = acl_user(role, "one", "0" * 64, QUEUES).split()
    assert line[:2] == ["user", "one"]
    with redis.Redis.from_url(store.url, protocol=2) as client:
        client.execute_command("ACL", "SETUSER", *line[1:])
        try:
            allowed = client.execute_command("ACL", "DRYRUN", "one", "LPUSH", "builds\x06\x169", "x")
            assert (allowed in (b"OK", "OK")) is True
            other = client.execute_command("ACL", "DRYRUN", "one", "LMOVE", "penstock", "builds", "LEFT", "RIGHT")
            assert (other in (b"OK", "OK")) is (role is Role.ADMIN)
        finally:
            client.acl_deluser("one")


def test_permissions_of_rabbitmq_match_whole_names() -> None:
    may = rabbit_permissions(Role.PRODUCER, Queues(frozenset({"a.b", "c"}), frozenset({"a.b"})))
    assert (may.configure, may.write, may.read) == ("", r"^(a\.b)$", "")
    assert not re.search(may.write, "axb") and not re.search(may.write, "a.b.c") and not re.search(may.write, "")


def test_no_name_of_an_account_says_more_than_a_name() -> None:
    for name in ("", "a b", "x\nuser y on nopass ~* +@all", "~*", "-x", "é", "a" * 64, "x\x00"):
        with pytest.raises(ValueError, match="name of an account"):
            acl_user(Role.WORKER, name, "0" * 64, None)
