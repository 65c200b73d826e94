"""Salvage: keep the log of a run whose worker was killed, as far as it had been written, and no part of its result."""

from __future__ import annotations

from pathlib import Path

import structlog

from worker.store.files import Files

_logger = structlog.get_logger("penstock.worker")


def salvage_log(files: Files, task_id: str, run: int, text: Path) -> None:
    """Move it to where the log of a finished run is, unless there is one. Raises OSError.

    A run whose log was not kept had no outcome yet: what was stored of its artifacts is named by no record.
    """
    kept = files.run(task_id, run)
    if not kept.log_path.exists():
        kept.discard_artifacts()
        index = text.with_suffix(".idx")
        kept.keep_log(text, index if index.exists() else None)
        _logger.info("log of a dead worker kept", task=task_id, run=run)
