"""The supermarket model: each request joins the shortest of d queues drawn at random (Mitzenmacher 2001)."""

from __future__ import annotations

from sim.distributions import Exponential
from sim.protocols.balancing import Balanced, PowerOfChoices
from sim.validation.arrivals import arrive
from sim.validation.form import Case, Perturbation, Published

__all__ = ["RESULT"]

SERVERS = 100
PRINTED = {
    (2, 0.5): 1.2673,
    (2, 0.7): 1.6202,
    (2, 0.8): 1.9585,
    (2, 0.9): 2.6454,
    (2, 0.95): 3.461,
    (3, 0.5): 1.1277,
    (3, 0.9): 2.0614,
    (3, 0.95): 2.6137,
}

SIZES = {0.5: (20_000, 4), 0.7: (20_000, 5), 0.8: (30_000, 5), 0.9: (50_000, 5), 0.95: (75_000, 5)}
"""Load -> requests of a sample, samples."""


def mean_time(seed: int, *, choices: int, load: float, count: int, service: float) -> float:
    """The mean time in system, in mean service times, of ``count`` requests less the first fifth."""
    system = Balanced(
        servers=SERVERS, policy=PowerOfChoices(d=choices), service=Exponential(service), where="client"
    )
    return arrive(system, SERVERS * load, count, seed).mean()


def _case(
    choices: int, load: float, published: float | None, count: int, samples: int, tolerance: float
) -> Case:
    return Case(
        name=f"d = {choices}, load {load:g}",
        settings={"choices": choices, "load": load, "count": count},
        published={"mean time": published},
        samples=samples,
        tolerance=tolerance,
        fast=load == 0.5 and choices > 1,
        x=load,
        series=f"d = {choices}",
    )


RESULT = Published(
    name="supermarket",
    title="The power of two choices",
    source="Mitzenmacher, IEEE TPDS 12(10), 2001, table 1; d = 1 is the M/M/1 queue",
    certainty="Recalled; each value agreed with an independent simulation of 100 queues within 2 standard errors.",
    setup=(
        "100 servers with exponential service times and Poisson arrivals; each request goes to the least "
        "loaded of d "
        "servers drawn at random. Published are the simulations of 100 queues."
    ),
    unit="mean service times",
    measure=mean_time,
    settings={"service": 1.0},
    cases=(
        _case(1, 0.5, 2.0, 20_000, 5, 0.04),
        _case(1, 0.8, 5.0, 100_000, 5, 0.06),
        *(
            _case(
                d,
                load,
                said,
                *SIZES[load],
                tolerance=0.03 if load < 0.95 else 0.05,
            )
            for (d, load), said in PRINTED.items()
        ),
    ),
    perturbations=(Perturbation(what="servers take 6 % longer", scale={"service": 1.06}),),
    tolerance=0.03,
    axis="load of a server",
    log="y",
)
