"""Workdir: the fresh folder of one run, and the removal of whatever was left in it."""

from __future__ import annotations

from engine.workdir.remove import remove_content, remove_entry
from engine.workdir.workdir import LEFTOVER, Wiped, Workdir, wipe_path
from engine.workdir.workdirs import Workdirs

__all__ = ["LEFTOVER", "Wiped", "Workdir", "Workdirs", "remove_content", "remove_entry", "wipe_path"]
