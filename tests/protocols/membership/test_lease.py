"""Leader leases: one holder at any time under bounded drift; takeover; storms; mutants without margin or memory."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import pytest

from sim import Scenario
from sim.cluster import Clock, Machine
from sim.faults import Crash, Partition
from sim.kernel import Streams
from sim.lab import draw_storm
from sim.network import Exponential, constant, lan
from sim.node import Part, part
from sim.protocols import LeaderLease
from sim.protocols.membership.lease import (
    LeaseDenied,
    LeaseGrant,
    LeaseGranter,
    LeaseHolder,
    LeaseMember,
    LeaseRelease,
    LeaseRequest,
    LeaseSeeker,
    usable_term,
)
from sim.system import Member, SafetyViolation
from sim.testing import Bench, survive
from sim.workload import ClosedLoop, NoLoad, UniformKeys
from tests.budget import storms

DELTA = 0.01


def scenario(system: LeaderLease, *faults: Any, duration: float = 20.0, **changes: Any) -> Scenario:
    base = Scenario(
        system=dataclasses.replace(system, heartbeat=0.1, detection=1.0),
        network=constant(DELTA),
        workload=NoLoad(),
        faults=faults,
        duration=duration,
        check=True,
    )
    return dataclasses.replace(base, **changes)


def changes(run: Any) -> list[tuple[float, str, str]]:
    rows = run.events[run.events["event"].isin(["lease", "lease_over"])]
    return list(rows[["time", "node", "event"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("granters", ["quorum", "service"])
def test_the_first_to_ask_leads_and_keeps_the_lease(granters: Any) -> None:
    run = scenario(LeaderLease(nodes=3, granters=granters)).run(1)
    assert run.violation is None
    ((time, _, event),) = changes(run)
    assert (event, time < 0.1 + 2 * DELTA) == ("lease", True)


@pytest.mark.parametrize("granters", ["quorum", "service"])
def test_when_the_holder_crashes_another_leads_after_the_promises_are_over(granters: Any) -> None:
    run = scenario(LeaderLease(nodes=3, granters=granters), Crash("leader", at=5.0)).run(1)
    first, second = (c for c in changes(run) if c[2] == "lease")
    assert second[1] != first[1]
    # Promises of at most 1 s, then attempts that are at most a term and two heartbeats apart.
    assert 5.0 + 1.0 - 0.1 - DELTA < second[0] < 5.0 + 1.0 + (1.0 + 2 * 0.1) + 4 * DELTA


def test_a_holder_that_is_cut_off_stops_before_another_begins() -> None:
    run = scenario(LeaderLease(nodes=3), Partition((("n0",), ("n1", "n2")), at=5.0, duration=8.0)).run(3)
    assert run.violation is None
    held = changes(run)
    for (t0, a, e0), (t1, b, e1) in pairwise(held):
        assert t0 <= t1
        assert (e0, e1) in {("lease", "lease_over"), ("lease_over", "lease")}
        assert e0 == "lease_over" or a == b


def test_a_client_is_served_by_the_holder_alone() -> None:
    asking = ClosedLoop(clients=2, reads=1.0, keys=UniformKeys(1), think=0.05)
    run = scenario(LeaderLease(nodes=3), Crash("leader", at=5.0, down=4.0), workload=asking).run(1)
    served = run.operations[run.operations["status"] == "ok"]
    assert len(served) >= len(run.operations) - 2 > 100  # two may be under way at the end
    assert (served["value"] == served["node"]).all()
    assert served["node"].nunique() >= 2


def test_the_lease_counts_from_when_it_was_asked_for_less_the_drift() -> None:
    system = LeaderLease(nodes=3, term=1.0, drift=0.2, heartbeat=0.1, detection=1.0)
    one = Bench(LeaseMember, "n0", settings=system)
    one.advance(0.1)
    asked = next(m.number for _, m in one.sent if isinstance(m, LeaseRequest))
    when = one.node.lease.grants[asked][0]
    one.time += 0.05
    one.deliver("n0", LeaseGrant(asked))
    assert not one.node.lease.held
    one.deliver("n1", LeaseGrant(asked))
    assert one.node.lease.until == pytest.approx(when + 0.8 / 1.2)


def test_a_granter_promises_one_at_a_time_and_takes_back_what_is_released() -> None:
    system = LeaderLease(nodes=3, term=1.0, heartbeat=0.1, detection=1.0)
    one = Bench(LeaseMember, "n0", settings=system)
    assert one.deliver("n1", LeaseRequest((0, 1))) == [("n1", LeaseGrant((0, 1)))]
    one.time = 0.6
    assert one.deliver("n2", LeaseRequest((0, 1))) == [("n2", LeaseDenied((0, 1), "n1"))]
    assert one.deliver("n1", LeaseRequest((0, 2))) == [("n1", LeaseGrant((0, 2)))]
    one.deliver("n1", LeaseRelease((0, 1)))  # late: it has asked again since
    assert one.deliver("n2", LeaseRequest((0, 2)))[0][1] == LeaseDenied((0, 2), "n1")
    one.deliver("n1", LeaseRelease((0, 2)))
    assert one.deliver("n2", LeaseRequest((0, 3))) == [("n2", LeaseGrant((0, 3)))]
    one.restart()
    assert one.deliver("n1", LeaseRequest((0, 4))) == [("n1", LeaseDenied((0, 4), None))]
    one.time += 1.0
    assert one.deliver("n1", LeaseRequest((0, 5))) == [("n1", LeaseGrant((0, 5)))]


# Storms


def weathered(seed: int, storm: float) -> None:
    system = LeaderLease(
        nodes=1 + seed % 5,
        granters=("quorum", "service")[seed % 2],
        drift=0.1,
        heartbeat=0.05,
        detection=0.5,  # type: ignore[arg-type]
    )
    one = draw_storm(system, seed, length=storm)
    stream = Streams(seed)["clocks"]
    drifts = {m.name: stream.choice((-0.1, 0.0, 0.1)) for m in system.members()}
    clocks = {
        name: Machine(clock=Clock(offset=10 * stream.random(), drift=drift)) for name, drift in drifts.items()
    }
    one = dataclasses.replace(one, machines=clocks)
    survive(system, seed, scenario=one, bound=20.0)


@storms(6, 2.0, seeds=range(1000))
def test_leases_are_safe_in_storms_with_clocks_that_drift(seeds: range, length: float) -> None:
    for seed in seeds:
        weathered(seed, length)


# Mutants


class NoMargin(LeaseSeeker):
    """Relies on the whole term."""

    def usable_of(self, drift: float) -> float:
        return self.length


class FromTheGrant(LeaseSeeker):
    """Counts from when it was granted, not from when it asked."""

    def on_lease_grant(self, src: str, msg: LeaseGrant) -> None:
        if msg.number in self.grants:
            self.grants[msg.number] = (self.monotonic, self.grants[msg.number][1])
        super().on_lease_grant(src, msg)


class Forgetful(LeaseGranter):
    """Grants at once after a restart."""

    def on_start(self) -> None:
        super().on_start()
        self.until = self.monotonic


def broken(
    seeker: type[Part] = LeaseSeeker, granter: type[Part] = LeaseGranter, drift: float = 0.0
) -> LeaderLease:
    class Mutant(LeaseMember):
        pass

    Mutant._parts = {"lease": part(seeker), "granter": part(granter)}

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Broken(LeaderLease):
        def members(self) -> tuple[Member, ...]:
            return tuple(Member(f"n{i}", Mutant) for i in range(self.nodes))

    return Broken(nodes=3, drift=drift)


def first_violation(system: LeaderLease, seeds: int, *faults: Any, **changes: Any) -> Any:
    for seed in range(seeds):
        run = scenario(system, *faults, **changes).run(seed)
        if run.violation is not None:
            assert isinstance(run.violation, SafetyViolation)
            return run.violation.invariant
    return None


LAW = "at most one holder at any time"


def test_without_a_margin_for_drift_two_hold_the_lease() -> None:
    """The holder's clock is slow, the granters' are fast, and it is cut off."""
    drift = 0.2
    clocks = {f"n{i}": Machine(clock=Clock(drift=-drift if i == 0 else drift)) for i in range(3)}
    cuts = [Partition((("leader",),), at=4.0 * i + 2.0, duration=2.0) for i in range(20)]
    changes: dict[str, Any] = {"machines": clocks, "duration": 82.0}
    assert first_violation(broken(NoMargin, drift=drift), 3, *cuts, **changes) == LAW
    assert first_violation(broken(drift=drift), 3, *cuts, **changes) is None
    # More drift than was reckoned with is too much for any margin.
    assert first_violation(broken(drift=0.01), 3, *cuts, **changes) == LAW


def test_a_lease_that_counts_from_its_grant_overlaps_the_next() -> None:
    slow: dict[str, Any] = {"network": lan(Exponential(0.04)), "duration": 82.0}
    cuts = [Partition((("leader",),), at=4.0 * i + 2.0, duration=2.0) for i in range(20)]
    assert first_violation(broken(FromTheGrant), 6, *cuts, **slow) == LAW
    assert first_violation(broken(), 3, *cuts, **slow) is None


def test_a_granter_that_forgets_its_promise_in_a_crash_gives_it_twice() -> None:
    faults = [
        *(Partition((("n0",), ("n1", "n2")), at=5.0 * i + 2.0, duration=2.0) for i in range(8)),
        *(Crash(name, at=5.0 * i + 2.1, down=0.05) for i in range(8) for name in ("n1", "n2")),
    ]
    assert first_violation(broken(granter=Forgetful), 5, *faults, duration=45.0) == LAW
    assert first_violation(broken(), 5, *faults, duration=45.0) is None


def test_what_is_usable_shrinks_with_drift() -> None:
    assert usable_term(10.0, 0.0) == 10.0
    assert usable_term(10.0, 0.1) == pytest.approx(9.0 / 1.1)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"heartbeat": 0.1, "detection": 1.0, "term": 0.11, "drift": 0.1},
            "ends before it is renewed every 0.1 s",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        LeaderLease(**settings)


def test_a_holder_is_called_when_it_gains_and_loses_the_lease() -> None:
    heard: list[tuple[str, str]] = []

    class Told(LeaseHolder):
        lease = part(LeaseSeeker)
        granter = part(LeaseGranter)

        def lease_gained(self) -> None:
            heard.append((self.name, "gained"))

        def lease_lost(self) -> None:
            heard.append((self.name, "lost"))

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Telling(LeaderLease):
        def members(self) -> tuple[Member, ...]:
            return tuple(Member(f"n{i}", Told) for i in range(self.nodes))

    scenario(Telling(nodes=3), Partition((("n0",), ("n1", "n2")), at=5.0), duration=12.0).run(3)
    assert heard
    assert heard[0][1] == "gained"
    assert all(a[1] != b[1] for a, b in pairwise(heard))
