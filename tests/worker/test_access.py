"""Which scopes grant which."""

from __future__ import annotations

import pytest

from worker.model.access import OPERATOR, READER, ROLES, SCOPE, Principal, covers


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("tasks:read", "tasks:read"),
        ("*", "command:execute"),
        ("tasks:*", "tasks:delete"),
        ("scripts:read", "scripts:read:sign-file"),
        ("scripts:execute:sign-*", "scripts:execute:sign-file"),
        ("release:sign", "release:sign"),
    ],
)
def test_a_scope_grants(held: str, wanted: str) -> None:
    assert covers([held], wanted)
    assert SCOPE.match(held)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("tasks:read", "tasks:delete"),
        ("tasks:read", "tasks:readable"),
        ("tasks:*", "tasks-of-others:read"),
        ("scripts:read:sign-file", "scripts:read"),
        ("scripts:read:sign-file", "scripts:read:sign-file-2"),
        ("scripts:execute:sign-*", "scripts:execute:resign"),
        ("", "tasks:read"),
    ],
)
def test_a_scope_does_not_grant(held: str, wanted: str) -> None:
    assert not covers([held], wanted)


@pytest.mark.parametrize("text", ["", "Tasks:read", "tasks:", ":read", "*:read", "tasks:*:read", "tasks:re ad", "t\n"])
def test_what_is_no_scope(text: str) -> None:
    assert not SCOPE.match(text)


def test_a_role_has_what_the_lower_has_and_only_an_admin_runs_commands() -> None:
    assert READER < OPERATOR
    assert all(covers(ROLES["admin"], scope) for scope in OPERATOR)
    assert not covers(OPERATOR, "command:execute") and not covers(OPERATOR, "keys:write")
    assert not covers(READER, "scripts:execute")


def test_of_the_scopes_that_a_script_allows_one_is_enough() -> None:
    anna = Principal("anna", "key", frozenset({"release:sign"}))
    assert anna.may_any(["release:sign", "release:all"])
    assert anna.may_any([])
    assert not anna.may_any(["release:all"])
