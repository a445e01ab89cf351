"""Heartbeat detectors: who crashes is suspected within a bound, who is up is trusted; pauses; cost; mutants."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import sim.cluster.clock
from sim import Scenario
from sim.faults import ClockJump, Crash, Partition, Pause, RandomPauses
from sim.network import constant
from sim.node import Part, part
from sim.protocols import ExpectedArrival, FixedTimeout, HeartbeatDetectors, PhiAccrual
from sim.protocols.membership.heartbeats import HeartbeatDetector, MonitorNode, member_of
from sim.protocols.membership.suspicion import Rule, Watch, z_of
from sim.system import Member, SafetyViolation
from sim.testing import survive
from sim.workload import ClosedLoop, NoLoad, UniformKeys
from sim.zoo.membership import JudgesAfterItsPause
from tests.budget import storms

DELTA = 0.01
BEAT = 0.1
RULES = [FixedTimeout(), ExpectedArrival(), PhiAccrual(8.0)]


def scenario(rule: Rule, *faults: Any, nodes: int = 4, duration: float = 10.0, **changes: Any) -> Scenario:
    base = Scenario(
        system=HeartbeatDetectors(nodes=nodes, detector=rule, heartbeat=BEAT, detection=1.0),
        network=constant(DELTA),
        workload=NoLoad(),
        faults=faults,
        duration=duration,
        check=True,
    )
    return dataclasses.replace(base, **changes)


def events(run: Any, kind: str) -> list[tuple[float, str, str]]:
    rows = run.events[run.events["event"] == kind]
    return [(t, n, d["peer"]) for t, n, d in rows[["time", "node", "detail"]].itertuples(index=False)]


def longest_timeout(rule: Rule) -> float:
    """With a constant delay: the timeout; a heartbeat and the margin; mu + z sigma with sigma at its least, a tenth."""
    if isinstance(rule, PhiAccrual):
        return BEAT + z_of(rule.threshold) * BEAT / 4  # while the invented intervals are remembered
    return 1.0


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.label)
def test_a_crashed_member_is_suspected_by_all_within_the_timeout_and_trusted_after_its_return(
    rule: Rule,
) -> None:
    run = scenario(rule, Crash("n2", at=5.0, down=2.5)).run(3)
    assert run.violation is None
    suspected = events(run, "suspect")
    assert sorted(n for _, n, p in suspected if p == "n2") == ["n0", "n1", "n3"]
    assert all(p == "n2" for _, n, p in suspected)  # accuracy: nobody else is
    # The last heartbeat arrived within [crash - BEAT + DELTA, crash + DELTA].
    for time, _, _ in suspected:
        assert 5.0 - BEAT < time <= 5.0 + DELTA + longest_timeout(rule) + 1e-9
    trusted = events(run, "trust")
    assert sorted(n for _, n, p in trusted if p == "n2") == ["n0", "n1", "n3"]
    assert all(7.5 < t <= 7.5 + BEAT + DELTA for t, _, _ in trusted)


def test_a_fixed_timeout_detects_exactly_its_timeout_after_the_last_heartbeat() -> None:
    run = scenario(FixedTimeout(0.7), Crash("n2", at=5.0), trace=True).run(3)
    arrived = run.messages[(run.messages["src"] == "n2") & (run.messages["fate"] == "delivered")]
    last = arrived.groupby("dst")["delivered"].max()
    for time, observer, _ in events(run, "suspect"):
        assert time == pytest.approx(last[observer] + 0.7)


def test_phi_detects_exactly_mu_plus_z_sigma_after_the_last_heartbeat() -> None:
    simulation = scenario(PhiAccrual(5.0, window=20), Crash("n2", at=5.0)).start(3)
    simulation.run(until=5.0 + DELTA)
    monitor: Any = simulation.nodes["n0"]
    watch = monitor.detector.watches["n2"]
    assert (watch.mean, watch.std) == (pytest.approx(BEAT), pytest.approx(BEAT / 10))  # sigma at its least
    heard = simulation.now - (monitor.monotonic - watch.last)
    simulation.run()
    time = next(r[0] for r in simulation.recorder.events if r[1] == "n0" and r[2] == "suspect")
    assert time == pytest.approx(heard + BEAT + 4.2649 * BEAT / 10, abs=1e-5)


def test_heartbeats_cost_n_times_n_minus_1_messages_a_period() -> None:
    run = scenario(FixedTimeout(), nodes=7, duration=20 * BEAT).run(1)
    assert run.links["messages"].sum() == 20 * 7 * 6


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.label)
@pytest.mark.parametrize("length", [0.05, 0.4, 1.5, 4.0])
def test_fd2_an_observer_that_was_paused_suspects_no_peer_for_it(rule: Rule, length: float) -> None:
    """Its peers do suspect it, while it is silent for longer than their timeout, and trust it afterwards."""
    run = scenario(rule, Pause("n1", at=3.0, duration=length)).run(2)
    assert run.violation is None
    assert not [s for s in events(run, "suspect") if s[1] == "n1"]
    timeout = longest_timeout(rule)
    expected = 3 if length > timeout + BEAT else None
    about_it = [s for s in events(run, "suspect") if s[2] == "n1"]
    assert expected is None or len(about_it) == expected
    assert len(events(run, "trust")) == len(about_it)


def test_a_member_that_crashes_during_the_pause_of_an_observer_is_suspected_a_timeout_after_it() -> None:
    run = scenario(FixedTimeout(), Pause("n1", at=3.0, duration=2.0), Crash("n2", at=3.5)).run(2)
    found = [s for s in events(run, "suspect") if s[1:] == ("n1", "n2")]
    assert len(found) == 1
    assert found[0][0] == pytest.approx(5.0 + 1.0)


def test_a_clock_that_jumps_causes_no_suspicion() -> None:
    run = scenario(
        FixedTimeout(), ClockJump("n1", at=3.0, offset=100.0), ClockJump("n1", at=6.0, offset=0.0)
    ).run(2)
    assert run.violation is None
    assert not events(run, "suspect")


def test_a_partition_makes_both_sides_suspect_and_its_end_makes_them_trust() -> None:
    run = scenario(FixedTimeout(), Partition((("n0", "n1"), ("n2", "n3")), at=3.0, duration=3.0)).run(1)
    pairs = sorted((n, p) for _, n, p in events(run, "suspect"))
    across = sorted((a, b) for a in ("n0", "n1") for b in ("n2", "n3"))
    assert pairs == sorted(across + [(b, a) for a, b in across])
    assert sorted((n, p) for _, n, p in events(run, "trust")) == pairs


def test_late_heartbeats_and_those_of_an_earlier_incarnation_are_ignored() -> None:
    from sim.protocols.membership.heartbeats import Heartbeat
    from sim.testing import Bench

    system = HeartbeatDetectors(nodes=3, heartbeat=BEAT, detection=1.0)
    bench = Bench(MonitorNode, "n0", settings=system)
    bench.time = 0.5
    bench.deliver("n1", Heartbeat(1, 4))
    heard = bench.node.monotonic
    for old in (Heartbeat(1, 4), Heartbeat(1, 3), Heartbeat(0, 9)):
        bench.time += 0.1
        bench.deliver("n1", old)
        assert bench.node.detector.watches["n1"].last == heard
    bench.deliver("n1", Heartbeat(2, 1))
    assert bench.node.detector.watches["n1"].last == bench.node.monotonic


def test_a_node_is_called_when_its_detector_changes_its_opinion() -> None:
    heard: list[tuple[str, str, str]] = []

    class Told(MonitorNode):
        def suspected(self, peer: str) -> None:
            heard.append((self.name, "suspected", peer))

        def trusted(self, peer: str) -> None:
            heard.append((self.name, "trusted", peer))

    scenario(FixedTimeout(), Crash("n1", at=2.0, down=3.0), nodes=2, system=broken(Told, nodes=2)).run(1)
    assert heard == [("n0", "suspected", "n1"), ("n0", "trusted", "n1")]


def test_clients_may_ask_what_a_member_thinks() -> None:
    one = scenario(
        FixedTimeout(),
        Crash("n2", at=3.0),
        workload=ClosedLoop(clients=1, reads=1.0, keys=UniformKeys(4), think=0.05),
    )
    run = one.run(1)
    late = run.operations[run.operations["called"] > 5.0]
    told = late[late["key"] == "k2"]["value"]
    assert len(told) > 10
    assert set(told) == {"suspect"}
    assert set(late[late["key"] != "k2"]["value"]) == {"up"}
    assert member_of("n3", ("n0", "n3")) == "n3"
    assert member_of("k7", ("n0", "n1", "n2")) == "n1"


# Storms


def weathered(seed: int, storm: float) -> None:
    rule = RULES[seed % len(RULES)]
    system = HeartbeatDetectors(nodes=3 + seed % 3, detector=rule, heartbeat=0.05, detection=0.5)
    pauses = [RandomPauses(every=2.0, length=0.5, start=0.2, end=storm)] if seed % 2 else []
    # Timeouts may have grown in the storm, but a heartbeat is enough to be trusted again: one that is not delayed
    # by more than the 2 s that the latencies of storms practically never reach.
    survive(system, seed, storm, faults=pauses, bound=3.0)


@storms(12, 2.0, seeds=range(1000))
def test_storms_break_no_invariant_and_all_are_trusted_after_them(seeds: range, length: float) -> None:
    for seed in seeds:
        weathered(seed, length)


# Mutants


def broken(node: type[MonitorNode], nodes: int = 4, rule: Rule | None = None) -> HeartbeatDetectors:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Broken(HeartbeatDetectors):
        def members(self) -> tuple[Member, ...]:
            return tuple(dataclasses.replace(m, node_class=node) for m in super().members())

    return Broken(nodes=nodes, heartbeat=BEAT, detection=1.0, detector=rule or FixedTimeout())


def with_detector(detector: type[Part]) -> type[MonitorNode]:
    class Mutant(MonitorNode):
        pass

    Mutant._parts = {"detector": part(detector)}
    return Mutant


def test_fd2_without_the_guard_a_pause_is_held_against_others() -> None:
    run = scenario(
        FixedTimeout(), Pause("n1", at=3.0, duration=4.0), system=broken(with_detector(JudgesAfterItsPause))
    ).run(2)
    assert isinstance(run.violation, SafetyViolation)
    assert run.violation.invariant == "suspicion needs silence that was listened to"


class Blind(HeartbeatDetector):
    """Never sets the timer that would make it look."""

    def _look_ahead(self) -> None:
        self.check_due = float("inf")


class Decaying(Watch):
    def level(self, now: float) -> float:
        return -super().level(now)


@dataclasses.dataclass(frozen=True, slots=True)
class Decays(FixedTimeout):
    """A level that falls with silence."""

    def watch(self, now: float, heartbeat: float, detection: float) -> Watch:
        return Decaying(now, detection)


def test_a_detector_that_never_checks_leaves_crashed_peers_trusted() -> None:
    run = scenario(FixedTimeout(), Crash("n2", at=5.0), system=broken(with_detector(Blind))).run(3)
    assert run.violation is not None
    assert run.violation.invariant == "a silent member is suspected"


def test_a_level_that_falls_with_silence_is_caught() -> None:
    run = scenario(Decays()).run(3)
    assert run.violation is not None
    assert run.violation.invariant == "suspicion grows with silence"


class Forgetful(HeartbeatDetector):
    """Does not note when it heard a peer."""

    def on_heartbeat(self, src: str, msg: Any) -> None:
        before = self.watches[src].last
        super().on_heartbeat(src, msg)
        self.watches[src].last = before


def test_levels_of_two_incarnations_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """An observer that heard nobody starts once more, and its clock begins at the same reading."""
    monkeypatch.setattr(sim.cluster.clock, "SPREAD", 0.0)
    cut = Partition((("n0",),), at=0.0, duration=2.0)
    run = scenario(FixedTimeout(), cut, Crash("n0", at=1.0, down=0.1)).run(3)
    assert run.violation is None, run.violation


def test_heartbeats_that_do_not_count_are_caught() -> None:
    run = scenario(FixedTimeout(), system=broken(with_detector(Forgetful))).run(3)
    assert run.violation is not None
    assert run.violation.invariant == "suspicion needs silence that was listened to"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"heartbeat": 1.0, "detector": FixedTimeout(0.5)}, "must be longer than the heartbeat"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        HeartbeatDetectors(**settings)
