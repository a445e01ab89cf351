"""SWIM's first detection of a crash (Das, Gupta, Motivala, DSN 2002)."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np

from sim.faults import Crash
from sim.lab import Scenario
from sim.network import constant
from sim.protocols import Swim
from sim.validation.form import Case, Estimate, Figures, Perturbation, Published
from sim.validation.setups import estimate
from sim.workload import NoLoad

__all__ = ["RESULT"]

DOWN, EVERY = 13.0, 20.0  # periods: that nobody looks for 12 of them has a probability of 3e-6
GOLDEN, SILVER = (sqrt(5.0) - 1.0) / 2.0, sqrt(2.0) - 1.0


def first_detection(seed: int, *, members: int, crashes: int, period: float) -> Figures:
    """The mean number of whole periods from a crash to the first ping of the member, in one run of ``crashes``.

    One member after the other crashes, all others are given time to find it, it comes back.
    """
    names = [f"n{i}" for i in range(members)]
    # Crashes and restarts (from which on a member's periods count) at phases that have nothing to do with each other.
    moments = [(i + 0.3) * EVERY + (i * GOLDEN) % 1.0 for i in range(crashes)]
    faults = [
        Crash(names[i % members], at=at, down=DOWN + (i * SILVER) % 1.0) for i, at in enumerate(moments)
    ]
    run = Scenario(
        system=Swim(
            nodes=members, period=period, timeout=0.3, order="random", suspicion=None, k=1, sync_every=None
        ),
        network=constant(1e-6),
        workload=NoLoad(),
        faults=faults,
        duration=(crashes + 1) * EVERY,
    ).run(seed)
    confirmed = run.events[run.events["event"] == "confirm"]
    times = confirmed["time"].to_numpy(dtype=float)
    peers = np.array([detail["peer"] for detail in confirmed["detail"]])
    found = []
    for at, fault in zip(moments, faults, strict=True):
        mine = times[(peers == fault.target) & (times > at) & (times < at + DOWN)]
        # A ping that is not answered is reported at the end of its period, one period after it was sent.
        found.append(float(ceil(mine.min() - 1.0 - at)))
    return {"periods": estimate(found)}


def closed_form(*, members: int, crashes: int, period: float) -> Figures:
    """1 / (1 - (1 - 1/(n-1))^(n-1)), which tends to e / (e - 1)."""
    return {"periods": Estimate(1.0 / (1.0 - (1.0 - 1.0 / (members - 1)) ** (members - 1)))}


def _case(members: int, crashes: int, published: float, tolerance: float) -> Case:
    return Case(
        name=f"{members} members",
        settings={"members": members, "crashes": crashes},
        published={"periods": published},
        tolerance=tolerance,
        fast=members == 10,
        weak=("periods",)
        if members > 10
        else (),  # three standard errors are nearly as large as the tolerance
        x=float(members),
    )


RESULT = Published(
    name="swim_detection",
    title="SWIM: periods until a crash is first detected",
    source="Das, Gupta, Motivala, SWIM, DSN 2002, section 3.1",
    certainty="Recalled; the form for a finite group is derived, and e / (e - 1) = 1.582 is its limit.",
    setup=(
        "Each member pings one other per period, drawn at random. Whole periods from the crash to the ping "
        "that nobody "
        "answers; one run, in which one member after the other crashes and comes back. No suspicion, no "
        "indirect probes "
        "that could answer."
    ),
    unit="periods",
    measure=first_detection,
    expect=closed_form,
    expected_by="the closed form, exactly.",
    settings={"period": 1.0},
    cases=(
        _case(10, 1200, 1.5301, 0.06),
        _case(50, 500, 1.5726, 0.1),
        _case(500, 400, 1.5811, 0.1),
    ),
    perturbations=(
        Perturbation(what="periods are 12 % longer", scale={"period": 1.12}, cases=("10 members",)),
        Perturbation(
            what="periods are 20 % longer", scale={"period": 1.2}, cases=("50 members", "500 members")
        ),
    ),
    tolerance=0.1,
    axis="members",
    log="x",
)
