"""Artifacts: the files that a run leaves, taken out of its folder without following anything out of it."""

from __future__ import annotations

from engine.artifacts.artifact import Artifact, ArtifactProblem, ArtifactStore, Collected, Discard
from engine.artifacts.collect import collect
from engine.artifacts.content_type import content_type
from engine.artifacts.folder_store import FolderStore

__all__ = [
    "Artifact",
    "ArtifactProblem",
    "ArtifactStore",
    "Collected",
    "Discard",
    "FolderStore",
    "collect",
    "content_type",
]
