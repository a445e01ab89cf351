"""Chain replication and CRAQ under chaos: safety while the storm rages, progress after it."""

from __future__ import annotations

from typing import Any

import pytest

from sim.lab.chaos import chaos, chaos_scenario
from sim.protocols.replication.chain import ChainReplication
from sim.protocols.replication.craq import Craq

STORM = 3.0
BATCH = 10


def storms(kind: Any, first: int) -> None:
    for seed in range(first, first + BATCH):
        system = kind(nodes=(3, 4, 5, 2)[seed % 4])
        run = chaos(system, seed, scenario=chaos_scenario(system, seed, storm=STORM))
        assert run.violation is None, run.violation
        assert run.acknowledged_lost == 0, f"seed {seed}"
        verdict = run.check()
        assert verdict.ok, f"seed {seed}: {verdict}"


@pytest.mark.parametrize("kind", [ChainReplication, Craq])
@pytest.mark.parametrize("first", range(0, 100, BATCH))
def test_chains_are_safe_in_every_storm_and_go_on_after_it(kind: Any, first: int) -> None:
    storms(kind, first)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", [ChainReplication, Craq])
@pytest.mark.parametrize("first", range(100, 500, BATCH))
def test_chains_are_safe_in_many_more_storms(kind: Any, first: int) -> None:
    storms(kind, first)
