"""Chain replication and CRAQ in storms: safety while they rage, progress after it."""

from __future__ import annotations

from typing import Any

import pytest

from sim.faults import Crash
from sim.lab.storm import draw_storm, run_storm
from sim.protocols.replication.chain.craq import Craq
from sim.protocols.replication.chain.system import ChainReplication
from sim.protocols.replication.primary_backup.system import PrimaryBackup
from sim.system import LivenessViolation
from sim.testing import survive
from tests.budget import storms

STORM = 2.0


@storms(8, STORM, seeds=range(1000))
@pytest.mark.parametrize("kind", [ChainReplication, Craq])
def test_chains_are_safe_in_storms_and_go_on_after_them(kind: Any, seeds: range, length: float) -> None:
    for seed in seeds:
        survive(kind(nodes=(3, 4, 5, 2)[seed % 4]), seed, length)


@storms(4, STORM, seeds=range(1000))
@pytest.mark.parametrize("system", [ChainReplication(nodes=3), Craq(nodes=4), PrimaryBackup(nodes=3)])
def test_disks_that_are_lost_in_a_storm_break_no_law(system: Any, seeds: range, length: float) -> None:
    """A server that lost its disk gets the state again; if all disks of a view are lost, clients may wait forever."""
    wipes = (Crash("n1", at=0.6, down=0.2, wiped=True), Crash("n2", at=1.3, down=0.1, wiped=True))
    for seed in seeds:
        storm = draw_storm(system, seed, length=length, clients=4, extra_faults=wipes)
        run = run_storm(storm, seed, bound=15.0)
        assert run.violation is None or isinstance(run.violation, LivenessViolation), run.violation
        verdict = run.check().verdict
        assert verdict.valid or "No evidence" in verdict.reason  # no operation succeeded: nobody had a disk
