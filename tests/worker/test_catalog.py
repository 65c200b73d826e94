"""A wrong deployment is told with all its problems at once, whatever else is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import DeclarationError
from worker.config import load_all


def told(home: Path) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        load_all(home)
    return [f"{Path(p.file or '').name}:{p.line}{p.pointer} {p.message}" for p in caught.value.problems]


def test_problems_of_settings_scripts_and_plugins_come_together(tmp_path: Path) -> None:
    scripts = tmp_path / "config" / "scripts"
    scripts.mkdir(parents=True)
    (tmp_path / "config" / "penstock.yaml").write_text("worker: {concurrency: many}\n")
    (scripts / "a.yaml").write_text(
        "command: [no/such]\nschema: {requried: []}\nplugins: {disabled: [nosuch], watchdog: {maxSilence: 0}}\n"
    )
    (scripts / "b.yaml").write_text("command: [/bin/true]\nschema: {properties: {dryRun: {type: boolean}}}\n")
    (scripts / "c.yaml").write_text("command: [/bin/true]\nschema: {}\n")
    found = "\n".join(told(tmp_path))
    for part in (
        "penstock.yaml:1/worker/concurrency",
        "a.yaml:1/command/0",
        "a.yaml:2/schema",
        'a.yaml:3/plugins/disabled unknown plugin "nosuch"',
        "a.yaml:3/plugins/watchdog/maxSilence",
        "b.yaml:2/schema/properties/dryRun",
    ):
        assert part in found, part
    assert "c.yaml" not in found


def test_nobody_takes_the_queue_of_a_single_worker_for_another_use(tmp_path: Path) -> None:
    own = "penstock.worker.other"
    scripts = tmp_path / "config" / "scripts"
    scripts.mkdir(parents=True)
    (tmp_path / "config" / "penstock.yaml").write_text(
        f"queue: {own}\nqueues: {{{own}: {{plain: a}}}}\nworker: {{queues: [q, {own}]}}\n"
    )
    (scripts / "a.yaml").write_text(f"command: [/bin/true]\nschema: {{}}\nqueue: {own}\n")
    found = "\n".join(told(tmp_path))
    for place in (
        "penstock.yaml:1/queue",
        f"penstock.yaml:2/queues/{own}",
        "penstock.yaml:3/worker/queues/1",
        "a.yaml",
    ):
        assert f"{place}" in found, found
    assert found.count(own) >= 4
