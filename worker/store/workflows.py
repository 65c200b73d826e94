"""Workflows in the store: those that were made through the API. What a definition says is not looked at here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from worker.model.workflow_run import StoredWorkflow
from worker.store import encoding
from worker.store.errors import StoreError, store_errors
from worker.store.keys import WORKFLOWS, checked_workflow
from worker.store.script import Script, StoreLimits

# They are listed as a whole.
MOST = 1000
_WHO_CHARACTERS = 200


class WorkflowExists(StoreError):
    """There is one of that name."""


class UnknownWorkflow(StoreError):
    """There is none of that name."""


class WorkflowChanged(StoreError):
    """It has another version than the one that was to be changed."""


class TooManyWorkflows(StoreError):
    """There are as many as there may be."""


class Workflows:
    """The definitions behind one connection pool. An absent or full store raises StoreUnavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._save = Script(redis, "workflow_save", StoreLimits())

    async def create(self, name: str, document: Mapping[str, Any], by: str) -> int:
        """Keep a new one; its version. Raises WorkflowExists, also when the answer to the same call was lost."""
        return await self._saved(name, document, by, create=True)

    async def replace(self, name: str, document: Mapping[str, Any], by: str, *, version: int | None = None) -> int:
        """Keep it in the place of the former one; its version. Raises UnknownWorkflow, WorkflowChanged."""
        return await self._saved(name, document, by, create=False, version=version)

    async def delete(self, name: str) -> bool:
        """False when there is none. Its runs go on, and stay."""
        with store_errors():
            removed: Any = await self._redis.hdel(WORKFLOWS.name, checked_workflow(name))
        return bool(removed)

    async def get(self, name: str) -> StoredWorkflow | None:
        with store_errors():
            found: Any = await self._redis.hget(WORKFLOWS.name, checked_workflow(name))
        return _stored(name, found) if found else None

    async def list(self) -> tuple[StoredWorkflow, ...]:
        """All of them, by name."""
        with store_errors():
            found: Any = await self._redis.hgetall(WORKFLOWS.name)
        return tuple(_stored(name.decode(), value) for name, value in sorted(found.items()))

    async def _saved(
        self, name: str, document: Mapping[str, Any], by: str, *, create: bool, version: int | None = None
    ) -> int:
        answer = await self._save(
            checked_workflow(name),
            encoding.compact(document),
            encoding.text(by[:_WHO_CHARACTERS]),
            "" if version is None else version,
            int(create),
            MOST,
        )
        match answer[0]:
            case b"there":
                raise WorkflowExists(f"there is a workflow {name} already")
            case b"unknown":
                raise UnknownWorkflow(f"there is no workflow {name} that was made through the API")
            case b"stale":
                raise WorkflowChanged(f"the workflow {name} has version {answer[1].decode()} by now")
            case b"full":
                raise TooManyWorkflows(f"there are {MOST} workflows, and cannot be more")
        return int(answer[1])


def _stored(name: str, value: bytes) -> StoredWorkflow:
    found = json.loads(value)
    return StoredWorkflow(name, found["d"], found["v"], found["a"], found["b"], found["u"], found["w"])
