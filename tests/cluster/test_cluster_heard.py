"""Invariants hear of a message when its node lets go of it, not when a core, a card or a cut stream passes it on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest

from sim.cluster import Cluster, Machine
from sim.distributions import Constant
from sim.lab import draw_storm, run_storm
from sim.message import message
from sim.network import Topology, constant, lan
from sim.node import Node
from sim.protocols import Mencius, Paxos, PrimaryBackup
from sim.system import Invariant, Member, System


@message
class Said:
    number: int


class Counting(Node):
    """Says what its count is, and goes on at once."""

    def on_start(self) -> None:
        self.count = 0
        self.heard: list[int] = []
        if self.name == "n0":
            self.set_timer("count", 0.010)

    def on_count_timeout(self) -> None:
        self.send("n1", Said(self.count))
        self.set_timer("go_on", 0.001)

    def on_go_on_timeout(self) -> None:
        self.count += 1

    def on_said(self, src: str, msg: Said) -> None:
        self.heard.append(msg.number)


@dataclass
class SaidAtOnce(Invariant):
    """A node's message is consistent with its state when invariants see the message."""

    node: Any = None
    times: list[float] = field(default_factory=list)

    def on_step(self, node: Node) -> None:
        self.node = node if node.name == "n0" else self.node

    def on_send(self, src: str, dst: str, message: Any) -> None:
        if isinstance(message, Said):
            self.times.append(self.now())
            assert self.node.count == message.number


@pytest.mark.parametrize(
    ("machine", "network", "arrival"),
    [
        (Machine(), constant(0.005), 0.015),
        (Machine(per_send=0.1), constant(0.005), 0.115),
        (Machine(nic=500.0), constant(0.005), None),
        (Machine(), lan(Constant(0.005), transport="stream"), 0.505),
    ],
    ids=["free", "cores", "card", "stream"],
)
def test_invariants_see_a_message_once_and_when_it_is_sent(
    machine: Machine, network: Topology, arrival: float | None
) -> None:
    cluster = Cluster(network, 0, checking=True)
    heard = SaidAtOnce()
    for name in ("n0", "n1"):
        cluster.add(Member(name, Counting), place=network.regions[0], profile=machine)
    cluster.watch([heard])
    cluster.boot()
    if arrival == 0.505:
        cluster.network.cut([("n0", "n1")])
        cluster.env.run(until=0.5)
        cluster.network.heal([("n0", "n1")])
    if arrival is not None:
        cluster.env.run(until=arrival - 0.0005)
        assert cluster.nodes["n1"].heard == []  # type: ignore[attr-defined]
        cluster.env.run(until=arrival + 0.0005)
    cluster.env.run(until=2.0)
    assert heard.times == [pytest.approx(0.010)]
    assert cluster.nodes["n1"].heard == [0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("system", "seed"),
    [
        (PrimaryBackup(mode="async"), 1),
        (Mencius(), 0),
        (Paxos(), 0),
    ],
    ids=lambda value: getattr(value, "label", value),
)
def test_no_invariant_accuses_a_system_whose_cores_are_busy_sending(system: System, seed: int) -> None:
    drawn = draw_storm(system, seed, length=3.0)
    assert isinstance(drawn.machines, dict)
    busy = {
        name: dataclasses.replace(machine, per_send=(0.0005, 0.003)[seed % 2])
        for name, machine in drawn.machines.items()
    }
    run = run_storm(dataclasses.replace(drawn, machines=busy), seed)
    assert run.violation is None, run.violation
