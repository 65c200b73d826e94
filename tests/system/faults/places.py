"""Places: where a run can be stopped from outside, by the request for its next step or by the answer to it."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.system.faults.fault_site import FaultSite
from tests.system.faults.proxy import Hold, Proxy

# A command that lives until the test says `go`.
WAITS = 'while [ ! -e "$SITE/go" ]; do mark tick; sleep 0.05; done'
EXPIRED: tuple[str, str | None] = ("exception", "claim-expired")
DONE: tuple[str, str | None] = ("completed", None)


@dataclass(frozen=True, slots=True)
class Place:
    """`reach` holds a worker there. `after_kill`: the ends of the runs when it is killed there, and another follows."""

    reach: Callable[[Proxy, str], Hold]
    after_kill: tuple[tuple[str, str | None], ...]
    starts: int


PLACES = {
    "before the claim": Place(lambda proxy, task: proxy.hold_request("EVALSHA", task), (DONE,), 1),
    "between claim and start": Place(lambda proxy, task: proxy.hold_reply("EVALSHA", task), (EXPIRED, DONE), 1),
    "after the exit, before resolve": Place(
        lambda proxy, task: proxy.hold_request("EVALSHA", task, "completed"), (EXPIRED, DONE), 2
    ),
    "after resolve, before the answer": Place(
        lambda proxy, task: proxy.hold_reply("EVALSHA", task, "completed"), (DONE,), 1
    ),
    "before the acknowledgement": Place(
        lambda proxy, task: proxy.hold_request("EVALSHA", "penstock:inflight:", task), (DONE,), 1
    ),
}


class Stopped(NamedTuple):
    """A task whose worker stands at a place: what it does next waits for `hold`."""

    task_id: str
    hold: Hold
    worker: subprocess.Popen[bytes]
    proxy: Proxy


def stop_at(site: FaultSite, place: str) -> Stopped:
    """Start the worker `one`, send it a task of the script `step`, and return when it stands at that place."""
    proxy = site.proxy()
    worker = site.worker("one", via=proxy)
    task_id = str(uuid.uuid4())
    hold = PLACES[place].reach(proxy, task_id)
    site.send("step", task_id=task_id)
    hold.wait()
    return Stopped(task_id, hold, worker, proxy)


def ends(site: FaultSite, task_id: str) -> tuple[tuple[str, str | None], ...]:
    """Status and reason of each run, when the task is final."""
    return tuple((str(run.status), run.reason) for run in site.finished(task_id).runs)
