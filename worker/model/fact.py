"""Fact: what a worker knows of itself, and a payload may name. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

FACT_NAME = "[A-Za-z][A-Za-z0-9_-]{0,62}"
# A payload may name one many times.
FACT_CHARS = 200


def facts_of(name: str, hostname: str, labels: Iterable[str], declared: Mapping[str, str]) -> dict[str, str]:
    """By what stands behind `worker.`. A label that has several values on this worker is no fact."""
    pairs = [label.partition("=")[::2] for label in labels]
    times = Counter(key for key, _ in pairs)
    return {
        "name": name,
        "hostname": hostname,
        **{f"label.{key}": value for key, value in pairs if times[key] == 1},
        **{f"fact.{key}": value for key, value in declared.items()},
    }
