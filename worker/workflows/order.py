"""Order: which step comes after which, and whether that can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def ordered(needs: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """The names so that each stands behind those that it needs, else as they were given; and the steps of one cycle.

    Every need has to be one of the names. Steps in a cycle, and those behind one, are not in the order.
    """
    found: list[str] = []
    done: set[str] = set()
    left = list(needs)
    while left:
        later = []
        for name in left:
            if all(needed in done for needed in needs[name]):
                found.append(name)
                done.add(name)
            else:
                later.append(name)
        if len(later) == len(left):
            return found, _cycle(needs, later)
        left = later
    return found, []


def ancestors(needs: Mapping[str, Sequence[str]], order: Sequence[str]) -> dict[str, frozenset[str]]:
    """For each name of the order all that come before it, directly or not."""
    found: dict[str, frozenset[str]] = {}
    for name in order:
        found[name] = frozenset(needs[name]).union(*(found[needed] for needed in needs[name]))
    return found


def _cycle(needs: Mapping[str, Sequence[str]], left: Sequence[str]) -> list[str]:
    """From a step of a cycle around to it again. Each of `left` needs another of them."""
    among = set(left)
    way: list[str] = []
    name = left[0]
    while name not in way:
        way.append(name)
        name = next(needed for needed in needs[name] if needed in among)
    return [*reversed(way[way.index(name) :]), way[-1]]
