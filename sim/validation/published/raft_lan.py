"""Raft's election times measured on a LAN (Ongaro and Ousterhout, ATC 2014, figure 16)."""

from __future__ import annotations

import numpy as np

from sim.cluster import Disk, Machine
from sim.distributions import Constant, Uniform
from sim.kernel import Streams
from sim.validation.elections import ElectionSetup, elect
from sim.validation.form import Case, Figures, Perturbation, Published

__all__ = ["RESULT"]

ELECTIONS = 1000
ONE_WAY = 0.0015


def times(seed: int, *, shortest: float, longest: float, sync: float, stretch: float) -> Figures:
    """Milliseconds from the crash of the leader to the first heartbeat of the next at the followers."""
    offset = Streams(seed)["crash"]
    setup = ElectionSetup(
        servers=5,
        up=4,
        latency=Constant(ONE_WAY * stretch),
        timeouts=(shortest * stretch, longest * stretch),
        logs=(2, 2, 1, 1),
        machine=Machine(disk=Disk(fsync=Uniform((sync - 0.001) * stretch, (sync + 0.001) * stretch))),
    )
    found = [
        1000
        * (
            elect(setup, seed * ELECTIONS + i).at
            + ONE_WAY * stretch
            - offset.uniform(0.0, shortest * stretch / 2)
        )
        for i in range(ELECTIONS)
    ]
    return {"mean": float(np.mean(found)), "median": float(np.median(found)), "worst of 1,000": max(found)}


def _case(shortest: float, longest: float, **published: float) -> Case:
    figures = {name.replace("worst", "worst of 1,000"): value for name, value in published.items()}
    return Case(
        name=f"{1000 * shortest:g}-{1000 * longest:g} ms",
        settings={"shortest": shortest, "longest": longest},
        published=figures,
        samples=3,
        tolerance={"worst of 1,000": 0.4},
    )


RESULT = Published(
    name="raft_lan",
    title="Raft: elections measured on a LAN",
    source=(
        "Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm, ATC 2014, figure "
        "16 and text"
    ),
    certainty="Read in the text. The parts of the 15 ms for a broadcast and its answers are not published.",
    setup=(
        "Five servers, the leader crashes within a heartbeat interval (half the shortest timeout), two of "
        "the four others "
        "have shorter logs and cannot win. A message takes 1.5 ms, and a sync of vote or term 5 to 7 ms at "
        "the candidate "
        "and at the voter, which makes 15 ms."
    ),
    unit="ms",
    measure=times,
    settings={"sync": 0.006, "stretch": 1.0},
    cases=(
        _case(0.150, 0.155, median=287.0),
        _case(0.150, 0.200, worst=513.0),
        _case(0.012, 0.024, mean=35.0, worst=152.0),
    ),
    perturbations=(
        Perturbation(what="all takes 24 % longer", scale={"stretch": 1.24}, figures=("mean", "median")),
        Perturbation(what="all takes 80 % longer", scale={"stretch": 1.8}, figures=("worst of 1,000",)),
    ),
    tolerance=0.12,
)
