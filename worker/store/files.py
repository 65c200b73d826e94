"""Files: the artifact store as a folder. Knows no records: how long something is kept is decided elsewhere.

    <root>/<first two characters of the task id>/<task id>/log.txt
                                                          /log.idx
                                                          /artifacts/<name>
                                                          /<run>/log.txt ...

The first run has no folder of its own, because most tasks have one run and a folder costs more than a file. Folders
have mode 0700, files 0600. Nothing is made before there is something to store.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from engine.artifacts import FolderStore
from engine.artifacts.folder_store import open_file
from engine.artifacts.writing import make_root, open_below, write_file, write_new
from engine.workdir import remove_entry
from worker.model.task import TASK_ID

LOG = "log.txt"
LOG_INDEX = "log.idx"
ARTIFACTS = "artifacts"
_BLOCK = 1024 * 1024


class Files:
    """The store of all tasks. `root` is the operator's, may be reached through links, is made when needed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def run(self, task_id: str, run: int) -> RunFiles:
        """The place of one run's files, also of a run that has none. Raises ValueError for a hostile id."""
        if run < 0:
            raise ValueError(f"not the number of a run: {run}")
        return RunFiles(self._root, (*_task_parts(task_id), *((str(run),) if run else ())))

    def remove(self, task_id: str) -> bool:
        """Removes all that is stored of the task, all runs. Returns whether nothing is left; absent is fine.

        Never raises OSError: whoever prunes goes on, and may call again for what stayed.
        """
        shard, name = _task_parts(task_id)
        try:
            root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            return error.errno == errno.ENOENT
        try:
            folder = open_below(root, [shard.encode()], make=False)
        except OSError as error:
            return error.errno == errno.ENOENT
        finally:
            os.close(root)
        try:
            return remove_entry(folder, name)
        finally:
            os.close(folder)


class RunFiles:
    """The files of one run: an `ArtifactStore`, and the finished log.

    Artifacts are flushed to the disk, file by file, and their names by `commit`, which belongs before the
    record that names them. The log is not: the records of the last second are as easily lost with the power,
    and a flush for each task would cost more than the task.
    """

    def __init__(self, root: Path, within: tuple[str, ...]) -> None:
        self._root = root
        self._within = within

    @cached_property
    def _artifacts(self) -> FolderStore:
        return FolderStore(self._root, within=(*self._within, ARTIFACTS), durable=True)

    @property
    def log_path(self) -> Path:
        """Where the log is once it is kept; there is none while a run lasts, nor for an empty log."""
        return self._root.joinpath(*self._within, LOG)

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """See `engine.artifacts.FolderStore.put`."""
        self._artifacts.put(name, chunks)

    def commit(self) -> None:
        """Flushes the names of all artifacts put since the last call; does nothing when there are none."""
        self._artifacts.commit()

    def discard_artifacts(self) -> bool:
        """Removes what was put. Returns whether nothing is left; absent is fine. Never raises OSError."""
        try:
            root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                folder = open_below(root, [part.encode() for part in self._within], make=False)
            finally:
                os.close(root)
        except OSError as error:
            return error.errno == errno.ENOENT
        try:
            return remove_entry(folder, ARTIFACTS)
        finally:
            os.close(folder)

    def open(self, name: str) -> BinaryIO:
        """The artifact's bytes. FileNotFoundError when it is absent, and for a name that cannot be one."""
        return self._artifacts.open(name)

    def names(self) -> tuple[str, ...]:
        """The names of all artifacts, sorted."""
        return self._artifacts.names()

    def keep_log(self, text: Path | bytes, index: Path | bytes | None = None) -> None:
        """Puts the finished log, and the index that knows the source of its lines, into the store.

        A file is moved; across file systems it is copied, then removed. An empty log is removed and not kept. Called
        again: the later replaces the earlier. Raises OSError; what was not moved is still where it was.
        """
        if _empty(text):
            for each in (text, index):
                if isinstance(each, Path):
                    each.unlink(missing_ok=True)
            return
        start = make_root(self._root)
        try:
            folder = open_below(start, [part.encode() for part in self._within], make=True)
        finally:
            os.close(start)
        try:
            _keep(text, folder, LOG)
            if index is not None:
                _keep(index, folder, LOG_INDEX)
        finally:
            os.close(folder)

    def open_log(self) -> BinaryIO:
        """The log's bytes. FileNotFoundError when none was kept: it was empty, or the run lasts."""
        return open_file(self._root, self._encoded(LOG))

    def open_log_index(self) -> BinaryIO:
        """The bytes of the log's index. FileNotFoundError as for the log."""
        return open_file(self._root, self._encoded(LOG_INDEX))

    def _encoded(self, name: str) -> tuple[bytes, ...]:
        return tuple(part.encode() for part in (*self._within, name))


def _task_parts(task_id: str) -> tuple[str, str]:
    if not TASK_ID.match(task_id):
        raise ValueError(f"not the id of a task: {task_id[:80]!r}")
    return task_id[:2], task_id


def _empty(text: Path | bytes) -> bool:
    return not text if isinstance(text, bytes) else text.stat(follow_symlinks=False).st_size == 0


def _keep(content: Path | bytes, folder: int, name: str) -> None:
    if isinstance(content, bytes):
        write_new(folder, name.encode(), content)
        return
    fd = os.open(content, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(content))
        if stat.S_IMODE(found.st_mode) != 0o600:
            os.fchmod(fd, 0o600)
        os.rename(content, name, dst_dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        write_file(folder, name.encode(), _blocks(fd), durable=False)
        os.unlink(content)
    finally:
        os.close(fd)


def _blocks(fd: int) -> Iterator[bytes]:
    while block := os.read(fd, _BLOCK):
        yield block
