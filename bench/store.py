"""Store: what each call on a task's record costs: one at a time, and many in one write to the store.

Everything goes through the product's own `Records`. Nothing runs but the store and this program.
"""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from bench.measuring import Row, Table, WrongCount, percentile
from bench.program import options, positive, progress, report
from worker.embedded import Embedded
from worker.model.answers import Claimed, Renewal, Resolved, ResolveOutcome
from worker.model.status import Status
from worker.model.task import Claim, NewTask, Resolution
from worker.store import Records, connect

FLOOR = "ping"
VERBS = ("register", "claim", "renew", "resolve")
CALLS = (FLOOR, *VERBS)
RENEWED_TOGETHER = 16  # claims in one call of renew, as a worker with as many slots makes it
_LEASE_S = 600.0
_PAYLOAD = b'{"text":"%s"}' % (b"x" * 289)
_DONE = Resolution(Status.COMPLETED, exit_code=0, duration_ms=5, log_bytes=100)
_US = 1_000_000

Sent = Callable[[int], Awaitable[Any]]


class Pipelined:
    """As much of a client as `Records` needs to write: what is called meanwhile is sent in one write."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []

    def execute_command(self, *arguments: Any) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((arguments, answer))
        return answer

    async def flush(self) -> None:
        """Send what waits, and give each caller its answer."""
        waiting, self._waiting = self._waiting, []
        async with self._redis.pipeline(transaction=False) as pipe:
            for arguments, _ in waiting:
                pipe.execute_command(*arguments)
            answers: Any = await pipe.execute(raise_on_error=False)
        for (_, future), answer in zip(waiting, answers, strict=True):
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


class Round:
    """The same tasks through all calls, `at_once` of them in each write."""

    def __init__(self, redis: Redis, tasks: int, at_once: int) -> None:
        self._redis = redis
        self._tasks = tasks
        self._at_once = at_once
        self._client: Any = redis
        if at_once > 1:
            self._client = Pipelined(redis)
        self._records = Records(self._client)
        self._claims: list[Claim] = []

    async def measure(self) -> dict[str, dict[str, float]]:
        await self._redis.flushall()
        await self._redis.config_resetstat()
        kept_before = await _memory(self._redis)
        found = {
            FLOOR: await self._measured(lambda _: self._client.execute_command("PING"), self._tasks),
            "register": await self._measured(self._register, self._tasks),
            "claim": await self._measured(self._claim, self._tasks),
            "renew": await self._measured(self._renew, max(1, self._tasks // RENEWED_TOGETHER)),
            "resolve": await self._measured(self._resolve, self._tasks),
        }
        counts = await Records(self._redis).counts()
        if counts[Status.COMPLETED] != self._tasks:
            raise WrongCount(f"store: {counts[Status.COMPLETED]} of {self._tasks} tasks are recorded as completed")
        found["resolve"]["kept"] = (await _memory(self._redis) - kept_before) / self._tasks
        return found

    def _register(self, number: int) -> Awaitable[Any]:
        return self._records.register(
            NewTask(
                id=_id(number),
                script="drop",
                payload=_PAYLOAD,
                shown=_PAYLOAD.decode(),
                digest=hashlib.sha256(_PAYLOAD).hexdigest(),
                queue="penstock",
                trigger="cli",
            )
        )

    async def _claim(self, number: int) -> None:
        answer = await self._records.claim(_id(number), "bench@host", _LEASE_S)
        if not isinstance(answer, Claimed):
            raise WrongCount(f"store: a pending task was not claimed: {answer.refusal}")
        self._claims.append(answer.claim)

    async def _renew(self, number: int) -> None:
        start = number * RENEWED_TOGETHER
        renewals: Sequence[Renewal] = await self._records.renew(
            "bench@host", self._claims[start : start + RENEWED_TOGETHER], _LEASE_S
        )
        if any(renewal.lost for renewal in renewals):
            raise WrongCount("store: a claim was lost")

    async def _resolve(self, number: int) -> None:
        answer: Resolved = await self._records.resolve(self._claims[number], _DONE)
        if answer.outcome is not ResolveOutcome.RECORDED:
            raise WrongCount(f"store: an end was not recorded: {answer.outcome}")

    async def _measured(self, call: Sent, calls: int) -> dict[str, float]:
        """Seconds by the wall, of this process and of the store, for each call."""
        times: list[float] = []
        commands = await _commands(self._redis)
        store_s, cpu_s, begun = await _store_cpu_s(self._redis), time.process_time(), time.perf_counter()
        for first in range(0, calls, self._at_once):
            sent = time.perf_counter()
            numbers = range(first, min(calls, first + self._at_once))
            if self._at_once == 1:
                await call(first)
            else:
                await self._together([call(number) for number in numbers])
            times.append((time.perf_counter() - sent) / len(numbers))
        took_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu_s
        return {
            "p50": statistics.median(times),
            "p99": percentile(times, 99),
            "each": took_s / calls,
            "client": cpu_s / calls,
            "store": (await _store_cpu_s(self._redis) - store_s) / calls,
            "sent": (await _commands(self._redis) - commands) / calls,
        }

    async def _together(self, calls: Sequence[Awaitable[Any]]) -> None:
        waiting = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)  # each of them up to what it sends
        await self._client.flush()
        for one in waiting:
            await one


def measure(tasks: int, rounds: int, at_once: int = 32) -> list[Table]:
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="pb") as folder, Embedded(Path(folder) / "store") as store:
        for number in range(rounds):
            for together in (1, at_once):
                progress(f"store: {together} at a time, round {number + 1} of {rounds}")
                for name, figures in asyncio.run(_round(store.url, tasks, together)).items():
                    found.setdefault((name, together), []).append(figures)
    progress("")
    return [_table(found, tasks, rounds, together) for together in (1, at_once)]


async def _round(url: str, tasks: int, at_once: int) -> dict[str, dict[str, float]]:
    redis = connect(url)
    try:
        await Round(redis, min(tasks, 2 * at_once), 1).measure()  # connects, and tells the store the scripts
        return await Round(redis, tasks, at_once).measure()
    except NoScriptError as error:
        raise WrongCount("store: it has forgotten the scripts") from error
    finally:
        await redis.aclose()


def _table(found: dict[tuple[str, int], list[dict[str, float]]], tasks: int, rounds: int, at_once: int) -> Table:
    rows: list[Row] = []
    for name in CALLS:
        of_rounds = found[name, at_once]

        def middle(figure: str, of_rounds: list[dict[str, float]] = of_rounds) -> float:
            return statistics.median(figures[figure] for figures in of_rounds)

        rows.append(
            {
                "call": f"{name} of {RENEWED_TOGETHER}" if name == "renew" else name,
                "calls/s": 1 / middle("each"),
                "p50 µs": middle("p50") * _US,
                "p99 µs": middle("p99") * _US,
                "CPU of the store µs": middle("store") * _US,
                "CPU of the client µs": middle("client") * _US,
                "round trips": middle("sent") / at_once,
                "kept bytes/task": middle("kept") if name == "resolve" else None,
            }
        )
    way = "one at a time" if at_once == 1 else f"{at_once} in one write"
    title = f"Store: calls on {tasks:,} tasks, {way}, medians of {rounds} rounds"
    raw = {f"{name} µs": [one["each"] * _US for one in found[name, at_once]] for name in CALLS}
    return Table(title, rows, raw=raw)


def _id(number: int) -> str:
    return f"0b5bbc80-1f3c-4d2e-9b58-{number:012d}"


async def _memory(redis: Redis) -> int:
    return int((await redis.info("memory"))["used_memory_dataset"])


async def _store_cpu_s(redis: Redis) -> float:
    found = await redis.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


async def _commands(redis: Redis) -> int:
    """What clients have sent, without what asks for it. What scripts call is not in it."""
    found = await redis.info("commandstats")
    return sum(int(found.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("evalsha", "eval", "ping"))


def main() -> int:
    parser = options(__doc__, rounds=3)
    parser.add_argument("--tasks", type=positive, default=5000, help="tasks in each round")
    chosen = parser.parse_args()
    tasks, rounds, at_once = (40, 1, 8) if chosen.quick else (chosen.tasks, chosen.rounds, 32)
    return report([lambda: measure(tasks, rounds, at_once)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
