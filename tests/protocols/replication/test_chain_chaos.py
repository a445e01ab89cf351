"""Chain replication and CRAQ under chaos: safety while the storm rages, progress after it."""

from __future__ import annotations

from typing import Any

import pytest

from sim.faults import Crash
from sim.lab.chaos import chaos, chaos_scenario
from sim.protocols.replication.chain import ChainReplication
from sim.protocols.replication.craq import Craq
from sim.protocols.replication.primary_backup import PrimaryBackup
from sim.system import LivenessViolation

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


@pytest.mark.parametrize("system", [ChainReplication(nodes=3), Craq(nodes=4), PrimaryBackup(nodes=3)])
def test_disks_that_are_lost_in_a_storm_break_no_law(system: Any) -> None:
    """Who loses its disk is brought up anew; where all disks of a view are lost, its clients may wait for ever."""
    wipes = (Crash("n1", at=1.0, down=0.2, wiped=True), Crash("n2", at=2.0, down=0.1, wiped=True))
    for seed in range(10):
        run = chaos(
            system, seed, scenario=chaos_scenario(system, seed, storm=STORM, extra_faults=wipes), bound=15.0
        )
        assert run.violation is None or isinstance(run.violation, LivenessViolation), run.violation
        assert run.check().verdict.valid is True


@pytest.mark.nightly
@pytest.mark.parametrize("kind", [ChainReplication, Craq])
@pytest.mark.parametrize("first", range(100, 500, BATCH))
def test_chains_are_safe_in_many_more_storms(kind: Any, first: int) -> None:
    storms(kind, first)
