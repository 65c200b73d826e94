"""Metrics: what a Prometheus server asks for. Needs a key as everything else."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter
from starlette.responses import Response

from worker.api.caller import Asker
from worker.api.context import Context, Here
from worker.api.meters import Family, labelled, lines
from worker.api.problem import documented
from worker.broker import BrokerAway
from worker.model.command import COMMANDS, QUEUES
from worker.store.workers import Workers

router = APIRouter(tags=["status"])
_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_TEXT = {"description": "The text format of Prometheus.", "content": {"text/plain": {"schema": {"type": "string"}}}}


@router.get("/metrics", responses={200: _TEXT, **documented(400, 401, 403, 429, 503)}, response_class=Response)
async def metrics(here: Here, caller: Asker) -> Response:
    """Tasks, queues, workers, and what this process counts of itself. Asks for the scope `metrics:read`."""
    caller.needs("metrics:read")
    text = [
        line
        for family in [
            *await _tasks(here),
            *await _workers(here),
            *await _broker(here),
            *await _webhooks(here),
            *_streams(here),
        ]
        for line in lines(family)
    ]
    text.extend(here.meters.text())
    return Response("".join(text), headers={"Content-Type": _MEDIA_TYPE})


async def _tasks(here: Context) -> list[Family]:
    by_script = await here.records.counts_of_scripts(sorted({*here.catalog.scripts, *COMMANDS}))
    return [
        Family(
            "penstock_tasks",
            "gauge",
            "Tasks that are recorded, by script and status; of the scripts that are declared, and of commands.",
            [
                ((("script", script), ("status", status.value)), count)
                for script, counts in by_script.items()
                for status, count in counts.items()
            ],
        )
    ]


async def _workers(here: Context) -> list[Family]:
    alive = sum(worker.live for worker in await Workers(here.redis).list())
    return [Family("penstock_workers", "gauge", "Workers that were heard of lately.", [((), alive)])]


async def _broker(here: Context) -> Iterable[Family]:
    """Nothing of a broker that does not answer, or does not tell: no number is better than a wrong one."""
    queues = {p.script.queue or here.settings.default_queue for p in here.catalog}
    queues |= {here.settings.default_queue, *QUEUES.values()}
    found = []
    try:
        waiting = {queue: float(await here.publisher.waiting(queue)) for queue in sorted(queues)}
        what = "Messages that nobody has taken yet."
        found.append(Family("penstock_queue_messages", "gauge", what, labelled("queue", waiting)))
    except BrokerAway:
        found.append(Family("penstock_broker_up", "gauge", "Whether the broker answers.", [((), 0)]))
    else:
        found.append(Family("penstock_broker_up", "gauge", "Whether the broker answers.", [((), 1)]))
    return found


async def _webhooks(here: Context) -> list[Family]:
    totals = await here.webhooks.totals([webhook.name for webhook in here.settings.webhooks])
    what = "Ends of tasks that a webhook was told of, or that were given up, ever."
    ended = [
        ((("webhook", name), ("result", result)), float(count))
        for name, each in totals.items()
        for result, count in (("sent", each.sent), ("failed", each.failed))
    ]
    waiting = {name: float(each.waiting) for name, each in totals.items()}
    return [
        Family("penstock_webhook_events_total", "counter", what, ended),
        Family("penstock_webhook_events_waiting", "gauge", "Those still to be told.", labelled("webhook", waiting)),
    ]


def _streams(here: Context) -> list[Family]:
    what = "Readers of server-sent events at this process."
    return [Family("penstock_stream_readers", "gauge", what, labelled("kind", here.streams.open))]
