"""Figure 4 of Moraru, Andersen, Kaminsky (SOSP 2013): median commit latency at five sites, from our protocols."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from sim.protocols import EPaxosStar

FIGURE: dict[str, Any] = runpy.run_path(
    str(Path(__file__).resolve().parents[2] / "validation" / "epaxos_fig4.py")
)


@pytest.mark.parametrize("bar", FIGURE["PUBLISHED"])
def test_the_bars_are_reproduced_and_the_round_trips_explain_them_exactly(bar: str) -> None:
    found = list(FIGURE["commit_latency"](bar, clients=1, seconds=6.0).values())
    assert found == pytest.approx(FIGURE["PREDICTED"][bar], abs=1e-6)
    assert found == pytest.approx(FIGURE["PUBLISHED"][bar], rel=FIGURE["TOLERANCE"])


def test_with_interference_execution_takes_longer_than_commitment() -> None:
    executed = FIGURE["executed_latency"](
        EPaxosStar(nodes=5, record_commits=True), 1.0, clients=1, seconds=6.0
    )
    assert all(
        executed[site] > committed
        for site, committed in zip(FIGURE["SITES"], FIGURE["PREDICTED"]["EPaxos, 100 %"], strict=True)
    )
