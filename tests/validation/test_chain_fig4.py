"""Figure 4 of van Renesse & Schneider (OSDI 2004) from our protocols: a few points here, all of them nightly."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.budget import mostly_nightly

FIGURE: dict[str, Any] = runpy.run_path(
    str(Path(__file__).resolve().parents[2] / "validation" / "chain_fig4.py")
)
POINTS = [
    (kind, servers, percent, expected)
    for (kind, servers), published in FIGURE["PUBLISHED"].items()
    for percent, expected in zip(FIGURE["UPDATES"], published, strict=True)
    if expected is not None
]
FEW = [("chain", 3, 15), ("p/b", 3, 9), ("weak", 2, 6)]


def is_reproduced(kind: str, servers: int, percent: int, expected: float, seconds: float) -> None:
    found = FIGURE["throughput"](kind, servers, percent / 100, seed=0, seconds=seconds)
    assert found == pytest.approx(expected, rel=FIGURE["TOLERANCE"][kind])


@pytest.mark.parametrize("point", FEW)
def test_a_point_of_the_figure(point: tuple[str, int, int]) -> None:
    expected = next(e for *where, e in POINTS if tuple(where) == point)
    is_reproduced(*point, expected, seconds=60.0)


@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "servers", "percent", "expected"), POINTS)
def test_every_point_of_the_figure(kind: str, servers: int, percent: int, expected: float) -> None:
    is_reproduced(kind, servers, percent, expected, seconds=300.0)


@pytest.mark.parametrize("percent", mostly_nightly([3, 36], lambda percent: percent == 36))
def test_the_closed_form_is_what_an_idle_queue_would_give(percent: int) -> None:
    """The bottleneck of each design, from the service times alone: an upper bound that saturation comes close to."""
    u = percent / 100
    bound = 1000 / max(5 * (1 - u) + 20 * u, 50 * u)
    found = FIGURE["throughput"]("chain", 3, u, seed=0, seconds=60.0)
    assert 0.9 * bound < found < 1.04 * bound
