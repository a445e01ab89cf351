"""Commit latencies over five GCP regions, measured round trips (Enes et al., fantoch, EuroSys 2020 and 2021)."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from sim.lab import Scenario
from sim.network import matrix
from sim.protocols import EPaxosStar, MultiPaxos
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.workload import ClosedLoop, UniformKeys

__all__ = ["RESULT"]

SITES = ("europe-west1", "europe-west2", "europe-west3", "europe-west4", "europe-west6")
ROUND_TRIPS = (
    (0, 10.276, 8.094, 7.242, 14.493),
    (10.298, 0, 13.183, 9.709, 19.452),
    (8.082, 13.178, 0, 7.376, 7.496),
    (7.281, 9.709, 7.381, 0, 14.387),
    (14.425, 19.409, 7.514, 14.362, 0),
)
"""Means of pings, ms, from row to column."""

QUORUM = {"leader": 2, "leaderless": 3}


def trip(a: int, b: int) -> float:
    """What a message takes there and back (ms): half of the ping each way."""
    return (ROUND_TRIPS[a][b] + ROUND_TRIPS[b][a]) / 2


def latencies(seed: int, *, leader: str, stretch: float) -> Figures:
    """The mean latency of a write at each site (ms), and the mean over the sites. ``leader``: "" for EPaxos*."""
    system: Any = (
        MultiPaxos(nodes=5, phase1=4, phase2=QUORUM["leader"], record_commits=True)
        if leader
        else EPaxosStar(nodes=5, record_commits=True)
    )
    run = Scenario(
        system=system,
        network=matrix(SITES, [[stretch * ping / 2000 for ping in row] for row in ROUND_TRIPS]),
        workload=ClosedLoop(
            clients={f"n{row}": 1 for row in range(5)}, reads=0.0, keys=UniformKeys(1_000_000)
        ),
        leader=leader or None,
        duration=4.0,
        warmup=1.0,
    ).run(seed)
    if leader:
        rows = run.operations[run.operations["called"] > 1.0]
        means = rows.groupby("region")["latency"].mean() * 1000
        by_site = {site: float(means[site]) for site in SITES}
    else:
        events = run.events[(run.events["event"] == "committed") & (run.events["time"] > 1.0)]
        latency = events["detail"].map(lambda detail: 1000 * detail["latency"]).groupby(events["node"]).mean()
        by_site = {site: float(latency[f"n{row}"]) for row, site in enumerate(SITES)}
    return {**by_site, "mean": fmean(by_site.values())}


def order_statistics(*, leader: str, stretch: float) -> Figures:
    """The q-th nearest, counting oneself; with a leader the way to it, and the q-th nearest of the leader."""

    def nearest(a: int, q: int) -> float:
        return sorted(trip(a, b) for b in range(5))[q - 1]

    if leader:
        at = SITES.index(leader)
        by_site = {site: trip(row, at) + nearest(at, QUORUM["leader"]) for row, site in enumerate(SITES)}
    else:
        by_site = {site: nearest(row, QUORUM["leaderless"]) for row, site in enumerate(SITES)}
    return {**by_site, "mean": fmean(by_site.values())}


def _case(name: str, leader: str, mean: float) -> Case:
    return Case(
        name=name,
        settings={"leader": leader},
        published={**dict.fromkeys(SITES), "mean": mean},
        published_tolerance=0.06,
        fast=True,
    )


RESULT = Published(
    name="gcp_planet",
    title="A second measured planet: five GCP regions",
    source="Enes et al., fantoch (EuroSys 2020 and 2021), tests of fantoch_bote and latency_gcp",
    certainty="Read: the means are asserted by the authors' tests, with decimals of the pings cut off.",
    setup=(
        "A client at each site writes; the network has the measured mean pings, half of them each way. "
        "Without a leader: "
        "EPaxos with quorums of 3, until commitment. With a leader: Multi-Paxos with phase-2 quorums of 2."
    ),
    unit="ms",
    measure=latencies,
    expect=order_statistics,
    expected_by=(
        "order statistics of the round trips, exactly. The authors cut off decimals: up to 1 ms of "
        "14 for two trips."
    ),
    settings={"stretch": 1.0},
    cases=(
        _case("without a leader", "", 9.2),
        _case("leader europe-west1", SITES[0], 14.8),
        _case("leader europe-west2", SITES[1], 19.2),
        _case("leader europe-west3", SITES[2], 14.0),
    ),
    perturbations=(Perturbation(what="messages take 2 % longer", scale={"stretch": 1.02}),),
    tolerance=0.01,
    deterministic=True,
)
