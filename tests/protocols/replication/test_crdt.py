"""Replicas of CRDTs: cost, convergence within a bound after storms, exact counters, and what a changed word does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Scenario
from sim.lab.chaos import chaos_scenario
from sim.network import constant
from sim.protocols import Crdt
from sim.protocols.replication.crdt import CrdtNode, GCounter
from sim.system import Member, SafetyViolation
from sim.workload import ClosedLoop, Mix, Uniform

DELTA = 0.01
MIXES: dict[str, dict[str, float]] = {
    "g-counter": {"get": 1, "increment": 2},
    "pn-counter": {"get": 1, "increment": 2},
    "lww-register": {"get": 1, "put": 2},
    "mv-register": {"get": 1, "put": 2},
    "or-set": {"get": 2, "add": 2, "remove": 1},
    "or-map": {"get": 1, "put": 2, "delete": 1},
}


def test_an_update_and_a_read_cost_2_delays() -> None:
    scenario = Scenario(
        system=Crdt(nodes=3),
        network=constant(DELTA),
        workload=ClosedLoop(clients=2, operations=20, mix=Mix(MIXES["pn-counter"], Uniform(3))),
        duration=3.0,
    )
    assert scenario.run(1).operations["latency"].to_numpy() == pytest.approx(2 * DELTA)


def storm(system: Crdt, seed: int, length: float = 4.0) -> Any:
    """A storm; then calm, and a bounded time to converge."""
    drawn = chaos_scenario(system, seed, storm=length)
    mix = Mix(MIXES[system.kind], Uniform(3))
    scenario = dataclasses.replace(drawn, workload=dataclasses.replace(drawn.workload, mix=mix))
    simulation = scenario.start(seed)
    simulation.run()
    simulation.calm()
    # Clients first: one retry after the other. Then two rounds of spreading, and the network's slowest ways.
    simulation.run(until=simulation.now + 3.0)
    simulation.run(until=simulation.now + 2 * system.spread_every + 2.0)
    return simulation


@pytest.mark.parametrize("sync", ["state", "delta"])
@pytest.mark.parametrize("kind", MIXES)
def test_replicas_are_equal_within_a_bound_after_a_storm(kind: Any, sync: Any) -> None:
    for seed in range(4):
        simulation = storm(Crdt(nodes=3, kind=kind, sync=sync), seed)
        states = [dict(sorted(node.states.items())) for node in simulation.members.values()]
        assert states[0] == states[1] == states[2], f"seed {seed}"
        assert states[0]


@pytest.mark.parametrize("sync", ["state", "delta"])
def test_a_counter_is_the_sum_of_the_acknowledged_increments_and_of_unknown_ones_at_most(sync: Any) -> None:
    for seed in range(6):
        simulation = storm(Crdt(nodes=3, kind="pn-counter", sync=sync), seed)
        simulation.finish()
        operations = simulation.recorder.frame("operations")
        writes = operations[operations["kind"] == "increment"]
        for key, mine in writes.groupby("key"):
            value = simulation.members["n0"].state_of(key).value
            assert (mine["status"] == "ok").sum() <= value <= mine["status"].isin(["ok", "info"]).sum()
        assert simulation.acknowledged_lost() == 0


class TwiceCounting(CrdtNode):
    """MM3: an operation-based counter that counts every delivery."""

    def absorb(self, key: str, delta: Any) -> None:
        if isinstance(delta, GCounter):
            before = self.state_of(key)
            counts = dict(before.counts)
            for actor, n in delta.counts:
                counts[actor] = counts.get(actor, 0) + n
            self.states[key] = GCounter(tuple(sorted(counts.items())))
        else:
            super().absorb(key, delta)


class ForgetsRequests(CrdtNode):
    """A retried update counts again."""

    def on_request(self, src: str, msg: Any) -> None:
        self.done.pop(msg.command.session, None)
        super().on_request(src, msg)


class Volatile(CrdtNode):
    """States in memory only."""

    def on_start(self) -> None:
        super().on_start()
        self.states = dict(self.states)  # type: ignore[assignment]


def broken(node_class: type[CrdtNode], kind: Any) -> Crdt:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Broken(Crdt):
        def members(self) -> tuple[Member, ...]:
            return tuple(Member(name, node_class) for name in self.names)

    return Broken(kind=kind)


@pytest.mark.parametrize("mutant", [TwiceCounting, ForgetsRequests])
def test_a_counter_that_counts_twice_is_found_out(mutant: type[CrdtNode]) -> None:
    for seed in range(12):
        try:
            simulation = storm(broken(mutant, "g-counter"), seed)
        except SafetyViolation:
            return
        simulation.finish()
        operations = simulation.recorder.frame("operations")
        for key, mine in operations[operations["kind"] == "increment"].groupby("key"):
            if simulation.members["n0"].state_of(key).value > mine["status"].isin(["ok", "info"]).sum():
                return
    pytest.fail(f"{mutant.__name__} was not found out")


def test_telling_others_what_is_not_on_disk_is_caught() -> None:
    with pytest.raises(SafetyViolation, match="durable before send"):
        storm(broken(Volatile, "pn-counter"), 1)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"nodes": 0}, "nodes must be an integer of at least 1, not 0"),
        ({"kind": "tree"}, "kind must be one of .*, not 'tree'"),
        ({"sync": "never"}, "sync must be 'state' or 'delta', not 'never'"),
        ({"spread_every": 0}, "spread_every must be positive seconds, not 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Crdt(**settings)


def test_an_operation_that_the_type_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="does not support put"):
        Scenario(system=Crdt(kind="or-set"), workload=ClosedLoop(reads=0.5))
