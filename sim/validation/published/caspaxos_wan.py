"""Read-modify-write loops over a WAN: a log with a leader far away, and registers without a leader.

Rystsov, CASPaxos, arXiv 1802.07000, 2018.
"""

from __future__ import annotations

from typing import Any

from sim.lab import Scenario
from sim.protocols import CasPaxos, MultiPaxos, Raft
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.validation.setups import between, of_round_trips
from sim.workload import ClosedLoop, Mix, UniformKeys

__all__ = ["RESULT"]

SITES = ("West US 2", "West Central US", "Southeast Asia")
LEADER = SITES[2]
ROUND_TRIPS = {
    "West US 2-West Central US": 21.8,
    "West US 2-Southeast Asia": 169.0,
    "West Central US-Southeast Asia": 189.2,
}
ETCD = dict(zip(SITES, (679.0, 718.0, 339.0), strict=True))
"""What was measured for etcd 3.2.13, in ms."""
GRYADKA = dict(zip(SITES, (47.0, 47.0, 356.0), strict=True))
"""What was measured for Gryadka 1.61.8, which is CASPaxos, in ms."""


def loops(seed: int, *, system: Any, stretch: float) -> Figures:
    """The mean of a read and a write one after the other (ms), by site."""
    return {site: loop(seed, row, system, stretch) for row, site in enumerate(SITES)}


def loop(seed: int, row: int, system: Any, stretch: float) -> float:
    """That mean for the client on one node. Clients have keys of their own, so it is simulated alone, with one key."""
    run = Scenario(
        system=system,
        network=of_round_trips(SITES, ROUND_TRIPS, stretch=stretch),
        workload=ClosedLoop(clients={f"n{row}": 1}, mix=Mix((("get", 1.0), ("put", 1.0)), UniformKeys(1))),
        leader=LEADER,
        duration=45.0,
        warmup=5.0,
    ).run(seed)
    rows = run.operations[(run.operations["called"] > 5.0) & (run.operations["status"] == "ok")]
    means = rows.groupby("kind")["latency"].mean() * 1000
    return float(means["get"] + means["put"])


def by_round_trips(*, system: Any, stretch: float) -> Figures:
    """Two operations: each the way to the leader and back, and the round trip of the leader to its nearest replica.

    With CASPaxos: each the round trip of the site to its nearest one.
    """
    if isinstance(system, CasPaxos):
        return {
            site: 2 * min(between(ROUND_TRIPS, site, other) for other in SITES if other != site)
            for site in SITES
        }
    nearest = min(between(ROUND_TRIPS, LEADER, site) for site in SITES if site != LEADER)
    return {
        site: 2 * ((0.0 if site == LEADER else between(ROUND_TRIPS, LEADER, site)) + nearest)
        for site in SITES
    }


RESULT = Published(
    name="caspaxos_wan",
    title="Read-modify-write over a WAN: CASPaxos' comparison",
    source="Rystsov, CASPaxos, arXiv 1802.07000, 2018, section on latency",
    certainty="Read in the LaTeX source and the raw logs.",
    setup=(
        "Three nodes, a client on each, which reads a value, increments it and writes it back; the published "
        "figures are those that were measured for etcd 3.2.13 with its leader in Southeast Asia, and for Gryadka "
        "1.61.8, which is CASPaxos, over TCP and Redis: its own work is not simulated. The "
        "network has the paper's round trips, constant; nodes and disks take no time; reads go through the log."
    ),
    unit="ms, mean of a loop",
    measure=loops,
    expect=by_round_trips,
    expected_by=(
        "twice the way to the leader and the round trip from there to the nearest replica, exactly; for CASPaxos twice "
        "the round trip to the nearest replica."
    ),
    settings={"stretch": 1.0},
    cases=(
        Case(name="Raft", settings={"system": Raft(nodes=3)}, published=ETCD, fast=True),
        Case(name="Multi-Paxos", settings={"system": MultiPaxos(nodes=3)}, published=ETCD, fast=True),
        Case(
            name="CASPaxos",
            settings={"system": CasPaxos(nodes=3)},
            published=GRYADKA,
            published_tolerance=0.08,
            fast=True,
        ),
    ),
    perturbations=(Perturbation(what="messages take 3 % longer", scale={"stretch": 1.03}),),
    tolerance=0.015,
    deterministic=True,
)
