"""Cancel: ask for the end of tasks. What waits never starts; what runs is ended by its worker, within a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from worker.model.answers import Cancelled, CancelOutcome
from worker.model.status import Status
from worker.model.task import TASK_ID
from worker.store import Records

# So many at a time: enough to hide the way to the store, and few enough that the workers get a word in.
_AT_A_TIME = 50


async def cancel(
    records: Records, task_ids: Sequence[str], *, by: str, why: str = ""
) -> AsyncIterator[tuple[str, Cancelled]]:
    """The answer for each id, in their order. A final task is left as it is; cancelling twice changes nothing.

    What is no id of a task at all is unknown. `by` and `why` are kept with the record and shown to whoever looks.
    """
    for start in range(0, len(task_ids), _AT_A_TIME):
        some = task_ids[start : start + _AT_A_TIME]
        answers = await asyncio.gather(*(_cancel(records, task_id, by, why) for task_id in some))
        for task_id, answer in zip(some, answers, strict=True):
            yield task_id, answer


async def cancel_all(
    records: Records, statuses: Sequence[Status], *, script: str | None = None, by: str, why: str = ""
) -> AsyncIterator[tuple[str, Cancelled]]:
    """Cancel every task, or every one of a script, that has one of the statuses when it is reached, newest first.

    Tasks that are submitted meanwhile may stay. A task that goes on from one status to the next while this lasts is
    met in the next: name them in the order in which tasks pass through them.
    """
    for status in statuses:
        async for task_ids in _pages(records, status, script):
            async for answer in cancel(records, task_ids, by=by, why=why):
                yield answer


async def _pages(records: Records, status: Status, script: str | None) -> AsyncIterator[Sequence[str]]:
    """Ids, a page at a time. A task that has left the status since does not shift those that follow."""
    if status is Status.PENDING:
        after: str | None = None
        while task_ids := await records.pending(script, after=after, limit=_AT_A_TIME):
            yield task_ids
            after = task_ids[-1]
        return
    before: str | None = None
    while True:
        page = await records.list(script=script, status=status, limit=_AT_A_TIME, before=before)
        yield [task.id for task in page.tasks]
        if page.next is None:
            return
        before = page.next


async def _cancel(records: Records, task_id: str, by: str, why: str) -> Cancelled:
    if not TASK_ID.match(task_id):
        return Cancelled(CancelOutcome.UNKNOWN)
    return await records.cancel(task_id, by, why)
