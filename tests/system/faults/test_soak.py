"""The soak, for some seconds; `make soak` lets it run for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.faults.checker import summary
from tests.system.faults.soak import chosen, soak


@pytest.mark.timeout(600)
def test_whatever_dies_every_task_has_one_outcome_and_nothing_is_left(folder: Path) -> None:
    seed, seconds = chosen()
    print(f"PENSTOCK_SOAK_SEED={seed} PENSTOCK_SOAK_S={seconds:g}")
    faults, histories = soak(folder, seed, seconds)
    print(faults, summary(histories.tasks))
    assert histories.ids("accepted")
