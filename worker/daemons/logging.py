"""Logging: how the worker itself logs; readable on a terminal, JSON lines otherwise. Always to stderr."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, TextIO, cast

import structlog

from worker.config import LogSettings
from worker.daemons.log_file import Beside, LogFile

# Made once: making it for each line costs as much as the rest of the line.
_ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)


def set_up_logging(settings: LogSettings, file: LogFile | None = None) -> None:
    """Route structlog and the standard library's loggers (Celery, kombu, redis) into one stream.

    `file` gets every line, too, without colours. Our own lines do not pass through the standard
    library, where one costs three times as much.
    """
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    out = Beside(sys.stderr, file) if file else sys.stderr
    coloured = sys.stderr.isatty() and not file
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    last: list[Any] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=coloured,
                exception_formatter=structlog.dev.plain_traceback,  # the other kind prints local variables: payloads
            )
        ]
        if console
        else [structlog.processors.format_exc_info, _json]
    )
    ours: list[Any] = (
        [_name, structlog.processors.add_log_level, stamp, structlog.processors.StackInfoRenderer(), *last]
        if console
        else [_json_line]
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                stamp,
                structlog.stdlib.ExtraAdder(),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for noisy in ("celery", "kombu", "amqp", "uvicorn"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=ours,
        logger_factory=lambda *names: _Lines(out, *names),
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=True,
    )


class _Lines(structlog.WriteLogger):
    """Writes whole lines, and knows its name."""

    def __init__(self, out: TextIO | Beside, name: str = "penstock") -> None:
        super().__init__(cast("TextIO", out))
        self.name = name


def _name(logger: Any, _: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["logger"] = logger.name
    return event


def _json_line(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    """A whole line in one step, as the steps for a terminal make it: a worker has one for each run."""
    event["logger"] = logger.name
    structlog.processors.add_log_level(logger, method, event)
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    event["timestamp"] = f"{_second(seconds)}.{microseconds:06d}Z"
    if "stack_info" in event or "exc_info" in event:
        event = structlog.processors.StackInfoRenderer()(logger, method, event)
        event = structlog.processors.format_exc_info(logger, method, event)
    return _ENCODER.encode(event)


@lru_cache(1)
def _second(since_epoch: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since_epoch))


def _json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return _ENCODER.encode(event)
