"""Multi-primary replication: costs, convergence within the stated bound, what is lost when, and what mutants break."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Scenario
from sim.analysis.losses import conflicts
from sim.cluster import Clock, Machine
from sim.faults import ClockJump, Partition
from sim.kernel import Streams
from sim.lab import draw_storm, run_storm
from sim.lab.run import Run
from sim.network import Exponential, constant, lan
from sim.protocols import MultiPrimary
from sim.protocols.causality.hlc import HybridTime
from sim.protocols.causality.siblings import replaced_by
from sim.protocols.client import Reply
from sim.protocols.replication.multi_primary.node import Digest, MultiPrimaryNode, Update
from sim.protocols.replication.multi_primary.versions import latest
from sim.system import Member, SafetyViolation
from sim.testing import Bench, survive
from sim.workload import ClosedLoop, Mix, UniformKeys
from sim.zoo.multi_primary import CollectsByAge
from tests.budget import storms

DELTA = 0.01


def largest(values: tuple[Any, ...]) -> Any:
    """A resolver: the greatest value."""
    return max(values)


WALL = MultiPrimary(clock="wall")
HYBRID = MultiPrimary()
SIBLINGS = MultiPrimary(conflicts="siblings")
RESOLVED = MultiPrimary(conflicts="siblings", resolver=largest)
SYSTEMS = [WALL, HYBRID, SIBLINGS, RESOLVED]


# Costs


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.label)
def test_a_write_costs_2_delays_and_n_minus_1_asynchronous_messages(system: MultiPrimary) -> None:
    scenario = Scenario(
        system=dataclasses.replace(system, nodes=5, gossip_every=1e6),
        network=constant(DELTA),
        workload=ClosedLoop(clients=3, operations=20, reads=0.0, keys=UniformKeys(2)),
        duration=3.0,
        trace=True,
    )
    run = scenario.run(1)
    assert run.operations["latency"].to_numpy() == pytest.approx(2 * DELTA)
    assert len(run.operations) == 60
    assert run.messages["kind"].value_counts().to_dict() == {"Request": 60, "Reply": 60, "Update": 60 * 4}


def test_a_read_costs_2_delays_and_no_messages() -> None:
    scenario = Scenario(
        system=MultiPrimary(gossip_every=1e6),
        network=constant(DELTA),
        workload=ClosedLoop(clients=1, operations=20, reads=1.0),
        duration=3.0,
        trace=True,
    )
    run = scenario.run(1)
    assert run.operations["latency"].to_numpy() == pytest.approx(2 * DELTA)
    assert run.messages["kind"].value_counts().to_dict() == {"Request": 20, "Reply": 20}


def test_a_comparison_of_equal_replicas_costs_a_number_for_each_replica_however_many_keys(stage: Any) -> None:
    sizes = []
    for keys in (1, 200):
        s = stage(MultiPrimary(gossip_every=1.0))
        for key in range(keys):
            s.ask("n0", value=key, key=f"k{key}", session=key)
        s.run(2.0)
        rows = [row for row in s.cluster.recorder.messages if row[3] > 1.0]
        assert {row[0] for row in rows} == {"Digest", "Update"}
        sizes.append({row[-1] for row in rows})
    assert sizes[0] == sizes[1]


# Convergence


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.label)
@pytest.mark.parametrize("nodes", [2, 3, 5])
def test_replicas_agree_within_the_bound_after_healing(stage: Any, system: MultiPrimary, nodes: int) -> None:
    system = dataclasses.replace(system, nodes=nodes)
    s = stage(system, delta=DELTA)
    for i, name in enumerate(system.names):
        s.isolate([name], system.names[i + 1 :])
        s.ask(name, value=i, session=i)
        s.ask(name, value=i, key=f"only-{name}", session=i + 10)
    s.run(1.0)
    assert len({s.node(name).look_up("x") for name in system.names}) == nodes
    s.heal()
    # Everyone asks everyone in turn, and the last answer takes a message each way. No sooner: that is what it costs.
    s.run((nodes - 1) * system.gossip_every + 2 * DELTA + 1e-9)
    replicas = {name: s.node(name) for name in system.names}
    values = list(system.replica_values(replicas).values())
    assert all(held == values[0] for held in values)
    assert len(values[0]) == nodes + 1
    assert len({node.seen for node in replicas.values()}) == 1


# Conflicts, step by step


def both_write(stage: Any, system: MultiPrimary, **options: Any) -> Any:
    """Two replicas take a write of one key at the same time, and then hear of each other's."""
    s = stage(system, delta=DELTA, **options)
    s.ask("n0", value=1, session=1)
    s.ask("n1", value=2, session=2)
    s.run(0.05)
    return s


def values_of(s: Any, key: str = "x") -> list[Any]:
    return [s.node(name).look_up(key) for name in s.system.names]


@pytest.mark.parametrize(
    ("system", "shown"),
    [(WALL, 2), (HYBRID, 2), (SIBLINGS, (1, 2)), (RESOLVED, 2)],
    ids=lambda v: getattr(v, "label", ""),
)
def test_concurrent_writes_end_as_one_or_stand_side_by_side(stage: Any, system: Any, shown: Any) -> None:
    s = both_write(stage, system)
    assert values_of(s) == [shown] * 3
    met = s.events("conflict")
    assert {name for _, name, _ in met} == {"n0", "n1", "n2"}
    assert {detail["writes"] for _, _, detail in met} == {((1, 1), (2, 2))}
    s.ask("n2", value=9, session=3)  # by somebody who has seen them all
    s.run(0.05)
    assert values_of(s) == [9] * 3
    assert len(s.events("conflict")) == len(met)


def test_a_delete_and_a_concurrent_write_are_siblings_of_which_one_is_seen(stage: Any) -> None:
    s = stage(SIBLINGS, delta=DELTA)
    s.ask("n0", value=1)
    s.run(0.05)
    s.ask("n0", "delete", session=1)
    s.ask("n1", value=2, session=2)
    s.run(0.05)
    assert values_of(s) == [2] * 3
    s.ask("n2", "delete", session=3)
    s.run(0.05)
    assert values_of(s) == [None] * 3


def test_a_refused_write_is_a_local_answer_and_two_replicas_may_both_accept_a_cas(stage: Any) -> None:
    s = stage(dataclasses.replace(HYBRID, gossip_every=1e6), delta=DELTA)
    s.ask("n0", value=1)
    s.run(0.05)
    s.ask("n0", "cas", value=(7, 8), session=1)
    s.run(0.05)
    assert [reply.status for _, _, reply in s.client.heard_of(Reply)] == ["ok", "fail"]
    assert [kind for kind, *_ in s.sent(since=0.05)] == ["Request", "Reply"]  # nobody else was told of it
    s.ask("n0", "cas", value=(1, 2), session=1)
    s.ask("n1", "cas", value=(1, 3), session=2)
    s.run(0.05)
    assert [reply.status for _, _, reply in s.client.heard_of(Reply)[2:]] == ["ok", "ok"]
    assert values_of(s) == [3] * 3


# Tombstones


def test_tombstones_are_collected_when_everyone_has_seen_them_and_not_before(stage: Any) -> None:
    s = stage(HYBRID, delta=DELTA)
    s.ask("n0", value=1)
    s.run(0.05)
    s.isolate(["n2"], ["n0", "n1"])
    s.ask("n0", "delete")
    s.run(30.0)
    assert s.node("n0").gauges()["tombstones"] == s.node("n1").gauges()["tombstones"] == 1
    assert values_of(s) == [None, None, 1]
    s.heal()
    s.run(4 * HYBRID.gossip_every)
    assert values_of(s) == [None] * 3
    assert all(not s.node(name).versions for name in s.system.names)
    s.ask("n1", value=2, session=2)
    s.run(0.05)
    assert values_of(s) == [2] * 3


class TakesBack(MultiPrimaryNode):
    """Takes in whatever arrives, seen before or not."""

    def on_update(self, src: str, msg: Any) -> None:
        super().on_update(src, msg)
        for key, version in msg.versions:
            self.merge(key, version)


@pytest.mark.parametrize("mutant", [None, TakesBack])
def test_what_was_collected_does_not_come_back_with_a_message_that_was_long_under_way(
    stage: Any, mutant: Any
) -> None:
    s = stage(HYBRID, delta=DELTA, node_class=mutant)
    s.ask("n0", value=1)
    s.run(0.05)
    late = Update(tuple(("x", version) for version in s.node("n0").versions["x"]))
    s.ask("n0", "delete")
    s.run(5 * HYBRID.gossip_every)
    assert mutant or not s.node("n1").versions
    s.cluster.hosts["n1"].step(s.node("n1").on_update, ("n0", late))
    if mutant is None:
        assert values_of(s) == [None] * 3
        s.finish()
    else:
        assert values_of(s) == [None, 1, None]
        with pytest.raises(SafetyViolation, match="replaced stays replaced"):
            s.finish()


def test_by_wall_clocks_tombstones_are_kept(stage: Any) -> None:
    s = stage(WALL, delta=DELTA)
    s.ask("n0", value=1)
    s.ask("n0", "delete")
    s.run(5.0)
    assert all(s.node(name).gauges()["tombstones"] == 1 for name in s.system.names)


def test_mm4_tombstones_collected_by_age_let_the_deleted_stay_where_it_was(stage: Any) -> None:
    for mutant in (None, CollectsByAge):
        s = stage(HYBRID, node_class=mutant, delta=DELTA)
        s.ask("n0", value=1)
        s.run(0.05)
        s.isolate(["n2"], ["n0", "n1"])
        s.ask("n0", "delete")
        s.run(3.0)
        s.heal()
        if mutant is None:
            s.run(2.0)
            assert values_of(s) == [None] * 3
        else:
            with pytest.raises(SafetyViolation, match="replaced stays replaced"):
                s.run(2.0)


# Losses


def skewed(system: MultiPrimary, skew: float, *, think: float, seed: int = 1, mix: Mix | None = None) -> Run:
    """Two clients at replicas whose clocks differ by ``skew`` seconds."""
    hosts = {"n1": Machine(clock=Clock(offset=-skew))}
    scenario = Scenario(
        system=dataclasses.replace(system, nodes=2),
        network=constant(0.001),
        workload=ClosedLoop(
            clients={"n0": 1, "n1": 1}, think=think, mix=mix or Mix({"put": 1.0}, UniformKeys(1)), start=0.1
        ),
        machines=hosts,
        duration=3.0,
        check=True,
    )
    return scenario.run(seed)


class Alternating(ClosedLoop):
    """One client after the other, with time for the first one's write to arrive."""

    def plan(self, regions: Any, streams: Any) -> Any:
        plans = super().plan(regions, streams)
        for turn, plan in enumerate(plans):
            plan.driver._start += turn * 0.1  # type: ignore[attr-defined]
        return plans


@pytest.mark.parametrize("skew", [0.0, 0.05, 0.15, 1.0])
def test_mm1_without_any_concurrency_slow_wall_clocks_lose_writes_and_hybrid_clocks_none(skew: float) -> None:
    """A writes at 0, 0.2, ...; B, whose clock is behind, at 0.1, 0.3, ...: each has seen the other's last write.

    B's write is lost when its clock is more than 0.1 s behind. As B never writes later by its own clock than A's
    last write, all of B's are.
    """
    lost = {}
    for system in (WALL, HYBRID):
        scenario = Scenario(
            system=dataclasses.replace(system, nodes=2),
            network=constant(0.001),
            workload=Alternating(
                clients={"n0": 1, "n1": 1}, think=0.2, mix=Mix({"put": 1.0}, UniformKeys(1)), operations=20
            ),
            machines={"n1": Machine(clock=Clock(offset=-skew)), "*": Machine()},
            duration=10.0,
            check=True,
        )
        run = scenario.run(1)
        assert run.check().ok, run.check()
        assert conflicts(run.events) == 0
        dropped = run.events[run.events["event"] == "dropped"]
        assert len(dropped) == run.acknowledged_lost
        assert (dropped["node"] == "n1").all()
        lost[system.clock] = run.acknowledged_lost
    assert lost == {"wall": 20 if skew > 0.1 else 0, "hybrid": 0}


def test_what_hybrid_clocks_lose_was_written_at_the_same_time_as_what_won() -> None:
    """Every loss by hybrid clocks is a conflict; by wall clocks some are of writes that had seen the winner."""
    runs = {s.clock: skewed(s, 0.02, think=0.003) for s in (WALL, HYBRID)}
    for clock, run in runs.items():
        dropped = int((run.events["event"] == "dropped").sum())
        assert run.acknowledged_lost
        assert run.acknowledged_lost - dropped <= conflicts(run.events)
        assert (dropped > 0) is (clock == "wall")


@pytest.mark.parametrize("system", [WALL, HYBRID], ids=lambda s: s.label)
def test_increments_that_are_lost_are_those_that_the_value_lacks(system: MultiPrimary) -> None:
    mix = Mix({"increment": 1.0}, UniformKeys(2))
    simulation = Scenario(
        system=dataclasses.replace(system, nodes=2),
        network=constant(0.001),
        workload=ClosedLoop(clients={"n0": 1, "n1": 1}, think=0.004, mix=mix, operations=200),
        machines={"n1": Machine(clock=Clock(offset=-0.02)), "*": Machine()},
        duration=5.0,
    ).start(1)
    simulation.run()
    held = [node.look_up(key) for node in [simulation.nodes["n0"]] for key in node.versions]  # type: ignore[attr-defined]
    assert len(simulation.acknowledged) == 400
    assert simulation.acknowledged_lost == 400 - sum(held) > 0


def test_siblings_lose_nothing() -> None:
    run = skewed(SIBLINGS, 0.5, think=0.004)
    assert run.acknowledged_lost == 0
    assert conflicts(run.events) > 20
    assert run.summary()["conflicts"] == conflicts(run.events)


def test_a_write_over_a_partition_is_not_lost_with_siblings_and_is_with_one_value() -> None:
    scenario = Scenario(
        system=SIBLINGS,
        network=constant(0.001),
        workload=ClosedLoop(clients=3, operations=1, reads=0.0, keys=UniformKeys(1), start=1.0),
        faults=[Partition((("n0",), ("n1",), ("n2",)), at=0.5, duration=2.0)],
        duration=4.0,
        check=True,
    )
    lost = {
        s.conflicts: dataclasses.replace(scenario, system=s).run(1).acknowledged_lost
        for s in (HYBRID, SIBLINGS)
    }
    assert lost == {"lww": 2, "siblings": 0}


# Storms


def clocks_wrong(system: MultiPrimary, seed: int, length: float) -> Scenario:
    """A storm in which clocks are set wrong as well."""
    stream = Streams(seed)["clocks"]
    jumps = [
        ClockJump(
            name,
            at=length * stream.random(),
            offset=stream.uniform(-0.5, 0.5),
            drift=stream.uniform(-0.1, 0.1),
        )
        for name in system.names
    ]
    return draw_storm(system, seed, length=length, extra_faults=jumps)


def storm(system: MultiPrimary, seed: int, length: float = 2.0) -> Run:
    return run_storm(clocks_wrong(system, seed, length), seed)


def endure(system: MultiPrimary, seed: int, length: float) -> None:
    keeps = system.conflicts == "siblings"
    run = survive(system, seed, scenario=clocks_wrong(system, seed, length), may_lose=not keeps)
    assert run.acknowledged_lost is not None
    if not keeps:
        # Each loss is either a conflict that was met, or (by wall clocks) was dropped where it was written.
        dropped = int((run.events["event"] == "dropped").sum())
        assert run.acknowledged_lost == 0 or conflicts(run.events) + dropped > 0


@storms(4, 2.0, longer=6.0, seeds=range(1000))
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.label)
def test_replicas_agree_after_storms(system: MultiPrimary, seeds: range, length: float) -> None:
    for seed in seeds:
        endure(dataclasses.replace(system, nodes=3 + seed % 3), seed, length)


def test_storms_make_conflicts_and_losses_or_they_would_show_nothing() -> None:
    runs = [storm(HYBRID, seed) for seed in range(10)]
    assert sum(conflicts(run.events) for run in runs) > 50
    assert sum(run.acknowledged_lost or 0 for run in runs) > 20


# Mutants


class ForgetsRequests(MultiPrimaryNode):
    """MM3: a retried write takes effect again."""

    def on_request(self, src: str, msg: Any) -> None:
        self.done.pop(msg.command.session, None)
        super().on_request(src, msg)


class ReusesDots(MultiPrimaryNode):
    """The number of its writes is in memory only."""

    def on_start(self) -> None:
        super().on_start()
        self.number = 0

    def write(self, command: Any, value: Any) -> None:
        before = self.seen
        self.number += 1
        vector = dict(before.vector) | {self.actor: self.number - 1}
        self.__dict__["seen"] = before._replace(vector=tuple(sorted(vector.items())))
        super().write(command, value)


class Volatile(MultiPrimaryNode):
    """Versions in memory only."""

    def on_start(self) -> None:
        super().on_start()
        self.__dict__["versions"] = dict(self.versions)


class DeafClock(MultiPrimaryNode):
    """A hybrid clock that learns nothing from what arrives."""

    def on_update(self, src: str, msg: Any) -> None:
        mine = self.clock
        super().on_update(src, msg)
        self.clock = mine


class VolatileClock(MultiPrimaryNode):
    """A hybrid clock that begins again after a crash."""

    def on_start(self) -> None:
        super().on_start()
        self.clock = HybridTime(float("-inf"), 0)


class FirstComeFirstServed(MultiPrimaryNode):
    """Keeps what it had before, whatever the timestamps of concurrent versions say."""

    def merge(self, key: str, version: Any) -> None:
        held = self.versions.get(key, ())
        if not held or replaced_by(held[0], version):
            self.hold(key, (version,))


class NeverGossips(MultiPrimaryNode):
    """Tells others once."""

    def on_gossip_timeout(self) -> None:
        self.set_timer("gossip", self.settings.gossip_every)


class ClaimsTooMuch(MultiPrimaryNode):
    """Believes that who sends a version has sent all that it had seen."""

    def on_update(self, src: str, msg: Any) -> None:
        super().on_update(src, msg)
        for _, version in msg.versions:
            actor, number = version.dot
            if self.seen.upto(actor) < number:
                vector = dict(self.seen.vector) | {actor: number}
                self.seen = type(self.seen)(tuple(sorted(vector.items())), self.seen.cloud).compact()


class LatestSibling(MultiPrimaryNode):
    """Keeps one of two siblings."""

    def hold(self, key: str, held: Any) -> None:
        super().hold(key, latest(held) if held else held)


def broken(system: MultiPrimary, node_class: type[MultiPrimaryNode]) -> MultiPrimary:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Broken(MultiPrimary):
        def members(self) -> tuple[Member, ...]:
            return tuple(Member(name, node_class) for name in self.names)

    return Broken(**{f.name: getattr(system, f.name) for f in dataclasses.fields(system)})


MUTANTS: list[tuple[type[MultiPrimaryNode], MultiPrimary, str]] = [
    (ForgetsRequests, HYBRID, "one dot per write"),
    (ReusesDots, HYBRID, "one dot per write"),
    (Volatile, HYBRID, "durable before send"),
    (Volatile, SIBLINGS, "durable before send"),
    (DeafClock, HYBRID, "a write is later than what it replaces"),
    (VolatileClock, HYBRID, "a write is later than what it replaces"),
    (FirstComeFirstServed, HYBRID, "convergence after healing"),
    (FirstComeFirstServed, SIBLINGS, "convergence after healing"),
    (NeverGossips, HYBRID, "convergence after healing"),
    (ClaimsTooMuch, SIBLINGS, "replaced stays replaced"),
]


@pytest.mark.parametrize(("mutant", "system", "invariant"), MUTANTS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_mutant_is_caught(mutant: type[MultiPrimaryNode], system: MultiPrimary, invariant: str) -> None:
    found: list[str] = []
    for seed in range(40):
        run = storm(broken(system, mutant), seed)
        if run.violation is not None:
            found.append(run.violation.invariant)
            if run.violation.invariant == invariant:
                return
    pytest.fail(f"not caught by {invariant!r}; by {found}")


def test_siblings_of_which_one_is_kept_are_counted_as_lost() -> None:
    assert any(storm(broken(SIBLINGS, LatestSibling), seed).acknowledged_lost for seed in range(10))


def test_a_resolver_that_depends_on_more_than_its_values_is_found_out() -> None:
    asked = [0]

    def moody(values: tuple[Any, ...]) -> Any:
        asked[0] += 1
        return values[asked[0] % len(values)]

    run = storm(MultiPrimary(conflicts="siblings", resolver=moody), 1)
    assert run.violation is not None
    assert run.violation.invariant == "equal siblings, equal answer"


# Life


def test_a_replica_that_lost_its_disk_comes_back_as_another_actor(stage: Any) -> None:
    s = stage(HYBRID, delta=DELTA)
    s.ask("n0", value=1)
    s.run(0.05)
    s.crash("n0")
    s.restart("n0", wiped=True)
    s.ask("n0", value=2, key="y", session=2)
    s.run(1.0)
    assert values_of(s) == [1] * 3
    assert values_of(s, "y") == [2] * 3


def test_a_retried_write_is_answered_again_and_made_once() -> None:
    from sim.protocols.client import Request
    from sim.protocols.command import Command

    bench = Bench(MultiPrimaryNode, settings=MultiPrimary())
    ask = Request(Command(1, 1, "increment", "x", 5))
    first = bench.deliver("c", ask)
    again = bench.deliver("c", ask)
    assert [type(m).__name__ for _, m in first] == ["Update", "Update", "Reply"]
    assert again == first[2:]
    bench.restart()
    assert bench.deliver("c", ask) == again
    assert bench.node.look_up("x") == 5
    bench.deliver("c", Request(Command(1, 2, "increment", "x", 5)))
    assert bench.deliver("c", ask) == []  # a late copy of what is long answered


def test_a_replica_that_is_asked_for_missing_writes_asks_back_for_its_own_missing_ones() -> None:
    from sim.protocols.client import Request
    from sim.protocols.command import Command

    bench = Bench(MultiPrimaryNode, settings=MultiPrimary())
    bench.deliver("c", Request(Command(1, 1, "put", "x", 5)))
    bench.sent.clear()
    theirs = bench.node.seen._replace(vector=(("n1", 1),))
    (_, update), (_, digest) = bench.deliver("n1", Digest(theirs, ask=True))
    assert [key for key, _ in update.versions] == ["x"]
    assert update.seen == bench.node.seen
    assert digest == Digest(bench.node.seen, ask=False)
    assert len(bench.deliver("n1", Digest(theirs, ask=False))) == 1
    assert bench.deliver("n1", Digest(bench.node.seen, ask=True)) == [("n1", Update((), bench.node.seen))]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"resolver": max}, "a resolver needs conflicts=\"siblings\", not 'lww'"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        MultiPrimary(**settings)


def test_siblings_without_a_resolver_have_no_single_value_to_increment() -> None:
    workload = ClosedLoop(mix=Mix({"increment": 1.0}, UniformKeys(1)))
    with pytest.raises(ValueError, match="does not support increment"):
        Scenario(system=SIBLINGS, workload=workload)
    assert Scenario(system=RESOLVED, workload=workload).system.label.endswith("resolver=largest)")


def test_clients_are_spread_over_replicas_that_are_equally_near() -> None:
    scenario = Scenario(
        system=MultiPrimary(nodes=3),
        network=lan(Exponential(0.001)),
        workload=ClosedLoop(clients=6, operations=2),
        duration=2.0,
    )
    nodes = scenario.run(1).operations.groupby("node")["process"].nunique()
    assert nodes.to_dict() == {"n0": 2, "n1": 2, "n2": 2}
