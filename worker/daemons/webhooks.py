"""Webhooks: one of all API servers records which ends are to be told, and tells them until they are taken."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import httpx2
import structlog

from worker.api.feed import Feed, order
from worker.api.woken import woken
from worker.config.webhooks import WebhookSettings, read_target
from worker.model.listing import Event
from worker.model.status import FINAL
from worker.model.task import Task
from worker.operations.cloud_event import body_of, event_id, headers_of
from worker.store import Records, StoreError
from worker.store.webhooks import LEASE_S, Delivery, Lease, Webhooks

_T = TypeVar("_T")
_logger = structlog.get_logger("penstock.webhooks")
_COUNT = 500
_AT_ONCE = 4
# The pause doubles from the first to the longest; what is older is given up, and what was tried so often.
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5 * 60.0
GIVE_UP_S = 24 * 3600.0
MOST_ATTEMPTS = 300
_RETRY_S = 1.0
# The receiver is not well, so that others need not try; any other answer is about this one event.
_UNWELL = frozenset({408, 425, 429})


class WebhookSender:
    """`run` for as long as the server lives. Any number of servers may: one of them sends."""

    def __init__(self, webhooks: Sequence[WebhookSettings], queue: Webhooks, records: Records, feed: Feed) -> None:
        self._webhooks = webhooks
        self._queue = queue
        self._records = records
        self._feed = feed
        self._recorded = {webhook.name: asyncio.Event() for webhook in webhooks}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For the time of the block."""
        for name in ("httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they tell every URL
        running = asyncio.get_running_loop().create_task(self._run())
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def _run(self) -> None:
        lease = self._queue.lease()
        while True:
            try:
                if await lease.take():
                    try:
                        await self._send(lease)
                    finally:
                        await lease.give_back()
            except StoreError:
                pass  # the feed tells it
            except Exception:
                _logger.exception("the sender of webhooks failed; it begins anew")
            await asyncio.sleep(LEASE_S / 5)

    async def _send(self, lease: Lease) -> None:
        """Until the lease is lost."""
        async with httpx2.AsyncClient(follow_redirects=False, trust_env=False, timeout=None) as client:
            work = [self._collect(), *(self._deliver(client, webhook) for webhook in self._webhooks)]
            tasks = [asyncio.get_running_loop().create_task(each) for each in work]
            try:
                while not self._feed.stopped and await lease.renew():
                    ended, _ = await asyncio.wait(tasks, timeout=LEASE_S / 3, return_when=asyncio.FIRST_COMPLETED)
                    for each in ended:
                        each.result()
            finally:
                for each in tasks:
                    each.cancel()
                await asyncio.wait(tasks)

    async def _collect(self) -> None:
        """From the events to what is to be delivered, in their order; each once."""
        cursor = await _patiently(self._queue.cursor)
        if cursor is None:
            cursor = await _patiently(self._records.newest_event)
            await self._record((), cursor)
        elif order(cursor) > (0, 0) and not await self._records.event_kept(cursor):
            cursor = await self._recover(cursor)
        with self._feed.watch() as changed:
            while not self._feed.stopped:
                changed.clear()
                try:
                    found = await self._feed.after(cursor, _COUNT)
                    if found.gap:
                        cursor = await self._recover(cursor)
                        continue
                    if found.events:
                        cursor = found.events[-1].id
                        await self._record(await self._ends(found.events), cursor)
                        continue
                except StoreError:
                    await asyncio.sleep(_RETRY_S)
                    cursor = await _patiently(self._queue.cursor) or cursor
                    continue
                await changed.wait()

    async def _recover(self, cursor: str) -> str:
        """Events were dropped before any server read them: the records of finished tasks tell the same."""
        _logger.warning("events are gone that webhooks were not told of; looking at the finished tasks instead")
        newest = await self._records.newest_event()
        ids = await self._queue.finished_since(order(cursor)[0])
        for start in range(0, len(ids), _COUNT):
            found = [await self._records.get(task_id) for task_id in ids[start : start + _COUNT]]
            await self._record([task for task in found if task and task.status in FINAL], cursor)
        await self._record((), newest)
        return newest

    async def _ends(self, events: Sequence[Event]) -> list[Task]:
        """The tasks that ended with these events, if anybody wants to know."""
        found = []
        for event in events:
            if event.status in FINAL and any(w.wants(event.script, event.status.value) for w in self._webhooks):
                task = await self._records.get(event.task_id)
                if task and task.status in FINAL and task.runs[-1].number == event.run:
                    found.append(task)
        return found

    async def _record(self, ends: Sequence[Task], cursor: str) -> None:
        wanted: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for task in ends:
            for webhook in self._webhooks:
                if webhook.wants(task.script, task.status.value):
                    wanted[webhook.name].append((task.id, task.runs[-1].number))
        await self._queue.record(wanted, cursor, _now_ms())
        for name in wanted:
            self._recorded[name].set()

    async def _deliver(self, client: httpx2.AsyncClient, webhook: WebhookSettings) -> None:
        """To one receiver, whatever becomes of the others. One that is not well is asked once after each pause."""
        recorded, failures = self._recorded[webhook.name], 0
        while True:
            try:
                recorded.clear()
                due = await self._queue.due(webhook.name, _now_ms(), 1 if failures else _AT_ONCE)
                if not due:
                    next_ms = await self._queue.next_due(webhook.name)
                    await woken(recorded, None if next_ms is None else max(0.0, (next_ms - _now_ms()) / 1000))
                    continue
                well = await asyncio.gather(*(self._attempt(client, webhook, each) for each in due))
            except StoreError:
                await asyncio.sleep(_RETRY_S)
                continue
            if all(each is None for each in well):
                if failures:
                    _logger.info("a webhook takes events again", webhook=webhook.name)
                failures = 0
                continue
            if not failures:
                why = next(each for each in well if each is not None)
                _logger.warning("a webhook does not take events; trying again", webhook=webhook.name, why=why)
            failures += 1
            await asyncio.sleep(_pause_s(failures))

    async def _attempt(self, client: httpx2.AsyncClient, webhook: WebhookSettings, delivery: Delivery) -> str | None:
        """Why the receiver is not well; None: go on."""
        task = await self._records.get(delivery.task_id)
        if task is None or task.status not in FINAL or task.runs[-1].number != delivery.run:
            await self._queue.close(webhook.name, delivery, sent=False)  # it was removed meanwhile
            return None
        why, unwell = await self._post(client, webhook, task)
        if why is None:
            await self._queue.close(webhook.name, delivery, sent=True)
            return None
        now_ms = _now_ms()
        if delivery.attempts + 1 >= MOST_ATTEMPTS or now_ms - delivery.created_at > GIVE_UP_S * 1000:
            _logger.error("a webhook was not told of an end: given up", webhook=webhook.name, task=task.id, why=why)
            await self._queue.close(webhook.name, delivery, sent=False)
        else:
            if not unwell and not delivery.attempts:
                _logger.warning("a webhook refused an event; trying again", webhook=webhook.name, task=task.id, why=why)
            pause_ms = round(_pause_s(delivery.attempts + 1) * 1000)
            await self._queue.again(webhook.name, delivery, now_ms + pause_ms)
        return why if unwell else None

    async def _post(self, client: httpx2.AsyncClient, webhook: WebhookSettings, task: Task) -> tuple[str | None, bool]:
        """Why it was not taken, without the URL, and whether that is likely so for others, too."""
        try:
            target = await asyncio.to_thread(read_target, webhook)
        except (OSError, ValueError) as error:
            return f"its settings: {error.strerror if isinstance(error, OSError) else error}", True
        body = body_of(task)
        headers = headers_of(event_id(task), body, target.secrets, int(time.time()))
        try:
            async with (
                asyncio.timeout(webhook.timeout_s),
                client.stream("POST", target.url.value, content=body, headers=headers) as answer,
            ):
                status = answer.status_code
        except TimeoutError:
            return f"no answer within {webhook.timeout_s:g} s", True
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            return type(error).__name__, True
        if 200 <= status < 300:
            return None, False
        return f"it answered {status}", status >= 500 or status in _UNWELL


def _pause_s(attempts: int) -> float:
    """Shorter by chance, so that many do not come at the same time."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 20)) * random.uniform(0.8, 1.0)  # noqa: S311


async def _patiently(ask: Callable[[], Awaitable[_T]]) -> _T:
    """Again until the store answers."""
    while True:
        try:
            return await ask()
        except StoreError:
            await asyncio.sleep(_RETRY_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
