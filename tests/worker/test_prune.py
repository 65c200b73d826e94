"""Retention: what is old or too much goes, with its files; what is not final stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

from worker.embedded import Embedded
from worker.model.status import Status
from worker.model.task import NewTask, Resolution
from worker.operations.prune import prune
from worker.store import Records, connect
from worker.store.files import Files


def test_pruned_tasks_lose_their_files_and_unfinished_ones_stay(store: Embedded, tmp_path: Path) -> None:
    files = Files(tmp_path / "files")

    async def scene() -> None:
        client = connect(store.url)
        records = Records(client)
        for number in range(6):
            await records.register(NewTask(f"t{number}", "s", b"{}", "{}", "d", "q", "cli"))
            files.run(f"t{number}", 0).put("a.txt", [b"content"])
        for number in range(5):
            claimed = await records.claim(f"t{number}", "w", 30)
            await records.resolve(claimed.claim, Resolution(Status.COMPLETED))  # type: ignore[union-attr]
        assert await prune(records, files, age_s=3600, count=2) == 3
        assert await prune(records, files, age_s=3600, count=2) == 0
        left = [task.id for task in (await records.list()).tasks]
        assert left == ["t5", "t4", "t3"]
        assert [bool(files.run(f"t{n}", 0).names()) for n in range(6)] == [False, False, False, True, True, True]
        assert await prune(records, files, age_s=0, count=100) == 2
        assert [task.id for task in (await records.list()).tasks] == ["t5"]
        await client.aclose()

    asyncio.run(scene())
