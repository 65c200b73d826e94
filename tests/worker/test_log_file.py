"""The log file of a process: turned over by size, compressed, and never more than was asked for."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from worker.daemons.log_file import LogFile, LogFileTaken, tail_of


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_line_is_in_one_part_until_the_oldest_goes(tmp_path: Path) -> None:
    lines = [f"line {number:04d} {'x' * 80}\n" for number in range(100)]
    file = LogFile(tmp_path / "w.log", 1000, 3)
    for line in lines:
        file.write(line)
        if file._packing:
            file._packing.join()
    file.close()
    assert parts(tmp_path) == ["w.log", "w.log.1.gz", "w.log.2.gz", "w.log.3.gz", "w.log.lock"]
    texts = [gzip.decompress((tmp_path / f"w.log.{number}.gz").read_bytes()).decode() for number in (3, 2, 1)]
    kept = "".join([*texts, (tmp_path / "w.log").read_text()])
    assert "".join(lines).endswith(kept) and kept.count("\n") >= 30
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_what_a_killed_process_left_uncompressed_is_compressed(tmp_path: Path) -> None:
    (tmp_path / "w.log.1").write_text("before\n")
    (tmp_path / "w.log.1.gz.part").write_text("half")
    LogFile(tmp_path / "w.log", 1000, 3).close()
    assert gzip.decompress((tmp_path / "w.log.1.gz").read_bytes()) == b"before\n"
    assert parts(tmp_path) == ["w.log", "w.log.1.gz", "w.log.lock"]


def test_a_second_process_does_not_write_into_it(tmp_path: Path) -> None:
    first = LogFile(tmp_path / "w.log", 1000, 3)
    with pytest.raises(LogFileTaken, match="another process"):
        LogFile(tmp_path / "w.log", 1000, 3)
    first.close()
    LogFile(tmp_path / "w.log", 1000, 3).close()


def test_it_follows_no_link_and_makes_none_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "w.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LogFileTaken):
        LogFile(tmp_path / "w.log", 1000, 3)
    (tmp_path / "folder").mkdir()
    with pytest.raises(LogFileTaken):
        LogFile(tmp_path / "folder", 1000, 3)


def test_the_tail_is_whole_lines_within_its_bounds(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "w.log", 10_000_000, 3)
    for number in range(1000):
        file.write(f"line {number}\n")
    assert tail_of(file.path, 2, 1000) == "line 998\nline 999\n"
    assert tail_of(file.path, 1000, 25) == "line 998\nline 999\n"
    assert tail_of(file.path, 0, 25) == ""
    file._turn()
    assert file._packing
    file._packing.join()
    file.write("newest\n")
    assert tail_of(file.path, 2, 1000) == "line 999\nnewest\n"
    file.write("\udcff\x1b no newline")
    assert tail_of(file.path, 1, 1000) == "\\udcff\x1b no newline"
    file.close()
