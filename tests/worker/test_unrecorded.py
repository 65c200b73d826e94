"""Artifacts that were stored before the end of their run was recorded: kept when a record names them, else removed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from worker.model.answers import Claimed
from worker.model.status import Status
from worker.model.task import ArtifactRecord, NewTask, Resolution
from worker.operations.unrecorded import MarkedStore, settle_artifacts
from worker.store import Records
from worker.store.files import Files

Play = Callable[[Callable[[Records], Awaitable[Any]]], Any]
NAMED = (ArtifactRecord("a.txt", 5, "0" * 64, "text/plain", public=False),)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files")


async def claimed(records: Records) -> Claimed:
    new = NewTask("t", "echo", b"{}", "{}", "d" * 64, "penstock", "cli")
    found = await records.claim("t", "one", 30.0, new, claim_id="c", of_script="echo")
    assert isinstance(found, Claimed)
    return found


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        (Resolution(Status.COMPLETED, artifacts=NAMED), ("a.txt",)),
        (Resolution(Status.EXCEPTION, reason="internal-error"), ()),
    ],
)
def test_what_a_dead_worker_stored_waits_for_the_end_of_its_run(
    play: Play, files: Files, end: Resolution, kept: tuple[str, ...]
) -> None:
    async def scene(records: Records) -> None:
        files.run("t", 0).put("a.txt", [b"hello"])
        found = await claimed(records)
        assert not await settle_artifacts(records, files, "t", 0)
        assert files.run("t", 0).names() == ("a.txt",)
        await records.resolve(found.claim, end, next_run=False)
        for _ in range(2):
            assert await settle_artifacts(records, files, "t", 0)
            assert files.run("t", 0).names() == kept

    play(scene)


def test_what_belongs_to_no_task_any_more_is_removed(play: Play, files: Files) -> None:
    async def scene(records: Records) -> None:
        files.run("t", 0).put("a.txt", [b"hello"])
        assert await settle_artifacts(records, files, "t", 0)
        assert files.run("t", 0).names() == ()

    play(scene)


@pytest.mark.parametrize(("named", "kept"), [(True, ("a.txt",)), (False, ())])
def test_a_mark_lies_in_the_spool_from_the_first_artifact_to_the_end(
    files: Files, tmp_path: Path, named: bool, kept: tuple[str, ...]
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    stored = MarkedStore(files, spool, "t", 3)
    assert not stored.marked and not list(spool.iterdir())
    stored.put("a.txt", [b"hello"])
    assert stored.marked and [path.name for path in spool.iterdir()] == ["t-3.artifacts"]
    stored.settle(named=named)
    assert not list(spool.iterdir())
    assert files.run("t", 3).names() == kept
