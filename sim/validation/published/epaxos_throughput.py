"""How many times the writes of Multi-Paxos EPaxos serves, none interfering (Moraru et al., SOSP 2013)."""

from __future__ import annotations

from typing import Any

from sim.cluster import Machine
from sim.lab import Scenario
from sim.network import constant
from sim.protocols import EPaxos, MultiPaxos
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.workload import ClosedLoop, HotSpot

__all__ = ["RESULT"]


def ratio(seed: int, *, nodes: int, interference: float) -> Figures:
    """Throughput of EPaxos / that of Multi-Paxos; a core takes 100 us a message, 60 clients write."""
    served = [
        _throughput(system, interference, seed) for system in (EPaxos(nodes=nodes), MultiPaxos(nodes=nodes))
    ]
    return {"ratio": served[0] / served[1]}


def _throughput(system: Any, interference: float, seed: int) -> float:
    run = Scenario(
        system=system,
        network=constant(0.0002),
        workload=ClosedLoop(clients=60, reads=0.0, keys=HotSpot(1_000_000, 1e-6, interference)),
        machines=Machine(per_message=100e-6),
        duration=0.4,
        warmup=0.2,
    ).run(seed)
    return float(run.summary()["throughput"])


def by_counting(*, nodes: int, interference: float) -> Figures:
    """Messages of the busiest replica a write: n for a leader, (3 n - 2) / n for a replica of EPaxos."""
    return {"ratio": nodes**2 / (3 * nodes - 2)}


def _case(nodes: int, published: float) -> Case:
    return Case(
        name=f"{nodes} replicas",
        settings={"nodes": nodes},
        published={"ratio": published},
        samples=3,
        tolerance=0.03,
        published_tolerance=0.05,
        fast=nodes == 3,
    )


RESULT = Published(
    name="epaxos_throughput",
    title="EPaxos' throughput, in times that of Multi-Paxos",
    source="Moraru, Andersen, Kaminsky, SOSP 2013, section 7.2",
    certainty="Recalled: 1.32 and 1.88 times at 0 % interference.",
    setup=(
        "A message costs a core 100 us, and nothing else costs anything; 60 clients write in a closed "
        "loop, all different "
        "keys. The machines of the paper are not known: only ratios are compared."
    ),
    unit="ratio",
    measure=ratio,
    expect=by_counting,
    expected_by="counting the messages of the busiest replica, n^2 / (3n - 2), exactly.",
    settings={"interference": 0.0},
    cases=(_case(3, 1.32), _case(5, 1.88)),
    perturbations=(
        Perturbation(what="all commands interfere", off={"interference": 1.0}, cases=("5 replicas",)),
        Perturbation(what="there are five replicas", off={"nodes": 5}, cases=("3 replicas",)),
    ),
    tolerance=0.03,
)
