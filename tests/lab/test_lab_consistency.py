"""Stores that claim little are judged by their claim, in storms; every weaker setting is caught claiming more."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Scenario
from sim.faults import Crash, Partition
from sim.lab.run import Run
from sim.network import Exponential, lan
from sim.protocols import (
    PrimaryBackup,
    Raft,
)
from sim.system import System
from sim.testing import survive
from sim.workload import ClosedLoop, OpenLoop, UniformKeys
from tests.budget import storms

# The other stores, and the other options of these, are judged in the storms of their own tests.
STORES: list[System] = [Raft(nodes=3, reads="stale"), PrimaryBackup(nodes=3, reads="backup")]


@storms(2, 3.0, longer=4.0)
@pytest.mark.parametrize("system", STORES, ids=lambda s: s.label)
def test_a_store_keeps_what_it_claims_in_storms(system: System, seeds: range, length: float) -> None:
    for seed in seeds:
        survive(system, seed, length, may_lose=True, clients=4)


def caught(system: System, model: str, seeds: int, **changes: Any) -> Run | None:
    """The first run whose history breaks a model that the system does not claim."""
    base: dict[str, Any] = {
        "system": system,
        "network": lan(Exponential(0.010)),
        "workload": ClosedLoop(clients={"n1": 2, "n2": 2}, keys=UniformKeys(2), reads=0.6),
        "duration": 4.0,
    }
    scenario = Scenario(**{**base, **changes})
    for seed in range(seeds):
        run = scenario.run(seed)
        if run.check(model).status == "invalid":
            return run
    return None


@pytest.mark.parametrize(
    "system",
    [
        Raft(nodes=3, reads="stale"),
        PrimaryBackup(nodes=3, reads="backup"),
        PrimaryBackup(nodes=3, reads="session"),
    ],
    ids=lambda s: s.label,
)
def test_reads_at_any_replica_are_caught_when_they_should_be_linearizable(system: System) -> None:
    run = caught(system, "linearizable", 3)
    assert run is not None
    assert system.consistency != "linearizable"
    verdict = run.check("linearizable").verdict
    assert verdict is not None
    assert 2 <= len(verdict.counterexample) <= 8


def test_a_session_that_reads_from_any_backup_does_not_even_read_its_own_writes() -> None:
    assert caught(PrimaryBackup(nodes=3, reads="backup"), "read-your-writes", 5) is not None
    assert caught(PrimaryBackup(nodes=3, reads="session"), "read-your-writes", 5) is None


def test_async_failover_loses_acknowledged_writes_and_is_caught() -> None:
    faults = [Partition((("n0",), ("n1", "n2")), at=1.0), Crash("n0", at=1.4)]
    workload = OpenLoop(clients=2, rate=100.0, keys=UniformKeys(5), reads=0.5)
    settings: dict[str, Any] = {"faults": faults, "workload": workload, "duration": 5.0}
    run = caught(PrimaryBackup(nodes=3, mode="async"), "linearizable", 3, **settings)
    assert run is not None
    assert run.acknowledged_lost is not None
    assert run.acknowledged_lost > 0
    sync = Scenario(system=PrimaryBackup(nodes=3), network=lan(Exponential(0.010)), **settings)
    for seed in range(3):
        safe = dataclasses.replace(sync).run(seed)
        assert safe.acknowledged_lost == 0
        assert safe.check().ok
