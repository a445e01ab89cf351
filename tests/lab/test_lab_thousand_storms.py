"""A thousand storms of every system as it is, on the result store: nothing breaks, and an interrupted night goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import ROOT
from tests.scripts import script

STORMS = script(ROOT / "docs" / "make_storms.py")


def test_storms_that_are_in_the_store_are_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = STORMS.storms_of("Abd", 2, store=tmp_path)
    assert first.ok, first.text()
    drawn = []
    monkeypatch.setattr("sim.lab.storm.Simulation", lambda scenario, seed: drawn.append(seed) or 1 / 0)
    again = STORMS.storms_of("Abd", 2, store=tmp_path)
    assert STORMS.counted(again) == {"storms": 2, "broken": 0, "failed": 0}
    assert [run.digest() for run in again.runs] == [run.digest() for run in first.runs]
    third = STORMS.storms_of("Abd", 3, store=tmp_path)
    assert drawn == [2]
    assert STORMS.counted(third) == {"storms": 3, "broken": 0, "failed": 1}


@pytest.mark.nightly
@pytest.mark.parametrize("name", STORMS.SYSTEMS)
def test_a_thousand_storms_of_every_system_break_nothing(name: str) -> None:
    done = STORMS.storms_of(name)
    assert done.ok, done.text()
    assert STORMS.counted(done)["storms"] == 1000
