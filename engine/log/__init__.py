"""Log: one ordered stream of lines for one run, each knowing its source."""

from engine.log.index import read_index
from engine.log.lines import ERROR_PREFIX, INFO_PREFIX
from engine.log.record import Chunk, Source, Tap
from engine.log.text import printable
from engine.log.writer import LogSummary, LogWriter

__all__ = [
    "ERROR_PREFIX",
    "INFO_PREFIX",
    "Chunk",
    "LogSummary",
    "LogWriter",
    "Source",
    "Tap",
    "printable",
    "read_index",
]
