"""Registry: the registered scripts in the store, every version of them, and what workers say of the newest.

Nothing here decides what may run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from redis.asyncio import Redis

from worker.model.registration import Admission, Registration
from worker.store import encoding
from worker.store.errors import StoreError, store_errors
from worker.store.keys import APPROVALS, REGISTRATION, REGISTRY, REGISTRY_VERSION, REGISTRY_WORKERS, checked_script
from worker.store.script import Script, StoreLimits

# Who has not said anything for this long is not counted on.
ALIVE_MS = 10_000
_FORGOTTEN_MS = 24 * 3600 * 1000
# Of one script: an approver repeats itself now and then, who floods does not.
MOST_APPROVALS = 1000
APPROVAL_CHARACTERS = 8192
_BY_CHARACTERS = 200


class AlreadyRegistered(StoreError):
    """A script of that name is registered."""


class NotRegistered(StoreError):
    """No script of that name, or no such version, is registered."""


class VersionReplaced(StoreError):
    """The script has another version by now."""


class TooManyApprovals(StoreError):
    """A script has as many as are kept."""


class Registry:
    """Behind one connection pool; safe for any number of tasks of one event loop.

    An absent or full store raises StoreUnavailable, what cannot be a name InvalidName.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._put = Script(redis, "registry_put", StoreLimits())
        self._approve = Script(redis, "registry_approve", StoreLimits())

    async def state(self) -> int:
        """A number that is another one after each change of any registration."""
        with store_errors():
            return int(await self._redis.get(REGISTRY_VERSION.name) or 0)

    async def create(self, name: str, declaration: Mapping[str, Any], by: str) -> Registration:
        """Its next version: the first, unless one of that name was removed before. Raises AlreadyRegistered."""
        return await self._write(name, "create", declaration, by)

    async def update(self, name: str, declaration: Mapping[str, Any], by: str) -> Registration:
        """Raises NotRegistered."""
        return await self._write(name, "update", declaration, by)

    async def remove(self, name: str, by: str) -> Registration:
        """The history stays. Raises NotRegistered."""
        found = await self.get(name)
        return await self._write(name, "remove", found.declaration, by)

    async def get(self, name: str) -> Registration:
        """The newest version. Raises NotRegistered, also for one that was removed."""
        with store_errors():
            value: Any = await self._redis.hget(REGISTRY.name, checked_script(name))
            approvals: Any = await self._redis.hvals(APPROVALS.prefix + name)
        found = None if value is None else _registration(name, value)
        if found is None or found.removed:
            raise NotRegistered(f"no script {name} is registered")
        return replace(found, approvals=_texts(approvals))

    async def all(self) -> tuple[Registration, ...]:
        """The newest version of each, removed ones included, by name."""
        with store_errors():
            values: Any = await self._redis.hgetall(REGISTRY.name)
        names = sorted(name.decode() for name in values)
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hvals(APPROVALS.prefix + checked_script(name))
            with store_errors():
                approvals = await pipe.execute() if names else []
        return tuple(
            replace(_registration(name, values[name.encode()]), approvals=_texts(each))
            for name, each in zip(names, approvals, strict=True)
        )

    async def history(self, name: str) -> tuple[Registration, ...]:
        """All versions, the newest first; () when there never was one."""
        with store_errors():
            values: Any = await self._redis.hvals(REGISTRATION.prefix + checked_script(name))
        found = (_registration(name, value) for value in values)
        return tuple(sorted(found, key=lambda each: -each.version))

    async def version(self, name: str, number: int) -> Registration:
        """Raises NotRegistered."""
        with store_errors():
            value: Any = await self._redis.hget(REGISTRATION.prefix + checked_script(name), str(number))
        if value is None:
            raise NotRegistered(f"no version {number} of the script {name} is registered")
        return _registration(name, value)

    async def approve(self, registration: Registration, approval: str) -> None:
        """Keep an approval of the newest version.

        Raises VersionReplaced when that is another one by now, TooManyApprovals.
        """
        if len(approval) > APPROVAL_CHARACTERS:
            raise StoreError("an approval is not as long as this")
        name, key = registration.name, hashlib.sha256(approval.encode()).hexdigest()
        answer = await self._approve(checked_script(name), registration.version, key, approval, MOST_APPROVALS)
        if answer == b"full":
            raise TooManyApprovals(f"the script {name} has {MOST_APPROVALS} approvals already")
        if answer != b"done":
            raise VersionReplaced(f"the script {name} has another version by now")

    async def say(self, place: str, admissions: Mapping[str, Admission]) -> None:
        """A worker's word on the registered scripts, by name; holds for some seconds. `place` is that process's own."""
        said = {name: [a.worker, a.version, a.admits, a.why] for name, a in admissions.items()}
        text = encoding.compact({"at": await self._now(), "of": said})
        with store_errors():
            await self._redis.hset(REGISTRY_WORKERS.name, place, text)

    async def unsay(self, place: str) -> None:
        with store_errors():
            await self._redis.hdel(REGISTRY_WORKERS.name, place)

    async def said(self) -> dict[str, list[Admission]]:
        """By the name of a script, what the workers that live say of it. Forgets those that are long gone."""
        now = await self._now()
        with store_errors():
            values: Any = await self._redis.hgetall(REGISTRY_WORKERS.name)
        found: dict[str, list[Admission]] = {}
        for place, text in sorted(values.items()):
            word = json.loads(text)
            if abs(now - word["at"]) > _FORGOTTEN_MS:
                await self.unsay(place.decode())
            elif abs(now - word["at"]) <= ALIVE_MS:
                for name, each in word["of"].items():
                    found.setdefault(name, []).append(Admission(*each))
        return found

    async def _now(self) -> int:
        with store_errors():
            seconds, microseconds = await self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def _write(self, name: str, mode: str, declaration: Mapping[str, Any], by: str) -> Registration:
        text = encoding.compact({"d": declaration, "b": by[:_BY_CHARACTERS]})
        answer, number, now = await self._put(checked_script(name), mode, text)
        if answer == b"there":
            raise AlreadyRegistered(f"a script {name} is registered already")
        if answer == b"unknown":
            raise NotRegistered(f"no script {name} is registered")
        return Registration(name, int(number), declaration, int(now), by[:_BY_CHARACTERS], mode == "remove")


def _registration(name: str, value: bytes) -> Registration:
    number, at, state, text = value.split(b":", 3)
    said = json.loads(text)
    return Registration(name, int(number), said["d"], int(at), said["b"], state == b"-")


def _texts(values: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(sorted(value.decode("utf-8", "replace") for value in values))
