"""Pushed rumours: who is left out, and the traffic (Demers et al., PODC 1987, table 1)."""

from __future__ import annotations

from dataclasses import replace
from math import exp, floor
from typing import Any

from sim.lab import Scenario
from sim.network import constant
from sim.protocols import Gossip, Mongering
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.workload import NoLoad

__all__ = ["RESULT"]

SITES = 1000


def spread(seed: int, *, k: int, feedback: bool, style: Any) -> Figures:
    """The share of sites that are never told, the updates sent per site, and the cycle of the last delivery."""
    mongering = replace(Mongering(style, k=k), feedback=feedback)
    simulation = Scenario(
        system=Gossip(nodes=SITES, mongering=mongering, anti_entropy=None, cycle=1.0, synchronous=True),
        network=constant(0.001),
        workload=NoLoad(),
        duration=60.0,
    ).start(seed)
    simulation.run(until=0.5)  # within cycle 0; the first push is in cycle 1
    first: Any = simulation.nodes["n0"]
    first.epidemic.write("rumour", 1)
    simulation.run()
    simulation.finish()
    learned = [time for time, _, event, _ in simulation.recorder.events if event == "learned"]
    messages = sum(row[4] for row in simulation.recorder.links)
    traffic = (messages / 2 if feedback else messages) / SITES  # each is answered by a feedback
    residue = 1.0 - len(learned) / SITES
    return {
        "s": residue,
        "m": traffic,
        "t_last": float(floor(max(learned))),
        "s / exp(-m)": residue / exp(-traffic),
    }


def _case(k: int, s: float, m: float, last: float, samples: int, tolerance: float) -> Case:
    return Case(
        name=f"k = {k}",
        settings={"k": k},
        published={"s": s, "m": m, "t_last": last, "s / exp(-m)": 1.0},
        samples=samples,
        tolerance={"s": tolerance, "m": 0.04, "t_last": 0.08, "s / exp(-m)": tolerance},
        weak=("s / exp(-m)",)
        if k == 2
        else (),  # pulled rumours leave so few out that the ratio is all noise
    )


RESULT = Published(
    name="epidemic_rumours",
    title="Pushed rumours",
    source="Demers et al., Epidemic Algorithms, PODC 1987, table 1 and section 1.4",
    certainty=(
        "Read. t_ave is left out: no reading of the paper that gives the other columns gives it (9.8 "
        "to 10.1)."
    ),
    setup=(
        "1,000 sites in synchronous cycles; push, feedback and counter. A contact was unnecessary if the "
        "other site knew "
        "the rumour when the cycle began; a contact that was necessary resets the counter: both readings "
        "are needed."
    ),
    unit="share of sites; updates per site; cycles; ratio",
    measure=spread,
    settings={"feedback": True, "style": "push"},
    cases=(
        _case(1, 0.18, 1.7, 16.8, 12, 0.1),
        _case(2, 0.037, 3.3, 16.9, 12, 0.25),
        _case(3, 0.011, 4.5, 17.4, 12, 0.35),
    ),
    perturbations=(
        Perturbation(
            what="sites lose interest whether or not the other site knew the rumour",
            off={"feedback": False},
        ),
        Perturbation(what="rumours are pulled", off={"style": "pull"}, figures=("t_last", "s / exp(-m)")),
    ),
    tolerance=0.1,
)
