"""Raft's election times over a WAN, as the thesis' AvailSim has them (Ongaro 2014, chapter 9)."""

from __future__ import annotations

import numpy as np

from sim.distributions import Uniform
from sim.kernel import Streams
from sim.validation.elections import ElectionSetup, elect
from sim.validation.form import Case, Figures, Perturbation, Published

__all__ = ["RESULT"]

ELECTIONS = 400
SHORTEST, LONGEST = 0.3, 0.6
LEVELS = {"p50": 0.50, "p75": 0.75, "p90": 0.90, "p99": 0.99}
PRINTED = {
    "same logs, none down": (430.0, 409.5, 445.7, 489.2, 833.7),
    "same logs, one down": (468.6, 423.3, 474.1, 563.0, 1006.8),
    "different logs, none down": (492.6, 470.7, 538.8, 613.9, 943.3),
    "different logs, one down": (550.4, 501.9, 599.4, 782.4, 1315.3),
}
"""Mean and percentiles in ms, read from the vector graphics of the thesis."""


def times(seed: int, *, up: int, different: bool, stays: float, stretch: float) -> Figures:
    """Percentiles of the start of the leader that then stays for ``stays`` heartbeats (ms)."""
    order = Streams(seed)["logs"]
    found = []
    for i in range(ELECTIONS):
        logs = tuple(order.sample(range(5), 5)[:up]) if different else ()
        setup = ElectionSetup(
            servers=5,
            up=up,
            latency=Uniform(0.030 * stretch, 0.040 * stretch),
            timeouts=(SHORTEST * stretch, LONGEST * stretch),
            logs=logs,
            stays=stays * SHORTEST / 2,
        )
        found.append(1000 * elect(setup, seed * ELECTIONS + i).at)
    return {"mean": float(np.mean(found)), **{n: float(np.quantile(found, q)) for n, q in LEVELS.items()}}


def _case(name: str) -> Case:
    return Case(
        name=name,
        settings={"up": 4 if name.endswith(", one down") else 5, "different": name.startswith("different")},
        published=dict(zip(("mean", *LEVELS), PRINTED[name], strict=True)),
        samples=4,
        tolerance={"mean": 0.03, "p50": 0.03, "p75": 0.04, "p90": 0.07, "p99": 0.15},
        weak=WEAK.get(name, ()),
    )


WEAK = {  # their standard errors are nearly as large as the tolerance
    "same logs, one down": ("p90", "p99"),
    "different logs, none down": ("p99",),
    "different logs, one down": ("p90", "p99"),
}


RESULT = Published(
    name="raft_availsim",
    title="Raft: election times over a WAN",
    source="Ongaro, Consensus: Bridging Theory and Practice, 2014, chapter 9 (AvailSim)",
    certainty="Read in the vector graphics.",
    setup=(
        "Five servers, 30 to 40 ms one way, election timeouts of 300 to 600 ms, fresh timers, no "
        "processing time; the start "
        "of the leader that then stays for 16 heartbeats of 150 ms. Different logs: a random order of five lengths."
    ),
    unit="ms",
    measure=times,
    settings={"stays": 16.0, "stretch": 1.0},
    cases=[_case(name) for name in PRINTED],
    perturbations=(
        Perturbation(what="all takes 6 % longer", scale={"stretch": 1.06}, figures=("mean", "p50")),
        Perturbation(what="all takes 8 % longer", scale={"stretch": 1.08}, figures=("p75",)),
        Perturbation(what="all takes 14 % longer", scale={"stretch": 1.14}, figures=("p90",)),
        Perturbation(what="all takes 30 % longer", scale={"stretch": 1.3}, figures=("p99",)),
    ),
    tolerance=0.03,
)
