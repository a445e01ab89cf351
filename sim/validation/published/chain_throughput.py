"""Throughput of chain, primary-backup and weak replication (van Renesse and Schneider, OSDI 2004, figure 4)."""

from __future__ import annotations

from dataclasses import dataclass

from sim.lab import Scenario
from sim.network import constant
from sim.node import Node
from sim.protocols import ChainReplication, PrimaryBackup
from sim.protocols.client import Client, Retry
from sim.protocols.command import Command
from sim.protocols.kv import READS
from sim.protocols.replication.service_times import ServiceTimes
from sim.system import System
from sim.validation.form import Case, Perturbation, Published
from sim.workload import ClosedLoop, Mix, UniformKeys

__all__ = ["RESULT"]

UPDATES = (0, 3, 9, 18, 30, 48)  # per cent
MARKERS = {
    ("chain", 3): (199.7, 183.0, 157.1, 110.7, 65.7, 41.8),
    ("p/b", 3): (199.7, 156.6, 111.3, 76.1, 53.8, 37.4),
    ("weak", 2): (391.8, 254.7, 148.4, 90.4, 60.2, 39.6),
    ("weak", 3): (573.1, 318.7, 164.8, 96.4, 61.3, 40.1),
    ("weak", 10): (None, 500.5, 198.9, 106.0, 65.7, 40.9),
}
"""(Kind, servers) -> operations a second, read from the vector graphics to within 0.3."""


class RandomReader(Client):
    """Sends each query to a server drawn at random, as the clients of *weak* do."""

    def target(self, command: Command, attempt: int) -> str:
        if command.kind in READS:
            return self.random.choice(self.settings.contacts)
        return super().target(command, attempt)

    def learn(self, src: str, msg: object) -> None:
        if self.pending[msg.session].command.kind not in READS:  # type: ignore[attr-defined]
            self.leader = src


@dataclass(frozen=True, kw_only=True)
class Weak(PrimaryBackup):
    """Updates at the primary, queries anywhere."""

    @property
    def client_class(self) -> type[Node]:
        return RandomReader


def system_of(kind: str, servers: int, costs: ServiceTimes) -> System:
    """The system behind a curve. Nothing fails, so heartbeats are rare: the paper has none."""
    quiet = {"heartbeat": 50.0, "detection": 5000.0}
    if kind == "chain":
        return ChainReplication(nodes=servers, costs=costs, **quiet)  # type: ignore[arg-type]
    if kind == "p/b":
        return PrimaryBackup(nodes=servers, mode="sync", reads="lease", costs=costs, **quiet)  # type: ignore[arg-type]
    return Weak(nodes=servers, mode="async", reads="backup", costs=costs, **quiet)  # type: ignore[arg-type]


def throughput(seed: int, *, kind: str, servers: int, updates: float, stretch: float) -> float:
    """Operations a second in the steady state of 60 s, with a share of ``updates``."""
    costs = ServiceTimes(query=0.005 * stretch, update=0.050 * stretch, apply=0.020 * stretch)
    mix = (("get", 1.0 - updates), ("put", updates)) if updates else (("get", 1.0),)
    run = Scenario(
        system=system_of(kind, servers, costs),
        network=constant(0.001),
        workload=ClosedLoop(clients=25, mix=Mix(mix, UniformKeys(1000))),
        retry=Retry(timeout=60.0),  # 25 updates of 50 ms may be queued: nobody asks twice
        duration=65.0,
        warmup=5.0,
    ).run(seed)
    return float(run.operations["returned"].between(5.0, 65.0).sum()) / 60.0


def _case(kind: str, servers: int, percent: int, published: float) -> Case:
    return Case(
        name=f"{kind}, {servers} servers, {percent} % updates",
        settings={"kind": kind, "servers": servers, "updates": percent / 100},
        published={"throughput": published},
        samples=2 if percent == 0 else 6,
        tolerance=0.08,
        fast=percent == 48 and servers == 3,
        x=float(percent),
        series=f"{kind}, {servers} servers",
    )


RESULT = Published(
    name="chain_throughput",
    title="Throughput of chain replication and primary-backup",
    source="van Renesse and Schneider, Chain Replication, OSDI 2004, figure 4",
    certainty="Read: markers digitised from the vector graphics.",
    setup=(
        "25 clients with one request outstanding; messages take 1 ms; a query costs a server 5 ms, an "
        "update 50 ms where "
        "it is computed and 20 ms where its outcome is applied. *Weak* answers queries at any server and "
        "updates when "
        "the primary has them. Heartbeats are rare and clients patient: the paper has neither failures nor "
        "retries here."
    ),
    unit="operations / s",
    measure=throughput,
    settings={"stretch": 1.0},
    cases=[
        _case(kind, servers, percent, said)
        for (kind, servers), markers in MARKERS.items()
        for percent, said in zip(UPDATES, markers, strict=True)
        if said is not None
    ],
    perturbations=(Perturbation(what="servers take 16 % longer", scale={"stretch": 1.16}),),
    tolerance=0.08,
    axis="updates (%)",
    log="y",
)
