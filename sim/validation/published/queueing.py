"""The queues of the textbook, with closed forms: M/M/1, M/D/1, M/M/c, processor sharing."""

from __future__ import annotations

from math import factorial
from typing import Any

from sim.cluster import Machine
from sim.distributions import Constant, Distribution, Exponential, bimodal
from sim.protocols.balancing import Balanced
from sim.validation.arrivals import arrive
from sim.validation.form import Case, Figures, Perturbation, Published

__all__ = ["RESULT"]

LAWS: dict[str, Distribution] = {
    "M": Exponential(1.0),
    "D": Constant(1.0),
    "bimodal": bimodal(0.5, 3.0, 0.2),
}


def mean_time(
    seed: int, *, law: str, cores: int, load: float, discipline: Any, count: int, factor: float
) -> float:
    """The mean time in system, in mean service times, of one server with ``cores``."""
    system = Balanced(servers=1, service=LAWS[law].scaled(factor), where="client")
    machine = Machine(cores=cores, discipline=discipline)
    return arrive(system, cores * load, count, seed, machine).mean()


def closed_form(*, law: str, cores: int, load: float, discipline: str, count: int, factor: float) -> Figures:
    """Erlang (1917) for several cores; Pollaczek and Khinchine; 1 / (1 - load) for processor sharing."""
    if discipline == "processor-sharing":
        return {"mean time": 1 / (1 - load)}
    if cores > 1:
        offered = cores * load
        waiting = offered**cores / (factorial(cores) * (1 - load))
        waits = waiting / (sum(offered**k / factorial(k) for k in range(cores)) + waiting)
        return {"mean time": 1 + waits / (cores * (1 - load))}
    return {"mean time": 1 + load * (1 + LAWS[law].cv2()) / (2 * (1 - load))}


def _case(name: str, load: float, count: int, *, law: str = "M", cores: int = 1, **more: Any) -> Case:
    discipline = more.pop("discipline", "fifo")
    return Case(
        name=f"{name}, load {load:g}",
        settings={"law": law, "cores": cores, "load": load, "discipline": discipline, "count": count},
        published={"mean time": None},
        samples=8,
        **more,
    )


RESULT = Published(
    name="queueing",
    title="Queues with closed forms",
    source="Erlang, 1917; Pollaczek, 1930, and Khinchine, 1932; Kleinrock, Queueing Systems II, 1976, section 4.4",
    certainty="Derived.",
    setup="A server behind Poisson arrivals, on a network without delay; service times have the mean 1.",
    unit="mean service times",
    measure=mean_time,
    expect=closed_form,
    expected_by="the closed forms, exactly.",
    settings={"factor": 1.0},
    cases=(
        _case("M/M/1", 0.5, 8_000, fast=True),
        _case("M/M/1", 0.8, 100_000),
        _case("M/D/1", 0.5, 5_000, law="D", fast=True),
        _case("M/D/1", 0.8, 20_000, law="D"),
        _case("M/M/2", 0.8, 60_000, cores=2),
        _case("M/M/5", 0.8, 30_000, cores=5),
        _case("processor sharing, M/M/1", 0.5, 8_000, discipline="processor-sharing"),
        _case("processor sharing, bimodal", 0.5, 8_000, law="bimodal", discipline="processor-sharing"),
    ),
    perturbations=(Perturbation(what="service takes 10 % longer", scale={"factor": 1.1}),),
    tolerance=0.05,
)
