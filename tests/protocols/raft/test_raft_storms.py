"""200 storms on the Raft of figure 2: no law breaks, no acknowledged write is lost, clients finish afterwards."""

from __future__ import annotations

import pytest

from sim.lab import chaos, chaos_scenario
from sim.protocols import BasicRaft

BATCH = 20


def storm(seed: int, length: float) -> None:
    system = BasicRaft(nodes=3 + 2 * (seed % 2))
    run = chaos(system, seed, scenario=chaos_scenario(system, seed, storm=length))
    assert run.violation is None, run.violation
    assert run.acknowledged_lost == 0
    check = run.check()
    assert check.ok, f"seed {seed}: {check}"


@pytest.mark.parametrize("first", range(0, 200, BATCH))
def test_no_storm_breaks_a_law_or_loses_an_acknowledged_write(first: int) -> None:
    for seed in range(first, first + BATCH):
        storm(seed, 3.0)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(200, 1200, BATCH))
def test_a_thousand_longer_storms(first: int) -> None:
    for seed in range(first, first + BATCH):
        storm(seed, 8.0)
