"""SWIM's first detection as published, quickly (validation/swim_detection.py is the long form)."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "validation" / "swim_detection.py"))


def test_the_closed_form_gives_the_published_values() -> None:
    for n, published in SCRIPT["PUBLISHED"].items():
        assert SCRIPT["expected"](n) == pytest.approx(published, abs=5e-5)


def test_the_mean_first_detection_is_as_published_within_4_standard_errors() -> None:
    mean, error = SCRIPT["first_detection"](10, (7, 500))
    assert error < 0.05
    assert abs(mean - SCRIPT["PUBLISHED"][10]) < 4 * error


def test_in_round_robin_order_every_member_is_found_within_2n_minus_1_periods() -> None:
    found = SCRIPT["detections"](6, 100, 7, order="round-robin")
    assert all(found)
    assert max(periods[-1] for periods in found) <= 2 * 6 - 1
