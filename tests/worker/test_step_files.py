"""What goes from step to step: results out of logs and artifacts, and inputs as files, whatever was left there."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import NotFurnished
from engine.log import LogWriter
from engine.process.abort import Abort
from engine.script.load import load_script
from engine.script.script import Limits, Script
from worker.model.answers import Claimed
from worker.model.status import Status
from worker.model.task import ArtifactRecord, NewTask, Resolution, ShortLog, StepTask
from worker.operations.inputs import furnisher
from worker.operations.results import MOST_BYTES, result_of
from worker.store import Records
from worker.store.files import Files

Play = Callable[[Callable[[Records], Awaitable[Any]]], Any]
DONE = Resolution(Status.COMPLETED)


def logged(tmp_path: Path, *blocks: tuple[str, bytes]) -> Any:
    """The result of a run whose command wrote these blocks."""
    writer = LogWriter(tmp_path / "log.txt", max_bytes=50_000_000)
    for source, data in blocks:
        writer.feed(source, data)  # type: ignore[arg-type]
    writer.end_output()
    writer.say("completed")
    writer.close()
    files = Files(tmp_path / "store").run("t", 0)
    files.keep_log(writer.path, writer.index_path)
    return result_of(files, DONE)


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([("stdout", b'{"a": 1}\n')], '{"a":1}'),
        ([("stdout", b'{"a": 1}\nlast words\n')], '{"a":1}'),
        ([("stdout", b'{"a": 1}\n'), ("stderr", b'{"b": 2}\n')], '{"a":1}'),
        ([("stdout", b'{"a": 1}\n{"a": 2}')], '{"a":2}'),
        ([("stdout", b"9007199254740993\n")], "9007199254740993"),
        ([("stdout", '"ü"\n'.encode())], '"ü"'),
        ([("stdout", b"no json\n{open\n")], None),
        ([("stdout", b"NaN\n\xff\xfe\n\n  \n")], None),
        ([("stderr", b"{}\n")], None),
        ([], None),
        ([("stdout", b"[" * 5000 + b"]" * 5000 + b"\n")], None),
        ([("stdout", b'{"small": 1}\n"' + b"x" * MOST_BYTES + b'"\n')], None),
        ([("stdout", b'{"small": 1}\n"' + b"x" * 5_000_000 + b'"\n')], None),
        ([("stdout", b'"\\ud800"\n')], None),
    ],
)
def test_the_result_is_the_last_line_of_stdout_that_is_json(
    tmp_path: Path, blocks: list[tuple[str, bytes]], expected: str | None
) -> None:
    assert logged(tmp_path, *blocks) == expected


def test_a_result_file_comes_first_and_a_wrong_one_is_none(tmp_path: Path) -> None:
    files = Files(tmp_path).run("t", 0)
    log = ShortLog("", "")
    for content, expected in ((b'{"v": 1}', '{"v":1}'), (b"no json", None), (b'"' + b"x" * MOST_BYTES + b'"', None)):
        files.put("result.json", [content])
        record = ArtifactRecord("result.json", len(content), hashlib.sha256(content).hexdigest(), "", False)
        assert result_of(files, Resolution(Status.COMPLETED, log=log, artifacts=(record,))) == expected
    files.discard_artifacts()
    assert result_of(files, Resolution(Status.COMPLETED, log=log, artifacts=(record,))) is None


def script(tmp_path: Path, **limits: int) -> Script:
    file = tmp_path / "s.yaml"
    file.write_text(json.dumps({"command": ["/bin/cat"], "schema": {}, "limits": limits or {"artifactCount": 10}}))
    loaded = load_script(file, home=tmp_path)
    assert isinstance(loaded.limits, Limits)
    return loaded


async def left(records: Records, files: Files, task_id: str, artifacts: dict[str, bytes]) -> None:
    """A task that has ended and left these."""
    await records.register(NewTask(task_id, "s", b"{}", "{}", "0" * 64, "q", "api"))
    claimed = await records.claim(task_id, "w", 60)
    assert isinstance(claimed, Claimed)
    run = files.run(task_id, 0)
    found = []
    for name, content in artifacts.items():
        run.put(name, [content])
        found.append(ArtifactRecord(name, len(content), hashlib.sha256(content).hexdigest(), "text/plain", False))
    await records.resolve(claimed.claim, Resolution(Status.COMPLETED, artifacts=tuple(found)))


async def furnished(records: Records, files: Files, step: StepTask, to: Path, loaded: Script) -> None:
    to.mkdir(exist_ok=True)
    fd = os.open(to, os.O_RDONLY | os.O_DIRECTORY)
    try:
        furnish = await furnisher(step, records, files, loaded, Abort())
        if furnish:
            await asyncio.to_thread(furnish, fd)
    finally:
        os.close(fd)


def test_inputs_are_copies_that_only_their_owner_reads(play: Play, tmp_path: Path) -> None:
    async def scene(records: Records) -> None:
        files, work = Files(tmp_path / "store"), tmp_path / "work"
        await left(records, files, "t1", {"public/a.txt": b"one", "ü b": b"two"})
        step = StepTask("r", "b", 0, (("build", "t1"),))
        await furnished(records, files, step, work, script(tmp_path))
        place = work / "inputs" / "build"
        assert {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()} == {
            "public/a.txt": b"one",
            "ü b": b"two",
        }
        for path in [work / "inputs", *(work / "inputs").rglob("*")]:
            assert stat.S_IMODE(path.lstat().st_mode) == (0o400 if path.is_file() else 0o700)
            assert not path.is_symlink() and (path.is_dir() or path.stat().st_nlink == 1)
        await furnished(records, files, StepTask("r", "b", 0), tmp_path / "none", script(tmp_path))
        assert list((tmp_path / "none").iterdir()) == []

    play(scene)


def test_what_is_not_as_it_was_recorded_is_not_handed_over(play: Play, tmp_path: Path) -> None:
    async def scene(records: Records) -> None:
        files, loaded = Files(tmp_path / "store"), script(tmp_path)
        step = StepTask("r", "b", 0, (("build", "t1"),))
        with pytest.raises(NotFurnished, match="not kept any more"):
            await furnished(records, files, step, tmp_path / "w0", loaded)
        await left(records, files, "t1", {"a.txt": b"one"})
        stored = files.run("t1", 0).log_path.parent / "artifacts" / "a.txt"
        secret = tmp_path / "secret"
        secret.write_bytes(b"one")
        changes: list[Callable[[], object]] = [
            lambda: stored.write_bytes(b"two"),
            lambda: stored.write_bytes(b"one and more"),
            lambda: stored.write_bytes(b"on"),
            lambda: (stored.unlink(), stored.symlink_to(secret)),
            lambda: (stored.unlink(), os.mkfifo(stored)),
            lambda: (stored.unlink(), stored.mkdir()),
            lambda: stored.rmdir(),
        ]
        for number, change in enumerate(changes, 1):
            change()
            work = tmp_path / f"w{number}"
            if number == 2:  # only what was recorded is read
                await furnished(records, files, step, work, loaded)
                assert (work / "inputs" / "build" / "a.txt").read_bytes() == b"one"
                continue
            with pytest.raises(NotFurnished):
                await furnished(records, files, step, work, loaded)
            assert [path for path in work.rglob("*") if not path.is_dir()] == []

    play(scene)


def test_more_than_the_scripts_limits_is_not_handed_over(play: Play, tmp_path: Path) -> None:
    async def scene(records: Records) -> None:
        files = Files(tmp_path / "store")
        await left(records, files, "t1", {f"a{n}": b"x" * 100 for n in range(5)})
        step = StepTask("r", "b", 0, (("build", "t1"),))
        for limits in ({"artifactCount": 4}, {"artifactTotalBytes": 499}):
            with pytest.raises(NotFurnished, match="limits"):
                await furnished(records, files, step, tmp_path / "work", script(tmp_path, **limits))
        await furnished(records, files, step, tmp_path / "work", script(tmp_path, artifactTotalBytes=500))

    play(scene)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\x00b", "a\nb", ""])
def test_a_record_with_a_hostile_name_leads_nowhere(play: Play, tmp_path: Path, name: str) -> None:
    async def scene(records: Records) -> None:
        files = Files(tmp_path / "store")
        await records.register(NewTask("t1", "s", b"{}", "{}", "0" * 64, "q", "api"))
        claimed = await records.claim("t1", "w", 60)
        assert isinstance(claimed, Claimed)
        record = ArtifactRecord(name, 0, hashlib.sha256(b"").hexdigest(), "text/plain", False)
        await records.resolve(claimed.claim, Resolution(Status.COMPLETED, artifacts=(record,)))
        with pytest.raises(NotFurnished):
            await furnished(
                records, files, StepTask("r", "b", 0, (("build", "t1"),)), tmp_path / "work", script(tmp_path)
            )
        assert [path for path in tmp_path.rglob("*") if path.name == "x"] == []

    play(scene)
