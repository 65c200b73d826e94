"""Place: where a reader of a task's stream is; the id of each event.

It names the run and the place in the log that is kept, so that every server knows it, at any time, whatever is left
of the live view:

    <run>.pending   <run>.running   <run>.log.<lines>.<bytes>   <run>.ended   <run>.artifact.<number>   <run>.done

`<lines>` have ended within the first `<bytes>` of the log.
"""

from __future__ import annotations

import re
from enum import IntEnum

from msgspec import Struct

_ID = re.compile(
    r"(?P<run>[0-9]{1,9})\.(?:(?P<step>pending|running|ended|done)"
    r"|log\.(?P<lines>[0-9]{1,15})\.(?P<bytes>[0-9]{1,15})|artifact\.(?P<artifact>[0-9]{1,9}))\Z"
)


class Step(IntEnum):
    """In this order; a run has been seen as far as its step."""

    START = 0
    PENDING = 1
    RUNNING = 2
    LOG = 3
    ENDED = 4
    ARTIFACT = 5
    DONE = 6


class LogPlace(Struct, frozen=True):
    """So many bytes of a run's log, with so many line ends."""

    bytes: int = 0
    lines: int = 0


class Place(Struct, frozen=True):
    """What was seen last. `log` is of use until the step is beyond it; `artifact`: the number of the last one seen."""

    run: int = 0
    step: Step = Step.START
    log: LogPlace = LogPlace()
    artifact: int = 0

    @classmethod
    def parse(cls, text: str) -> Place:
        """Raises ValueError for what is no id of ours."""
        found = _ID.match(text)
        if not found:
            raise ValueError("not the id of an event of this stream")
        run = int(found["run"])
        if found["step"]:
            return cls(run, Step[found["step"].upper()])
        if found["artifact"]:
            return cls(run, Step.ARTIFACT, artifact=int(found["artifact"]))
        return cls(run, Step.LOG, LogPlace(int(found["bytes"]), int(found["lines"])))
