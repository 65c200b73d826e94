"""Removing one task: at most once, and never the record alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from worker.embedded import Embedded
from worker.model.status import Status
from worker.model.task import NewTask, Resolution, Task
from worker.operations.remove import FilesRemain, remove
from worker.store import Records, connect
from worker.store.files import Files


async def ended(records: Records) -> Task:
    await records.register(NewTask("t", "s", b"{}", "{}", "d", "q", "cli"))
    claimed = await records.claim("t", "w", 30)
    await records.resolve(claimed.claim, Resolution(Status.COMPLETED))  # type: ignore[union-attr]
    task = await records.get("t")
    assert task
    return task


def test_what_is_gone_or_became_another_task_is_not_removed(store: Embedded, tmp_path: Path) -> None:
    async def scene() -> None:
        client, files = connect(store.url), Files(tmp_path / "files")
        records = Records(client)
        old = await ended(records)
        assert await remove(records, files, old) is True
        assert await remove(records, files, old) is False
        new = await ended(records)
        files.run("t", 0).put("a.txt", [b"content"])
        assert await remove(records, files, old) is False
        assert files.run("t", 0).names() and await records.get("t") == new
        await client.aclose()

    asyncio.run(scene())


def test_the_record_stays_where_files_do(store: Embedded, tmp_path: Path) -> None:
    async def scene() -> None:
        client = connect(store.url)
        records = Records(client)
        task = await ended(records)
        (tmp_path / "files").write_text("no folder")
        with pytest.raises(FilesRemain):
            await remove(records, Files(tmp_path / "files"), task)
        assert await records.get("t") == task
        await client.aclose()

    asyncio.run(scene())
