"""A dead letter of RabbitMQ goes back into its queue as it came, headers and all, and becomes a task."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import Deployment
from tests.system.rabbit import Node, RabbitSite
from tests.system.site import eventually
from worker.store.dead_letters import DeadLetters


@pytest.fixture
def site() -> Iterator[RabbitSite]:
    node = Node()
    site = RabbitSite(Path(tempfile.mkdtemp(prefix="ps")), node)
    try:
        yield site
        site.stop()
    finally:
        site.close()
        node.close()
        shutil.rmtree(site.folder, ignore_errors=True)


def test_a_letter_for_a_script_that_was_declared_too_late_becomes_its_task(site: RabbitSite) -> None:
    site.script("ready", "true")
    first = site.start()
    body = b'[[], {"text": "\xc5\xbc\xc3\xb3\xc5\x82w"}, {}]'
    headers = {"task": "penstock.late", "id": "too-early", "lang": "py"}
    site.put(body, content_type="application/json", content_encoding="utf-8", headers=headers)
    letters = eventually(lambda: site.ask(lambda store: DeadLetters(store.redis).list()).letters, "the letter")
    first.terminate()
    assert first.wait(timeout=30) == 0
    site.script("late", "cat")
    site.start()
    done = Deployment(site.folder).penstock("dead-letters", "replay", letters[0].id)
    assert (done.code, done.out) == (0, f"{letters[0].id} replayed\n"), done.err
    assert site.finished("too-early").status == "completed"
    assert '{"text":"żółw"}' in site.task_log("too-early").decode()
    assert site.ask(lambda store: DeadLetters(store.redis).count()) == 0
