"""Latency in message delays of protocols without failures (SwiftPaxos, NSDI 2024, table 1)."""

from __future__ import annotations

from typing import Any

from sim.lab import Scenario
from sim.network import constant
from sim.protocols import EPaxosStar, Mencius, MultiPaxos
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.workload import ClosedLoop, UniformKeys

__all__ = ["RESULT"]

DELAY = 0.010


def longest(seed: int, *, system: Any, beside: bool, delay: float) -> Figures:
    """The longest latency of writes one after the other, by one client at each replica in turn, in "
    "message delays."""
    found = 0.0
    for replica in range(system.nodes):
        run = Scenario(
            system=system,
            network=constant(delay),
            workload=ClosedLoop(
                clients={f"n{replica}": 1} if beside else 1,
                think=20 * DELAY,
                operations=6,
                reads=0.0,
                keys=UniformKeys(1_000_000),
            ),
            duration=6.0,
        ).run(seed)
        assert (run.operations["status"] == "ok").all()
        found = max(found, float(run.operations["latency"].iloc[2:].max()) / DELAY)
        if not beside:
            break
    return {"delays": found}


RESULT = Published(
    name="message_delays",
    title="Latency in message delays",
    source="Ryabinin, Gotsman, Sutra, SwiftPaxos, NSDI 2024, table 1",
    certainty="Read at second hand, in notes on the paper that copy the table.",
    setup=(
        "Three replicas, constant delays, one write after the other; the longest latency until the client "
        "has its answer. "
        "*Beside*: the client is at a replica (at each in turn). Otherwise it is one delay away, which the "
        "table writes "
        "as +1: one delay to its replica, and one back are counted together with the protocol's own."
    ),
    unit="message delays",
    measure=longest,
    settings={"delay": DELAY},
    cases=(
        Case(
            name="Multi-Paxos, client away",
            settings={"system": MultiPaxos(nodes=3), "beside": False},
            published={"delays": 4.0},
            fast=True,
        ),
        Case(
            name="Mencius, client beside",
            settings={"system": Mencius(nodes=3), "beside": True},
            published={"delays": 2.0},
            fast=True,
        ),
        Case(
            name="EPaxos, client beside",
            settings={"system": EPaxosStar(nodes=3), "beside": True},
            published={"delays": 2.0},
            fast=True,
        ),
    ),
    perturbations=(Perturbation(what="messages take 2 % longer", scale={"delay": 1.02}),),
    tolerance=0.01,
    deterministic=True,
)
