"""A real store for the tests of the worker: one embedded server per test process, emptied before each test."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import redis

from worker.embedded import Embedded
from worker.store import Records, connect

T = TypeVar("T")


@pytest.fixture(scope="session")
def embedded_store() -> Iterator[Embedded]:
    # Not below pytest's own folder, whose name may be longer than a socket's path.
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder, Embedded(Path(folder)) as store:
        yield store


@pytest.fixture
def store(embedded_store: Embedded) -> Embedded:
    """The running store, with nothing in it. `store.url` is for `connect`, `store.celery_url` for kombu."""
    with redis.Redis.from_url(embedded_store.url, protocol=2) as client:
        client.flushall()
    return embedded_store


@pytest.fixture
def play(store: Embedded) -> Callable[[Callable[[Records], Awaitable[T]]], T]:
    """Runs a coroutine function with the records of the empty store in an event loop of its own."""

    def run(scene: Callable[[Records], Awaitable[T]]) -> T:
        async def with_records() -> T:
            client = connect(store.url)
            try:
                return await scene(Records(client))
            finally:
                await client.aclose()

        return asyncio.run(with_records())

    return run
