"""Target: where a task is to run. `_any` is nobody in particular; a name, labels and `_all` mean workers themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from worker.model.worker import LABEL, WORKER_NAME

ANY = "_any"
ALL = "_all"
# What is addressed to one worker lies in a queue of its own, and carries its name in its record by that.
QUEUE_PREFIX = "penstock.worker."
# More say nothing more.
MOST_LABELS = 10


class NotATarget(ValueError):
    """The text is none; the message says what one is, fit to be shown."""


class Target(Struct, frozen=True):
    """Either `worker`, a name; or every worker that carries all of `labels`, pairs of key and value; none: `_all`."""

    worker: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """As it is written, the labels separated by blanks."""
        return self.worker or " ".join(f"{key}:{value}" for key, value in self.labels) or ALL

    def matches(self, name: str, labels: Iterable[str]) -> bool:
        """Whether it means the worker of that name, whose labels are written `key=value`.

        `group:web` means `group=web` and all below it, as `group=web.dev`, and not `group=webmail`.
        """
        if self.worker is not None:
            return name == self.worker
        carried = [label.partition("=")[::2] for label in labels]
        return all(
            any(key == wanted and f"{value}.".startswith(f"{wanted_value}.") for key, value in carried)
            for wanted, wanted_value in self.labels
        )


def parse_target(texts: Sequence[str]) -> Target | None:
    """One text, or some labels `key:value`, all of which have to match. None is `_any`. Raises NotATarget."""
    if not 0 < len(texts) <= MOST_LABELS:
        raise NotATarget(f"a target is {ANY}, {ALL}, the name of a worker, or 1 to {MOST_LABELS} labels as key:value")
    if len(texts) == 1:
        (text,) = texts
        if text == ANY:
            return None
        if text == ALL:
            return Target()
        if ":" not in text:
            if not WORKER_NAME.match(text):
                raise NotATarget(f"neither {ANY}, {ALL}, the name of a worker nor a label key:value: {text[:80]!a}")
            return Target(worker=text)
    return Target(labels=tuple(dict.fromkeys(_label(text) for text in texts)))


def read_target(text: str) -> Target:
    """The target that was written so. Raises NotATarget."""
    found = parse_target(text.split(" "))
    if found is None:
        raise NotATarget(f"{ANY} is no worker in particular")
    return found


def queue_of(worker: str) -> str:
    """The queue of what is addressed to the worker of that name."""
    return QUEUE_PREFIX + worker


def worker_of(queue: str) -> str | None:
    """Whose queue it is; None for any other."""
    return queue.removeprefix(QUEUE_PREFIX) if queue.startswith(QUEUE_PREFIX) else None


def _label(text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not colon or not LABEL.match(f"{key}={value}"):
        raise NotATarget(f"several targets at once have to be labels, key:value; this is none: {text[:80]!a}")
    return key, value
