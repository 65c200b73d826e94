"""Beating: a beat as a process of its own beside a worker, whose memory it shall not share."""

from __future__ import annotations

from pathlib import Path

import structlog

from worker.daemons.beside import Beside, waited_for

_logger = structlog.get_logger("penstock.worker")


class Beating(Beside):
    """A beat of that deployment: see Beside."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, "beat")

    def serve(self) -> tuple[bool, int]:
        try:
            process = self.start("beat", "--lifeline")
        except OSError as error:
            _logger.warning("the process of the beat cannot be made", error=str(error))
            return False, 1
        return True, waited_for(process)
