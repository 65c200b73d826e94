"""History: what it costs to list, filter and prune tasks when the store holds few and when it holds many."""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from bench.measuring import Row, Table, WrongCount, percentile
from bench.program import options, positive, progress, report
from bench.store import Pipelined
from worker.embedded import Embedded
from worker.model.answers import Claimed
from worker.model.status import Status
from worker.model.task import NewTask, Resolution
from worker.store import Records, connect

SCRIPTS = ("sign", "upload", "checksum", "report")
# One task in so many has failed.
_FAILS = 20
_TOGETHER = 250
_PAGE = 50
_PRUNED_AT_ONCE = 200
PRUNE = f"prune {_PRUNED_AT_ONCE}"
_LEASE_S = 600.0
_PAYLOAD = b'{"text":"%s"}' % (b"x" * 289)
_DIGEST = hashlib.sha256(_PAYLOAD).hexdigest()
_DONE = Resolution(Status.COMPLETED, exit_code=0, duration_ms=5, log_bytes=100)
_FAILED = Resolution(Status.FAILED, "exit-code", "the command ended with 1", exit_code=1, duration_ms=5, log_bytes=100)
_MS = 1000


class Grown:
    """A store that is filled with finished tasks, by the calls that a worker makes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pipe = Pipelined(redis)
        self._written = _records(self._pipe)
        self.records = Records(redis)
        self.size = 0
        self._made = 0

    async def grow(self, size: int) -> None:
        """Claim with the task itself, as for a message from Celery, then resolve: two calls a task."""
        await self._prime()
        while self.size < size:
            numbers = range(self._made, self._made + min(size - self.size, _TOGETHER))
            claimed = await self._together([self._claim(number) for number in numbers])
            await self._together(
                [
                    self._written.resolve(one.claim, _DONE if number % _FAILS else _FAILED)
                    for number, one in zip(numbers, claimed, strict=True)
                ]
            )
            self._made = numbers.stop
            self.size += len(numbers)
            if self._made % (_TOGETHER * 40) == 0:
                progress(f"history: {self.size:,} of {size:,} finished tasks are written")
        counts = await self.records.counts()
        if (there := counts[Status.COMPLETED] + counts[Status.FAILED]) != size:
            raise WrongCount(f"history: {there} of {size} tasks are recorded as finished")

    async def _claim(self, number: int) -> Claimed:
        answer = await self._written.claim(_id(number), "bench@host", _LEASE_S, _new(number))
        if not isinstance(answer, Claimed):
            raise WrongCount(f"history: a new task was not claimed: {answer.refusal}")
        return answer

    async def _together(self, calls: list[Any]) -> list[Any]:
        waiting = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)  # each of them up to what it sends
        await self._pipe.flush()
        return await asyncio.gather(*waiting)

    async def _prime(self) -> None:
        """Tell the store the scripts: a call in a pipeline cannot."""
        if self._made:
            return
        answer = await self.records.claim(_id(0), "bench@host", _LEASE_S, _new(0))
        assert isinstance(answer, Claimed)
        await self.records.resolve(answer.claim, _FAILED)
        self.size = self._made = 1

    async def prune(self) -> None:
        found = await self.records.prunable(
            older_than_ms=None, keep_count=self.size - _PRUNED_AT_ONCE, limit=_PRUNED_AT_ONCE
        )
        removed = await self.records.forget(found)
        if removed != _PRUNED_AT_ONCE:
            raise WrongCount(f"history: {removed} of {_PRUNED_AT_ONCE} tasks were pruned")
        self.size -= removed

    async def calls(self) -> dict[str, Callable[[], Awaitable[Any]]]:
        records, cursor = self.records, (await self.records.list(limit=_PAGE)).next
        return {
            "list 50": lambda: records.list(limit=_PAGE),
            "list the next 50": lambda: records.list(limit=_PAGE, before=cursor),
            "list 50 of a script": lambda: records.list(script=SCRIPTS[1], limit=_PAGE),
            "list 50 that failed": lambda: records.list(status=Status.FAILED, limit=_PAGE),
            "list 50 of a script that completed": lambda: records.list(
                script=SCRIPTS[1], status=Status.COMPLETED, limit=_PAGE
            ),
            "count each status": records.counts,
            PRUNE: self.prune,
        }


Times = dict[str, list[float]]


async def _times(stores: tuple[Grown, Grown], calls: int) -> tuple[Times, Times]:
    """Milliseconds of each call, the two stores in turns."""
    few, many = [await store.calls() for store in stores]
    found: tuple[Times, Times] = ({}, {})
    for name in few:
        # As many prunings as leave most of the smaller store.
        times = max(1, min(calls, stores[0].size // _PRUNED_AT_ONCE // 4)) if name == PRUNE else calls
        for _ in range(times):
            for took, call in zip(found, (few[name], many[name]), strict=True):
                begun = time.perf_counter()
                await call()
                took.setdefault(name, []).append((time.perf_counter() - begun) * _MS)
    return found


def _records(client: Any) -> Records:
    """Over as much of a client as they need to write."""
    return Records(client)


def _id(number: int) -> str:
    return f"0b5bbc80-1f3c-4d2e-9b58-{number:012d}"


def _new(number: int) -> NewTask:
    return NewTask(
        id=_id(number),
        script=SCRIPTS[number % len(SCRIPTS)],
        payload=_PAYLOAD,
        shown=_PAYLOAD.decode(),
        digest=_DIGEST,
        queue="penstock",
        trigger="celery",
    )


def measure(tasks: int, few: int = 10_000, calls: int = 100) -> list[Table]:
    with (
        tempfile.TemporaryDirectory(prefix="pb") as folder,
        Embedded(Path(folder) / "few") as small,
        Embedded(Path(folder) / "many") as large,
    ):
        at_few, at_many, megabytes = asyncio.run(_measure((small.url, few), (large.url, tasks), calls))
    progress("")
    ratios = {name: statistics.median(at_many[name]) / statistics.median(at_few[name]) for name in at_few}
    rows: list[Row] = [
        {
            "call": name,
            f"p50 ms at {few:,}": statistics.median(at_few[name]),
            "p99 ms": percentile(at_few[name], 99),
            f"p50 ms at {tasks:,}": statistics.median(at_many[name]),
            "its p99 ms": percentile(at_many[name], 99),
            "times": ratios[name],
        }
        for name in at_few
    ]
    title = f"History: {tasks:,} finished tasks in one store ({megabytes:,.0f} MB), {few:,} in another, in turns"
    return [
        Table(
            title,
            rows,
            found={
                "history list": max(ratios["list 50"], ratios["list the next 50"]),
                "history filter": max(ratio for name, ratio in ratios.items() if name.startswith("list 50 ")),
                "history prune": ratios[PRUNE],
                **{f"size of history {verb}": float(tasks) for verb in ("list", "filter", "prune")},
            },
        )
    ]


async def _measure(few: tuple[str, int], many: tuple[str, int], calls: int) -> tuple[Times, Times, float]:
    clients = connect(few[0]), connect(many[0])
    try:
        stores = Grown(clients[0]), Grown(clients[1])
        for store, (_, size) in zip(stores, (few, many), strict=True):
            await store.grow(size)
        await _times(stores, 1)  # connects, and tells the store the scripts
        progress("history: list, filter, prune")
        at_few, at_many = await _times(stores, calls)
        return at_few, at_many, float((await clients[1].info("memory"))["used_memory"]) / 1_000_000
    finally:
        for client in clients:
            await client.aclose()


def main() -> int:
    parser = options(__doc__, rounds=1)
    parser.add_argument("--tasks", type=positive, default=1_000_000, help="finished tasks in the store")
    chosen = parser.parse_args()
    tasks, few, calls = (2_000, 1_000, 5) if chosen.quick else (chosen.tasks, 10_000, 100)
    return report([lambda: measure(tasks, few, calls)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
