"""Reads and writes of Raft with LeaseGuard over slow networks (Davis, Demirbas, Deng, SIGMOD 2026)."""

from __future__ import annotations

from typing import Any

from sim.cluster import Disk, Machine
from sim.lab import Scenario
from sim.network import constant
from sim.protocols import Raft
from sim.validation.form import SHOWN, Case, Figures, Perturbation, Published
from sim.workload import OpenLoop, UniformKeys

__all__ = ["RESULT"]

LOG_WRITE = 0.25
"""Milliseconds of a write to the log."""
PUBLISHED = {
    1: (0.0, 2.26, 3.65),
    2: (0.0, 4.27, 5.53),
    5: (0.0, 10.27, 11.65),
    8: (0.0, 16.29, 17.53),
    10: (0.0, 20.29, 21.591),
}
"""One-way delay (ms) -> p90 of reads and writes under a lease, and of quorum reads."""


def latencies(seed: int, *, one_way: float, lease_reads: Any) -> Figures:
    """The p90 (ms) of clients beside the leader."""
    leased = operations(
        seed, one_way, Raft(nodes=3, reads=lease_reads, lease=1.0 if lease_reads == "leaseguard" else None)
    )
    by_quorum = operations(seed, one_way, Raft(nodes=3, reads="index"))
    return {
        "lease read": p90(leased, "get"),
        "lease write": p90(leased, "put"),
        "quorum read": p90(by_quorum, "get"),
    }


def operations(seed: int, one_way: float, system: Raft) -> Any:
    """The operations of a run: a third of them are writes, as in the paper; 1,000 keys."""
    return (
        Scenario(
            system=system,
            network=constant(one_way / 1000),
            workload=OpenLoop(clients={"n0": 10}, rate=400.0, keys=UniformKeys(1000), reads=2 / 3),
            machines=Machine(disk=Disk(fsync=LOG_WRITE / 1000)),
            duration=3.0,
            warmup=1.0,
        )
        .run(seed)
        .operations
    )


def p90(rows: Any, kind: str) -> float:
    """The p90 (ms) of the operations of a kind, after the first second."""
    return 1000 * float(rows.loc[(rows["kind"] == kind) & (rows["called"] > 1.0), "latency"].quantile(0.9))


def by_delays(*, one_way: float, lease_reads: Any) -> Figures:
    """No message; a round trip and a log write; a round trip."""
    return {"lease read": 0.0, "lease write": 2 * one_way + LOG_WRITE, "quorum read": 2 * one_way}


RESULT = Published(
    name="leaseguard_latency",
    title="LeaseGuard: reads by lease take no time, writes a round trip",
    source="Davis, Demirbas, Deng, LeaseGuard, SIGMOD 2026 (arXiv 2512.15659); the authors' simulation, "
    "metrics/network_latency_experiment.csv",
    certainty="Read in the CSV.",
    setup=(
        "Three servers, constant one-way delays, 0.25 ms for each write to the log, clients beside the leader, every "
        "third operation a write, no failures. The authors' delays vary a little, ours do not."
    ),
    unit="ms, p90",
    measure=latencies,
    expect=by_delays,
    expected_by="message delays and log writes, exactly.",
    settings={"lease_reads": "leaseguard"},
    cases=tuple(
        Case(
            name=f"{delay} ms one way",
            settings={"one_way": float(delay)},
            published={"lease read": read, "lease write": write, "quorum read": quorum},
            published_tolerance={"quorum read": SHOWN},
            why="A quorum read of the authors writes a no-op to the log and contends with the writes for it (they name "
            "that as its cost); ours is ReadIndex, a round of heartbeats.",
            fast=delay in (1, 10),
            x=float(delay),
        )
        for delay, (read, write, quorum) in PUBLISHED.items()
    ),
    perturbations=(
        Perturbation(
            what="messages take 3 % longer", scale={"one_way": 1.03}, figures=("lease write", "quorum read")
        ),
        Perturbation(what="reads by ReadIndex", off={"lease_reads": "index"}, figures=("lease read",)),
    ),
    tolerance=0.02,
    axis="one-way delay, ms",
    deterministic=True,
)
