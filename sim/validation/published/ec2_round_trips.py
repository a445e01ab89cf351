"""The round trips between EC2 regions that `wan` gives, and those that were measured (Bailis 2013)."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from sim.cluster import Cluster
from sim.message import message
from sim.network import matrix, wan
from sim.network.topology import Topology
from sim.node import Node
from sim.system import Member
from sim.validation.form import Case, Figures, Perturbation, Published

__all__ = ["RESULT"]

REGIONS = ("virginia", "california", "oregon", "tokyo", "ireland", "singapore", "sydney", "saopaulo")
LEVELS = {"p50": 0.50, "p75": 0.75, "p95": 0.95, "p99": 0.99}
PINGS = 1500
MEASURED = wan(*REGIONS).table


@message
class Echo:
    """A ping, and its answer."""

    number: int


class Pinger(Node):
    """Sends a ping every second to the node ``settings``; notes the round trips in seconds."""

    settings: str

    def on_start(self) -> None:
        self.sent: dict[int, float] = {}
        self.trips: list[float] = []
        self.on_ping_timeout()

    def on_ping_timeout(self) -> None:
        number = len(self.sent)
        self.sent[number] = self.now
        self.send(self.settings, Echo(number))
        if number + 1 < PINGS:
            self.set_timer("ping", 1.0)

    def on_echo(self, src: str, msg: Echo) -> None:
        self.trips.append(self.now - self.sent[msg.number])


class Echoer(Node):
    """Answers pings."""

    def on_echo(self, src: str, msg: Echo) -> None:
        self.send(src, msg)


def pings(seed: int, *, a: str, b: str, stretch: float) -> Figures:
    """Percentiles of round trips (ms)."""
    network: Topology = wan(a, b)
    if stretch != 1.0:
        known = wan(a, b)
        network = matrix((a, b), [[known.latency(x, y).scaled(stretch) for y in (a, b)] for x in (a, b)])
    cluster = Cluster(network, seed)
    cluster.add(Member("far", Echoer), place=b)
    near = cluster.add(Member("near", Pinger), place=a, settings="far")
    cluster.boot()
    cluster.env.run()
    assert len(near.node.trips) == PINGS  # type: ignore[union-attr]
    trips = 1000 * np.array(near.node.trips)  # type: ignore[union-attr]
    return {name: float(np.quantile(trips, level)) for name, level in LEVELS.items()}


def _case(a: str, b: str) -> Case:
    row = MEASURED.between(MEASURED.resolve(a), MEASURED.resolve(b))
    return Case(
        name=f"{a}-{b}",
        settings={"a": a, "b": b},
        published={name: 1000 * value for name, value in zip(LEVELS, row.percentiles, strict=False)},
        samples=5,
        fast=a == "virginia",
        weak=("p99",)
        if (a, b) == ("california", "oregon")
        else (),  # its tail varies more than the tolerance
    )


RESULT = Published(
    name="ec2_round_trips",
    title="Round trips between EC2 regions",
    source="Bailis, Communication Costs in Real-world Networks, 2013",
    certainty="Read (the table comes with the package).",
    setup=(
        "A node pings another one in each pair of eight regions. `wan` draws one-way latencies from "
        "distributions that "
        "were fitted to the percentiles of round trips, both directions merged; the figures are round trips again."
    ),
    unit="ms",
    measure=pings,
    settings={"stretch": 1.0},
    cases=[_case(a, b) for a, b in combinations(REGIONS, 2)],
    perturbations=(Perturbation(what="messages take 20 % longer", scale={"stretch": 1.2}),),
    tolerance=0.1,
)
