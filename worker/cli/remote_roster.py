"""Remote roster: the workers of a server, over its HTTP API. The server records what is done with them.

A server's answer is outside data: it is checked here, field by field. Raises ValueError for what none of ours sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from worker.cli import exit_codes
from worker.cli.answer_fields import (
    flag,
    items,
    matching,
    moment,
    number,
    object_of,
    printable_text,
    quantity,
    short,
    text,
)
from worker.cli.failure import Failure
from worker.cli.remote_client import Client, NotFound
from worker.cli.remote_client import Conflict as Refused
from worker.cli.roster import no_worker
from worker.model.worker import (
    LABEL,
    WORKER_NAME,
    Admitted,
    Conflict,
    Pulse,
    Vitals,
    Wish,
    Wishes,
    Worker,
    WorkerCard,
    WorkerProcess,
    WorkerState,
)

if TYPE_CHECKING:
    from worker.operations.fleet import Fleet

_PAGE = 200
_RESTS = (WorkerState.DRAINING, WorkerState.PAUSED)


class RemoteRoster:
    """For as long as its client is open."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def all(self) -> Fleet:
        from worker.operations.fleet import Fleet

        workers: list[Worker] = []
        disagreed: tuple[Conflict, ...] = ()
        cursor: str | None = None
        while True:
            found = await self._client.get("/workers", {"limit": str(_PAGE), **({"cursor": cursor} if cursor else {})})
            page, disagreed, after = self._client.read(lambda found=found: _page(found))  # type: ignore[misc]
            workers += page
            if after is None or (cursor is not None and after <= cursor):
                return Fleet(tuple(workers), disagreed)
            cursor = after

    async def get(self, name: str) -> Worker:
        with _known(name):
            found = await self._client.get(f"/workers/{name}")
        return self._client.read(lambda: _worker(found))

    async def ask(self, name: str, verb: str, why: str) -> Worker:
        with _known(name):
            body = {"why": why} if why and not verb.startswith(("un", "re")) else {}
            found = await self._client.post(f"/workers/{name}/{verb}", body, again=True)
        return self._client.read(lambda: _worker(found))

    async def log(self, name: str, lines: int) -> list[str]:
        with _known(name):
            try:
                found = await self._client.get(f"/workers/{name}/log", {"lines": str(lines)})
            except Refused as error:
                raise Failure(exit_codes.UNAVAILABLE, str(error).removeprefix("conflict: ")) from None
        return self._client.read(lambda: list(items(object_of(found), "lines", _line)))

    async def remove(self, name: str) -> None:
        with _known(name):
            await self._client.delete(f"/workers/{name}")


@contextmanager
def _known(name: str) -> Iterator[None]:
    """What cannot be a name does not become a path."""
    if not WORKER_NAME.match(name) or not name.strip("."):
        raise no_worker(name)
    try:
        yield
    except NotFound:
        raise no_worker(name) from None


def _page(found: Any) -> tuple[tuple[Worker, ...], tuple[Conflict, ...], str | None]:
    found = object_of(found)
    after = None if found.get("next") is None else matching(found, "next", WORKER_NAME)
    return items(found, "workers", _worker), items(found, "conflicts", _conflict), after


def _worker(found: Any) -> Worker:
    found = object_of(found)
    state = WorkerState(text(found, "state"))
    card = WorkerCard(
        name=matching(found, "name", WORKER_NAME),
        instance="",
        process=WorkerProcess(printable_text(found.get("host")), number(found, "pid")),
        version=printable_text(found.get("version")),
        labels=items(found, "labels", _label),
        queues=items(found, "queues", printable_text),
        concurrency=number(found, "concurrency"),
        beat_ms=round(quantity(found, "beatS") * 1000),
    )
    pulse = Pulse(
        rest=state if state in _RESTS else None,
        reason=short(found, "reason") or "",
        running=number(found, "running"),
        tasks=items(found, "tasks", printable_text),
        vitals=Vitals(
            quantity(found, "load"),
            *(number(found, name) for name in ("processors", "memoryFree", "memoryTotal", "diskFree", "diskTotal")),
        ),
    )
    return Worker(
        card=card,
        started_at=moment(found, "startedAt") or 0,
        last_seen_at=moment(found, "lastSeenAt") or 0,
        state=state,
        pulse=pulse,
        wishes=Wishes(_wish(found.get("drain")), _wish(found.get("pause"))),
        admits=None if found.get("scripts") is None else items(found, "scripts", _admitted),
    )


def _line(value: Any) -> str:
    """Whoever shows it makes it printable."""
    if not isinstance(value, str):
        raise ValueError("not a line")
    return value


def _label(value: Any) -> str:
    if not LABEL.match(printable_text(value)):
        raise ValueError("not a label")
    return str(value)


def _wish(found: Any) -> Wish | None:
    if found is None:
        return None
    found = object_of(found)
    return Wish(text(found, "by"), moment(found, "at") or 0, text(found, "why"))


def _admitted(found: Any) -> Admitted:
    found = object_of(found)
    script, queue, digest = (printable_text(found.get(name)) for name in ("script", "queue", "digest"))
    return Admitted(script, queue, digest, flag(found, "registered"))


def _conflict(found: Any) -> Conflict:
    found = object_of(found)
    return Conflict(
        printable_text(found.get("queue")), printable_text(found.get("script")), items(found, "workers", _differs)
    )


def _differs(found: Any) -> tuple[str, str | None]:
    found = object_of(found)
    return matching(found, "name", WORKER_NAME), short(found, "digest")
