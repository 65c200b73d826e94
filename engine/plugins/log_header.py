"""logHeader: the first line of a log says what runs, where and under which limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.plugin import Plugin, Run


class LogHeader(Plugin):
    name = "logHeader"
    settings_schema = {"type": "object"}

    def before(self, run: Run, part: Mapping[str, Any]) -> None:
        limit = "no time limit" if run.max_run_time_s is None else f"at most {run.max_run_time_s:g} s"
        run.log.say(f"script {run.script.name}, task {run.task_id}, run {run.run_id}, worker {run.host.name}, {limit}")
