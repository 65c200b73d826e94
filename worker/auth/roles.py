"""Roles: what the names of roles stand for in a deployment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from worker.model.access import ROLES


def scopes_of(roles: Iterable[str], own: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The scopes of all of them; a role that there is not grants nothing. No own role replaces a built-in one."""
    known = {**own, **ROLES}
    return frozenset().union(*(known.get(role, frozenset()) for role in roles))
