"""The chance of a split vote is the thesis' closed form (chapter 9); the validation script at a small scale."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from sim.distributions import Constant

SCRIPT = Path(__file__).resolve().parents[3] / "validation" / "raft_elections.py"
TRIALS = 300


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_the_closed_form_gives_the_published_examples(script: dict[str, Any]) -> None:
    form = script["split_probability"]
    assert form(5, 4, 0.1) == pytest.approx(0.0523, abs=5e-5)
    assert form(5, 3, 0.2) == pytest.approx(0.488, abs=5e-4)
    assert form(9, 5, 0.2) == pytest.approx(0.67232, abs=5e-6)


@pytest.mark.parametrize(("n", "up"), [(5, 4), (5, 3), (9, 5)])
def test_votes_split_as_often_as_the_closed_form_says(script: dict[str, Any], n: int, up: int) -> None:
    ratio = 0.2
    runs = script["many"](script["Setup"](n, up, Constant(ratio * 0.1), (0.1, 0.2)), TRIALS)
    expected = script["split_probability"](n, up, ratio)
    error = (expected * (1 - expected) / TRIALS) ** 0.5
    assert sum(run.split for run in runs) / TRIALS == pytest.approx(expected, abs=3 * error)
