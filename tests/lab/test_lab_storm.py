"""Storms: every kind of fault is drawn, as far as a system's fault model goes, and all is well after them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from functools import cache
from typing import Any

import pytest

from sim import Scenario
from sim.cluster import Clock
from sim.faults import (
    ClockJump,
    Crash,
    Flaky,
    Partition,
    Pause,
    PowerFailure,
    RandomCrashes,
    RandomDisturbances,
    RandomPauses,
    Slow,
)
from sim.lab import Simulation, draw_storm, run_storm
from sim.protocols import BasicRaft, ChainReplication, Craq, PrimaryBackup, Raft, ViewstampedReplication
from sim.protocols.membership.views.service import LEASE
from sim.system import System


@cache
def storms_of(system: System) -> list[Scenario]:
    return [draw_storm(system, seed) for seed in range(40)]


def drawn(system: System, kind: type) -> list[Any]:
    faults = [fault for scenario in storms_of(system) for fault in scenario.faults]
    return [fault for fault in faults if isinstance(fault, kind)]


def clocks(system: System) -> list[Clock]:
    return [host.clock for scenario in storms_of(system) for host in scenario.machines.values()]  # type: ignore[union-attr]


def test_storms_draw_every_kind_of_fault() -> None:
    seen: Counter[str] = Counter()
    kinds = ("crash", "restart", "cut", "heal", "flaky", "slow", "pause", "clock")
    for seed in range(24):
        run = run_storm(draw_storm(BasicRaft(nodes=3), seed, length=2.0), seed)
        seen.update(run.events["event"])
        if all(seen[kind] >= 2 for kind in kinds):
            break
    assert [kind for kind in kinds if seen[kind] < 2] == []


def test_disks_stall_members_stand_still_and_power_fails_for_all_at_once() -> None:
    stalls = [str(draw_storm(BasicRaft(), seed).machines["n0"].disk).count("0.6") for seed in range(40)]  # type: ignore[index]
    assert 4 <= len([one for one in stalls if one]) <= 20
    assert len(drawn(BasicRaft(), RandomPauses)) > 3
    failures = drawn(BasicRaft(), PowerFailure)
    assert len(failures) > 3
    assert "all" in {fault.target for fault in failures}
    assert drawn(ViewstampedReplication(), PowerFailure) == []  # it keeps nothing on disk


def test_disks_are_lost_only_where_the_system_keeps_nothing_on_them() -> None:
    assert {fault.wiped for fault in drawn(ViewstampedReplication(), RandomCrashes)} == {0.5}
    assert {fault.max_down for fault in drawn(ViewstampedReplication(), RandomCrashes)} == {1, 2}
    assert {fault.wiped for fault in drawn(BasicRaft(), RandomCrashes)} == {0.0}


def test_clocks_are_as_wrong_as_the_system_allows_and_no_more() -> None:
    assert {fault.max_clock_drift for fault in drawn(BasicRaft(), RandomDisturbances)} == {None}
    assert max(abs(clock.drift) for clock in clocks(BasicRaft())) > 0.15
    leased = Craq()
    bound = leased.max_clock_drift
    # A slow clock's lease ends before a fast clock's detection time: LEASE / (1 - d) = 1 / (1 + d).
    assert bound is not None
    assert pytest.approx(1 / (1 + bound)) == LEASE / (1 - bound)
    assert {fault.max_clock_drift for fault in drawn(leased, RandomDisturbances)} == {bound}
    assert {fault.wall_clocks_jump for fault in drawn(leased, RandomDisturbances)} == {True}
    assert 0.9 * bound < max(abs(clock.drift) for clock in clocks(leased)) <= bound
    assert max(clock.offset for clock in clocks(leased)) > 50
    trusting = PrimaryBackup(reads="backup", staleness=0.5)
    assert {fault.max_clock_drift for fault in drawn(trusting, RandomDisturbances)} == {0.0}
    assert {fault.wall_clocks_jump for fault in drawn(trusting, RandomDisturbances)} == {False}
    assert set(clocks(trusting)) == {Clock()}
    assert Raft(reads="lease", clock_drift=0.01).max_clock_drift == 0.01
    assert Raft().max_clock_drift is PrimaryBackup().max_clock_drift is None


def test_no_member_crashes_where_the_system_allows_no_crash() -> None:
    alone = ViewstampedReplication(nodes=1)
    assert alone.max_down == 0
    assert drawn(alone, RandomCrashes) == []
    assert drawn(alone, RandomDisturbances)
    run = run_storm(draw_storm(alone, 1, length=1.0), 1)
    assert run.violation is None
    assert run.check().ok


def test_the_same_seed_draws_the_same_storm() -> None:
    assert draw_storm(Craq(), 7).faults == draw_storm(Craq(), 7).faults
    assert draw_storm(Craq(), 7).machines == draw_storm(Craq(), 7).machines


def test_after_the_storm_all_is_well() -> None:
    for system in (BasicRaft(nodes=3), ChainReplication()):
        for seed in range(6):
            simulation = Simulation(draw_storm(system, seed, length=1.0), seed)
            simulation.run()
            simulation.calm()
            crashes = [fault for fault in simulation.scenario.faults if isinstance(fault, Crash)]
            may_be_gone = system.max_gone if any(crash.for_good for crash in crashes) else 0
            hosts = [simulation.cluster.hosts[name] for name in simulation.replicas]
            assert sum(not host.is_up for host in hosts) <= may_be_gone
            for host in hosts:
                assert (host.cpu.speed, host.clocks.rate) == (1.0, 1.0)
                if system.wall_clock_may_jump:
                    assert host.clock() == pytest.approx(simulation.now)
            links = simulation.cluster.network.links.values()
            assert all((link.cuts, link.disturbances) == (0, ()) for link in links)


def test_no_fault_strikes_after_the_storm() -> None:
    system = BasicRaft(nodes=3)
    everything = (
        ClockJump("n0", at=2.0, offset=5.0, drift=0.3),
        Crash("n1", at=2.0, down=9.0),
        Flaky("n2", at=2.0, slowdown=5.0, loss=0.5),
        Partition((("n0",),), at=2.0),
        Pause("n2", at=2.0, duration=9.0),
        Slow("n0", at=2.0),
    )
    for calm, well in ((False, False), (True, True)):
        simulation = Simulation(Scenario(system=system, faults=everything, duration=4.0), 1)
        simulation.run(until=1.0)
        if calm:
            simulation.calm()
        simulation.run(until=3.0)
        n0, n1, n2 = (simulation.cluster.hosts[name] for name in simulation.replicas)
        links = simulation.cluster.network.links.values()
        assert (n0.clock() == pytest.approx(3.0)) is well
        assert (n0.cpu.speed == 1.0) is well
        assert n1.is_up is well
        assert n2.is_paused is not well
        assert all((link.cuts, link.disturbances) == (0, ()) for link in links) is well


@dataclasses.dataclass(frozen=True, kw_only=True)
class Careless(Craq):
    """Says that clocks may run at any rate, though its servers answer under leases."""

    max_clock_drift = None


def test_a_system_that_counts_on_clocks_without_saying_so_is_found_out() -> None:
    """A server's clock runs too slowly while it is cut off: it answers after its lease has ended for the others."""
    for system, slow, invariant in (
        (Careless(readers="nearest"), 0.5, "reads are never older than what was committed"),
        (Craq(readers="nearest"), Craq().max_clock_drift or 0.0, None),
    ):
        faults = (
            ClockJump("n1", at=0.5, drift=-slow),
            Partition((("n1",), ("n0", "n2", "master")), at=2.0, duration=5.0),
        )
        broken = set()
        for seed in range(4):
            storm = draw_storm(system, seed, length=4.0, clients=8, keys=1, options=False)
            run = run_storm(dataclasses.replace(storm, faults=faults), seed)
            broken.add(run.violation and run.violation.invariant)
        assert broken - {None} == ({invariant} - {None})
