"""Dynamo in storms: its claims hold, clients go on, replicas converge, what is deleted stays deleted."""

from __future__ import annotations

import dataclasses

import pytest

from sim import Scenario
from sim.lab import draw_storm
from sim.protocols import Dynamo
from sim.protocols.quorums import Columns, Rows
from sim.protocols.replication.dynamo.convergence import Converged
from sim.testing import survive
from sim.workload import Mix, UniformKeys

SYSTEMS = [
    Dynamo(nodes=3),
    Dynamo(nodes=5, repair="blocking"),
    Dynamo(nodes=5, sloppy=True),
    Dynamo(nodes=5, versions="siblings"),
    Dynamo(nodes=5, repair="blocking", hint_expiry=0.5, grace=4.5),
    Dynamo(nodes=4, r=1, w=3, repair="off", fanout=2, depth=6),
    Dynamo(nodes=6, n=4, r=Rows(2, 2), w=Columns(2, 2), coordinator="home"),
    Dynamo(nodes=5, versions="siblings", hint_expiry=0.5, grace=4.5),
    Dynamo(nodes=5, versions="siblings", sloppy=True, repair="blocking"),
    Dynamo(nodes=5, r=1, w=1, repair="blocking"),
]


def storm(system: Dynamo, seed: int, seconds: float) -> Scenario:
    """As for all systems; where tombstones are purged soon there are more of them."""
    scenario = draw_storm(system, seed, length=seconds)
    if system.grace > 100.0:
        return scenario
    mix = Mix((("get", 4.0), ("put", 3.0), ("delete", 2.0)), UniformKeys(3))
    return dataclasses.replace(scenario, workload=dataclasses.replace(scenario.workload, mix=mix))


def purged_in(system: Dynamo, seed: int, seconds: float) -> int:
    """One storm; returns how many tombstones were purged."""
    settle = (
        0.5 if system.grace > 100.0 else 0.5 * system.grace
    )  # besides what `run_storm` waits for all to agree
    run = survive(system, seed, scenario=storm(system, seed, seconds), settle=settle)
    assert run.convergence is not None
    assert run.convergence.valid, run.convergence
    return int((run.events["event"] == "purged").sum())


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.label)
def test_it_keeps_its_claims_in_storms_and_converges_after_them(system: Dynamo) -> None:
    # What clients ask after the storm mostly ends with writes: a tombstone lasts in one storm of six.
    seeds = 12 if system.grace < 100.0 else 3
    purged = sum(purged_in(system, seed, 3.0) for seed in range(seeds))
    assert (purged > 0) == (system.grace < 100.0)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(0, 1000, 50))
def test_a_thousand_storms(first: int) -> None:
    for seed in range(first, first + 50):
        purged_in(SYSTEMS[seed % len(SYSTEMS)], seed, 8.0)


def test_convergence_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """In most storms nothing is under way at the very end, so that the invariant says something."""
    judged = []
    at_end = Converged.at_end

    def noted(self: Converged, nodes: object) -> None:
        at_end(self, nodes)  # type: ignore[arg-type]
        judged.append(self.judged)

    monkeypatch.setattr(Converged, "at_end", noted)
    for seed in range(12):
        purged_in(SYSTEMS[seed % len(SYSTEMS)], seed, 2.0)
    assert sum(judged) > 6
