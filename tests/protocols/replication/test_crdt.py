"""Replicas of CRDTs: cost, convergence within a bound after storms, exact counters, and what a changed word does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Scenario
from sim.lab import draw_storm, run_storm
from sim.lab.run import Run
from sim.network import constant
from sim.protocols import Crdt
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.replication.crdt import CrdtNode, GCounter
from sim.protocols.replication.crdt.system import Spread, SpreadAck
from sim.system import Member
from sim.testing import Bench, survive
from sim.workload import ClosedLoop, Mix, UniformKeys
from sim.zoo.multi_primary import CountsEveryDelivery
from tests.budget import likely_first, storms

DELTA = 0.01
MIXES: dict[str, dict[str, float]] = {
    "g-counter": {"get": 1, "increment": 2},
    "pn-counter": {"get": 1, "increment": 2},
    "lww-register": {"get": 1, "put": 2},
    "mv-register": {"get": 1, "put": 2},
    "or-set": {"get": 2, "add": 2, "remove": 1},
    "or-map": {"get": 1, "put": 2, "delete": 1},
}


# Costs


@pytest.mark.parametrize("sync", ["state", "delta"])
def test_an_update_and_a_read_cost_2_delays(sync: Any) -> None:
    scenario = Scenario(
        system=Crdt(nodes=3, sync=sync),
        network=constant(DELTA),
        workload=ClosedLoop(clients=2, operations=20, mix=Mix(MIXES["pn-counter"], UniformKeys(3))),
        duration=3.0,
    )
    assert scenario.run(1).operations["latency"].to_numpy() == pytest.approx(2 * DELTA)


@pytest.mark.parametrize("nodes", [2, 3, 5])
def test_a_delta_is_sent_once_to_all_and_passed_on_to_all_but_its_sender(nodes: int) -> None:
    """n - 1 messages from where it was made; each other replica passes it on to the n - 2 that it did not come from."""
    scenario = Scenario(
        system=Crdt(nodes=nodes, kind="or-set"),
        network=constant(DELTA),
        workload=ClosedLoop(clients=1, operations=1, mix=Mix({"add": 1.0}, UniformKeys(1)), start=1.0),
        duration=3.0,
        trace=True,
    )
    sent = scenario.run(1).messages
    sent = sent[sent["sent"] >= 1.0]
    expected = (nodes - 1) + (nodes - 1) * (nodes - 2)
    assert sent["kind"].value_counts().to_dict() == {
        "Request": 1,
        "Reply": 1,
        "Spread": expected,
        "SpreadAck": expected,
    }


@pytest.mark.parametrize("kind", MIXES)
@pytest.mark.parametrize("sync", ["state", "delta"])
def test_replicas_agree_one_round_and_one_delay_after_healing(stage: Any, kind: Any, sync: Any) -> None:
    system = Crdt(nodes=4, kind=kind, sync=sync)
    s = stage(system, delta=DELTA)
    s.run(1.0)
    for i, name in enumerate(system.names):
        s.isolate([name], system.names[i + 1 :])
    what = {"lww-register": "put", "mv-register": "put", "or-set": "add", "or-map": "put"}.get(
        kind, "increment"
    )
    for i, name in enumerate(system.names):
        s.ask(name, what, value=i + 1, session=i)
    s.run(1.0)
    s.heal()
    s.run(system.spread_every + DELTA + 1e-9)
    values = list(system.replica_values({name: s.node(name) for name in system.names}).values())
    assert all(held == values[0] for held in values)
    shown = s.node("n2").look_up(Command(9, 1, "get", "x"))
    assert shown == {"g-counter": 10, "pn-counter": 10, "lww-register": 4}.get(kind, (1, 2, 3, 4))


# Storms


def stormy(system: Crdt, seed: int, length: float) -> Scenario:
    """A storm with the operations of the kind."""
    drawn = draw_storm(system, seed, length=length)
    mix = Mix(MIXES[system.kind], UniformKeys(3))
    return dataclasses.replace(drawn, workload=dataclasses.replace(drawn.workload, mix=mix))


def storm(system: Crdt, seed: int, length: float = 2.0, *, check: bool = True) -> Run:
    """A storm; then calm, and a bounded time to converge. ``check=False``: no invariant is asked."""
    scenario = dataclasses.replace(stormy(system, seed, length), check=check)
    return run_storm(scenario, seed)


def endure(system: Crdt, seed: int, length: float) -> None:
    counts = system.kind.endswith("counter")
    run = survive(system, seed, scenario=stormy(system, seed, length), may_lose=not counts)
    assert not counts or too_much(run) == 0


def too_much(run: Run) -> int:
    """By how much counters exceed the increments that may have happened."""
    assert run.final is not None
    excess = 0
    writes = run.operations[run.operations["kind"] == "increment"]
    for key, mine in writes.groupby("key"):
        held = next(iter(run.final.values()))  # n0 may be gone for good
        value = held[str(key)].value if str(key) in held else 0
        assert value >= (mine["status"] == "ok").sum()
        excess += max(0, value - mine["status"].isin(["ok", "info"]).sum())
    return excess


@storms(3, 1.5, longer=2.5, seeds=range(1000))
@pytest.mark.parametrize("sync", ["state", "delta"])
@pytest.mark.parametrize("kind", MIXES)
def test_replicas_agree_after_storms(kind: Any, sync: Any, seeds: range, length: float) -> None:
    for seed in seeds:
        endure(Crdt(nodes=3 + seed % 3, kind=kind, sync=sync), seed, length)


# Restarts


def test_after_a_restart_the_whole_state_is_sent_and_old_acknowledgements_are_ignored() -> None:
    """Numbers of deltas are on disk: an acknowledgement of before the crash says nothing of what came after it."""
    bench = Bench(CrdtNode, members=("n0", "n1"), settings=Crdt(kind="or-set"))
    for n in range(3):
        bench.deliver("c", Request(Command(1, n + 1, "add", "x", n)))
    ((_, first),) = bench.fire("spread")
    assert (first.upto, first.states[0][1].value) == (3, (0, 1, 2))
    bench.deliver("n1", SpreadAck("n1", 3))
    assert bench.fire("spread") == []
    bench.restart()
    assert (bench.node.count, bench.node.deltas) == (3, {})
    bench.deliver("n1", SpreadAck("n1", 2))  # was long under way
    bench.deliver("c", Request(Command(1, 4, "add", "x", 3)))
    ((_, again),) = bench.fire("spread")
    assert (again.upto, again.states[0][1].value) == (4, (0, 1, 2, 3))
    bench.deliver("n1", SpreadAck("n1", 3))  # so was this
    ((_, more),) = bench.fire("spread")
    assert (more.upto, more.states[0][1].value) == (4, (3,))


class VolatileCount(CrdtNode):
    """Numbers deltas from 0 again after a crash."""

    def on_start(self) -> None:
        super().on_start()
        self.__dict__["count"] = 0


def test_with_numbers_in_memory_an_old_acknowledgement_blocks_an_update_forever() -> None:
    bench = Bench(VolatileCount, members=("n0", "n1"), settings=Crdt(kind="or-set"))
    for n in range(3):
        bench.deliver("c", Request(Command(1, n + 1, "add", "x", n)))
    bench.restart()
    bench.deliver("c", Request(Command(1, 4, "add", "x", 3)))
    bench.deliver("n1", SpreadAck("n1", 3))
    assert bench.fire("spread") == bench.fire("spread") == []


def test_only_what_is_not_acknowledged_is_sent_and_what_everyone_has_is_forgotten() -> None:
    bench = Bench(CrdtNode, members=("n0", "n1", "n2"), settings=Crdt(kind="or-set"))
    bench.deliver("c", Request(Command(1, 1, "add", "x", "a")))
    bench.fire("spread")
    bench.deliver("n1", SpreadAck("n1", 1))
    bench.deliver("c", Request(Command(1, 2, "add", "x", "b")))
    sent = dict(bench.fire("spread"))
    assert sent["n1"].states[0][1].value == ("b",)
    assert sent["n2"].states[0][1].value == ("a", "b")
    assert list(bench.node.deltas) == [0, 1]
    bench.deliver("n2", SpreadAck("n2", 2))
    assert list(bench.node.deltas) == [1]


def test_a_peer_that_lost_its_disk_is_sent_everything_again() -> None:
    bench = Bench(CrdtNode, members=("n0", "n1"), settings=Crdt(kind="or-set"))
    bench.deliver("c", Request(Command(1, 1, "add", "x", "a")))
    bench.fire("spread")
    bench.deliver("n1", SpreadAck("n1", 1))
    bench.deliver("n1", Spread("n1.1", 0, ()))
    bench.deliver("n1", SpreadAck("n1", 1))  # of its earlier incarnation
    ((_, sent),) = bench.fire("spread")
    assert sent.states[0][1].value == ("a",)


def test_replicas_that_lost_their_disks_agree_again(stage: Any) -> None:
    system = Crdt(kind="g-counter")
    s = stage(system, delta=DELTA)
    for name in system.names:
        s.ask(name, "increment", value=5, session=int(name[1]))
    s.run(1.0)
    s.crash("n1")
    s.restart("n1", wiped=True)
    s.ask("n1", "increment", value=1, session=7)
    s.run(1.0)
    assert [s.node(name).state_of("x").value for name in system.names] == [16] * 3


# Mutants


@pytest.mark.parametrize(("node_class", "counted"), [(CrdtNode, 5), (CountsEveryDelivery, 10)])
def test_mm3_a_message_that_is_delivered_twice_counts_once(node_class: type[CrdtNode], counted: int) -> None:
    bench = Bench(node_class, settings=Crdt(kind="g-counter"))
    for _ in range(2):
        bench.deliver("n1", Spread("n1", 1, (("x", GCounter((("n1", 5),))),)))
    assert bench.node.state_of("x").value == counted


class ForgetsRequests(CrdtNode):
    """MM3: a retried update counts again."""

    def on_request(self, src: str, msg: Any) -> None:
        self.done.pop(msg.command.session, None)
        super().on_request(src, msg)


class Volatile(CrdtNode):
    """States in memory only."""

    def on_start(self) -> None:
        super().on_start()
        self.__dict__["states"] = dict(self.states)


class OneAckIsEnough(CrdtNode):
    """Believes that everyone has what one peer has acknowledged."""

    def on_spread_ack(self, src: str, msg: Any) -> None:
        for peer in self.peers:
            if self.acked[peer] is not None:
                self.acked[peer] = max(self.acked[peer] or 0, msg.upto)
        super().on_spread_ack(src, msg)


class Anonymous(CrdtNode):
    """Timestamps of whole seconds that do not say whose they are."""

    def update(self, command: Any) -> Any:
        delta = super().update(command)
        return delta._replace(stamp=(type(self.clock)(float(int(self.now)), 0), ""))


class KeepsOwn(CrdtNode):
    """Takes in from others only what it has nothing of."""

    def absorb(self, key: str, delta: Any, src: str) -> None:
        if src == self.name or key not in self.states:
            super().absorb(key, delta, src)


class SharedActor(CrdtNode):
    """All replicas write under one name."""

    def on_start(self) -> None:
        super().on_start()
        self.actor = "everyone"


class RemovesAll(CrdtNode):
    """A remove says that it has seen, and does not hold, all elements: replicas agree on the empty set."""

    def update(self, command: Any) -> Any:
        if command.kind in ("remove", "delete"):
            state = self.state_of(self.object_of(command))
            return type(state)((), state.context)
        return super().update(command)


class LastArrivalWins(CrdtNode):
    """What arrives replaces what is there."""

    def absorb(self, key: str, delta: Any, src: str) -> None:
        if src == self.name:
            super().absorb(key, delta, src)
        elif delta != self.state_of(key):
            self.states[key] = delta


class CountsOneMore(CrdtNode):
    """An increment adds 1 more than the client said."""

    def update(self, command: Any) -> Any:
        return self.state_of(command.key).increment(self.actor, command.value + 1)


def broken(node_class: type[CrdtNode], kind: Any, sync: Any) -> Crdt:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Broken(Crdt):
        def members(self) -> tuple[Member, ...]:
            return tuple(Member(name, node_class) for name in self.names)

    return Broken(kind=kind, sync=sync)


MUTANTS: list[tuple[type[CrdtNode], str, str, str]] = [
    (CountsEveryDelivery, "g-counter", "delta", "an update does what its type says"),
    (ForgetsRequests, "pn-counter", "state", "counts too much"),
    (Volatile, "pn-counter", "delta", "durable before send"),
    (Volatile, "or-set", "state", "durable before send"),
    (OneAckIsEnough, "or-set", "delta", "no gaps before a delta"),
    (OneAckIsEnough, "g-counter", "delta", "convergence after healing"),
    (KeepsOwn, "mv-register", "state", "a join drops only what one side has removed"),
    (Anonymous, "lww-register", "state", "one update per dot"),
    (SharedActor, "mv-register", "delta", "one update per dot"),
    (SharedActor, "g-counter", "state", "durable before send"),
    (RemovesAll, "or-set", "delta", "an update does what its type says"),
    (RemovesAll, "or-map", "state", "an update does what its type says"),
    (CountsOneMore, "pn-counter", "delta", "an update does what its type says"),
    (LastArrivalWins, "or-set", "state", "a join drops only what one side has removed"),
    (LastArrivalWins, "mv-register", "delta", "a join drops only what one side has removed"),
    (LastArrivalWins, "lww-register", "state", "a join drops only what one side has removed"),
]


@pytest.mark.parametrize(
    ("mutant", "kind", "sync", "invariant"), MUTANTS, ids=lambda v: getattr(v, "__name__", v)
)
def test_a_mutant_is_caught(mutant: type[CrdtNode], kind: str, sync: str, invariant: str) -> None:
    found: list[str] = []
    for seed in likely_first(range(40), 0, 20):
        run = storm(broken(mutant, kind, sync), seed)
        if run.violation is not None:
            found.append(run.violation.invariant)
        elif run.acknowledged_lost:
            found.append("increments lost")
        elif kind.endswith("counter") and too_much(run):
            found.append("counts too much")
        if invariant in found:
            return
    pytest.fail(f"not caught by {invariant!r}; by {found}")


SOME = range(4)


def test_increments_that_one_actor_for_all_loses_are_counted() -> None:
    """Without invariants, which see it sooner: replicas of one name take each other's counts for their own."""
    lost = [
        storm(broken(SharedActor, "g-counter", "state"), seed, check=False).acknowledged_lost for seed in SOME
    ]
    assert any(lost), lost
    sound = [
        storm(Crdt(kind="g-counter", sync="state"), seed, check=False).acknowledged_lost for seed in SOME
    ]
    assert not any(sound), sound


# Settings


def test_an_operation_that_the_type_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="does not support put"):
        Scenario(system=Crdt(kind="or-set"), workload=ClosedLoop(reads=0.5))
