"""Workers in the store: who has which name, and what was last heard of each. Nothing here is in the path of a task."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace
from redis.asyncio import Redis

from worker.model.worker import WORKER_NAME, Admitted, Pulse, Wishes, Worker, WorkerCard
from worker.store.encoding import compact, shortened
from worker.store.errors import InvalidName, StoreError, store_errors
from worker.store.keys import WORKER_ADMITS, WORKER_BEATS, WORKER_WISHES, WORKERS
from worker.store.script import Script, StoreLimits
from worker.store.worker_reading import read_admits, read_card, read_wishes, read_worker

_WHO_CHARACTERS = 200
_WHY_CHARACTERS = 500


class UnknownWorker(StoreError):
    """No worker of that name is in the register."""


class WorkerLives(StoreError):
    """It was heard of a moment ago."""


class Holder(Struct, frozen=True):
    """Who has a name that another worker asks for. `card` is None for one that nobody can read."""

    card: WorkerCard | None
    last_seen_at: int


class Workers:
    """The register behind one connection pool; safe for any number of tasks of one event loop.

    An absent or full store raises StoreUnavailable, what cannot be a name InvalidName. Every call may be made twice.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        limits = StoreLimits()
        self._enter = Script(redis, "worker_enter", limits, "workers")
        self._beat = Script(redis, "worker_beat", limits, "workers")
        self._leave = Script(redis, "worker_leave", limits, "workers")
        self._remove = Script(redis, "worker_remove", limits, "workers")
        self._wish = Script(redis, "worker_wish", limits)

    async def enter(
        self, card: WorkerCard, admits: tuple[Admitted, ...], pulse: Pulse, *, gone: str = ""
    ) -> Wishes | Holder:
        """Take the name of the card, or learn who has it: one that was heard of within two of its beats, unless it is
        the process `gone`.
        """
        answer = await self._enter(
            checked_name(card.name),
            card.instance,
            card.beat_ms,
            _card_text(card),
            _admits_text(admits),
            _pulse_text(pulse),
            gone,
        )
        if answer[0] == b"entered":
            return read_wishes(*answer[1])
        return Holder(read_card(answer[1]), int(answer[2]))

    async def beat(
        self, card: WorkerCard, pulse: Pulse, *, admits: tuple[Admitted, ...] | None = None
    ) -> Wishes | None:
        """Say what runs, and hear what was asked for. `admits`: when the card has changed. None: the name is another
        process's by now. Raises UnknownWorker when it was removed or forgotten: then enter again.
        """
        changed = () if admits is None else (_card_text(card), _admits_text(admits))
        answer = await self._beat(checked_name(card.name), card.instance, _pulse_text(pulse), *changed)
        if answer[0] == b"unknown":
            raise UnknownWorker(f"the worker {card.name} is not in the register")
        return read_wishes(*answer[1]) if answer[0] == b"kept" else None

    async def wishes(self, name: str) -> Wishes:
        with store_errors():
            found: Any = await self._redis.hmget(WORKER_WISHES.name, _wish_fields(checked_name(name)))
        return read_wishes(*found)

    async def leave(self, card: WorkerCard, pulse: Pulse) -> None:
        """It ends: from now on it is offline. Its name is free."""
        await self._leave(checked_name(card.name), card.instance, _pulse_text(pulse))

    async def wish(self, name: str, what: str, by: str, why: str = "") -> None:
        """Ask for `drain` or `pause`. Asking twice changes nothing. Raises UnknownWorker."""
        said = compact({"b": shortened(by)[:_WHO_CHARACTERS], "w": shortened(why)[:_WHY_CHARACTERS]})
        await self._ask(name, what, said)

    async def take_back(self, name: str, what: str) -> None:
        """`drain` or `pause` is not asked for any more. Raises UnknownWorker."""
        await self._ask(name, what, "")

    async def remove(self, name: str, *, silent_ms: int = 0) -> None:
        """Forget one that was not heard of for so long. Raises UnknownWorker, and WorkerLives for one that was."""
        answer = await self._remove(checked_name(name), silent_ms)
        if answer == b"unknown":
            raise _unknown(name)
        if answer == b"live":
            raise WorkerLives(f"the worker {name} is not gone")

    async def get(self, name: str) -> Worker:
        """With what it admits. Raises UnknownWorker."""
        checked_name(name)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.time()
            for key in (WORKERS, WORKER_BEATS, WORKER_ADMITS):
                pipe.hget(key.name, name)
            pipe.hmget(WORKER_WISHES.name, _wish_fields(name))
            with store_errors():
                time, card, beat, admits, wishes = await pipe.execute()
        found = read_worker(_milliseconds(time), name, card, beat, read_wishes(*wishes))
        if found is None:
            raise _unknown(name)
        return replace(found, admits=read_admits(admits))

    async def list(self, *, admits: bool = False) -> tuple[Worker, ...]:
        """All that are known, by name. `admits`: with what each of them runs."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.time()
            for key in (WORKERS, WORKER_BEATS, WORKER_WISHES, *((WORKER_ADMITS,) if admits else ())):
                pipe.hgetall(key.name)
            with store_errors():
                time, cards, beats, asked, *manifests = await pipe.execute()
        now, found = _milliseconds(time), []
        for name, card in sorted(cards.items()):
            shown = name.decode("utf-8", "replace")
            wishes = read_wishes(*(asked.get(field.encode()) for field in _wish_fields(shown)))
            worker = read_worker(now, shown, card, beats.get(name), wishes)
            if worker is not None:
                found.append(replace(worker, admits=read_admits(manifests[0].get(name))) if manifests else worker)
        return tuple(found)

    async def now(self) -> int:
        """The store's clock in milliseconds."""
        with store_errors():
            return _milliseconds(await self._redis.time())

    async def _ask(self, name: str, what: str, said: str) -> None:
        if what not in ("drain", "pause"):
            raise ValueError(f"nobody asks a worker for {what!r}")
        if not await self._wish(checked_name(name), what, said):
            raise _unknown(name)


def checked_name(name: str) -> str:
    """The same. Raises InvalidName for what cannot be the name of a worker."""
    if WORKER_NAME.match(name):
        return name
    raise InvalidName(f"not a worker's name: {name[:80]!a}")


def _unknown(name: str) -> UnknownWorker:
    return UnknownWorker(f"there is no worker {name}")


def _wish_fields(name: str) -> list[str]:
    return [f"{name}:drain", f"{name}:pause"]


def _milliseconds(time: tuple[int, int]) -> int:
    return int(time[0]) * 1000 + int(time[1]) // 1000


def _card_text(card: WorkerCard) -> str:
    return compact(to_builtins(card))


def _admits_text(admits: tuple[Admitted, ...]) -> str:
    return compact([[each.script, each.queue, each.digest, int(each.registered)] for each in admits])


def _pulse_text(pulse: Pulse) -> str:
    return compact(to_builtins(pulse))
