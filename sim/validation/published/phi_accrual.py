"""The phi accrual failure detector: how long after the last heartbeat it suspects (Hayashibara et al., "
"SRDS 2004)."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

from sim.faults import Crash
from sim.lab import Scenario
from sim.network import lan
from sim.protocols import HeartbeatDetectors, PhiAccrual
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.validation.setups import normal
from sim.workload import NoLoad

__all__ = ["RESULT"]

HEARTBEAT, DELAY, JITTER = 0.1, 0.02, 0.003
"""Seconds between heartbeats; mean and deviation of a message's delay."""
CRASH = 80.0


def silence(seed: int, *, phi: float, jitter: float) -> Figures:
    """Milliseconds from the last heartbeat that arrived to the suspicion of the peer that crashed."""
    run = Scenario(
        system=HeartbeatDetectors(
            nodes=2,
            heartbeat=HEARTBEAT,
            detector=PhiAccrual(threshold=phi, window=700, min_std=0.0005),
        ),
        network=lan(normal(DELAY, jitter)),
        workload=NoLoad(),
        faults=[Crash("n0", at=CRASH)],
        duration=CRASH + 2.0,
        trace=True,
    ).run(seed)
    arrived = run.messages[(run.messages["dst"] == "n1") & (run.messages["kind"] == "Heartbeat")]["delivered"]
    suspected = run.events[
        (run.events["event"] == "suspect") & (run.events["node"] == "n1") & (run.events["time"] > CRASH)
    ]
    return {"silence": 1000 * float(suspected["time"].iloc[-1] - arrived.max())}


def normal_quantile(*, phi: float, jitter: float) -> Figures:
    """The time that a normal interval exceeds with a probability of 10^-phi: mu + z sigma."""
    z = -NormalDist().inv_cdf(10.0**-phi)
    return {"silence": 1000 * (HEARTBEAT + z * sqrt(2) * JITTER)}


RESULT = Published(
    name="phi_accrual",
    title="The phi accrual failure detector",
    source="Hayashibara, Defago, Yared, Katayama, SRDS 2004",
    certainty="Derived from the definition; z for phi = 1, 3, 5, 8, 12 is 1.28, 3.09, 4.26, 5.61, 7.03.",
    setup=(
        "Heartbeats every 100 ms, with normal delays (deviation 3 ms): intervals between arrivals have a "
        "deviation of 4.2 ms. "
        "A member crashes after 80 s; the time from its last heartbeat to its suspicion, with a window of "
        "700 intervals."
    ),
    unit="ms",
    measure=silence,
    expect=normal_quantile,
    expected_by="mu + z sigma, exactly.",
    settings={"jitter": JITTER},
    cases=[
        Case(
            name=f"phi = {phi}",
            settings={"phi": float(phi)},
            published={"silence": None},
            samples=6,
            fast=phi == 8,
            x=float(phi),
        )
        for phi in (1, 3, 5, 8, 12)
    ],
    perturbations=(Perturbation(what="delays hardly vary", off={"jitter": 1e-6}),),
    tolerance=0.02,
    axis="phi",
)
