"""Meters: what this process counts of itself, in the text format of Prometheus.

By hand: `prometheus-client` brings a registry of its own for the whole process, of which we would use the formatting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

# Seconds; a read takes milliseconds, `execute` waits for up to 25 s.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

Labels = tuple[tuple[str, str], ...]


class Family(Struct, frozen=True):
    """A metric with its samples. `kind`: gauge or counter."""

    name: str
    kind: str
    help: str
    samples: Iterable[tuple[Labels, float]]


class _Durations(Struct):
    counts: list[int] = field(default_factory=lambda: [0] * len(BUCKETS_S))
    count: int = 0
    sum_s: float = 0.0


class Meters:
    """Requests by method and route, as it is declared: there are only so many. For one event loop."""

    def __init__(self) -> None:
        self._requests: dict[Labels, int] = {}
        self._durations: dict[Labels, _Durations] = {}

    def answered(self, method: str, route: str, status: int, duration_s: float | None) -> None:
        """`duration_s` None: it lasted as long as its reader wanted."""
        place: Labels = (("method", method), ("route", route))
        counted = (*place, ("status", str(status)))
        self._requests[counted] = self._requests.get(counted, 0) + 1
        if duration_s is None:
            return
        durations = self._durations.setdefault(place, _Durations())
        durations.count += 1
        durations.sum_s += duration_s
        for number, bound_s in enumerate(BUCKETS_S):
            if duration_s <= bound_s:
                durations.counts[number] += 1

    def text(self) -> Iterable[str]:
        name = "penstock_http_requests_total"
        yield from lines(Family(name, "counter", "Requests that were answered.", self._requests.items()))
        name = "penstock_http_request_duration_seconds"
        yield from _head(name, "histogram", "How long the answers took, streams aside.")
        for place, durations in self._durations.items():
            for bound_s, count in zip(BUCKETS_S, durations.counts, strict=True):
                yield sample(f"{name}_bucket", (*place, ("le", f"{bound_s:g}")), count)
            yield sample(f"{name}_bucket", (*place, ("le", "+Inf")), durations.count)
            yield sample(f"{name}_sum", place, durations.sum_s)
            yield sample(f"{name}_count", place, durations.count)


def lines(family: Family) -> Iterable[str]:
    yield from _head(family.name, family.kind, family.help)
    for labels, value in family.samples:
        yield sample(family.name, labels, value)


def sample(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{inside}}} {value!r}\n" if inside else f"{name} {value!r}\n"


def labelled(label: str, values: Mapping[str, float]) -> list[tuple[Labels, float]]:
    return [(((label, name),), value) for name, value in values.items()]


def _head(name: str, kind: str, text: str) -> Iterable[str]:
    yield f"# HELP {name} {text}\n"
    yield f"# TYPE {name} {kind}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
