"""Requests that fan out: fork-join (Flatto and Hahn 1984), redundancy (Gardner et al. 2015, 2017), k of n."""

from __future__ import annotations

from math import comb
from typing import Any

from sim.cluster import Machine
from sim.distributions import Exponential
from sim.lab import Scenario
from sim.network import constant
from sim.protocols.balancing import FanOut
from sim.protocols.client import Retry
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.workload import OpenLoop

__all__ = ["RESULT"]


def mean_time(
    seed: int, *, servers: int, copies: int, wait: int, load: float, cores: int, count: int, service: float
) -> float:
    """The mean time of a request, in mean service times; ``load``: requests per server and service time."""
    system = FanOut(
        servers=servers, copies=copies, wait=wait, cancel=wait < copies, service=Exponential(service)
    )
    duration = count / (servers * load)
    run = Scenario(
        system=system,
        network=constant(0.0),
        workload=OpenLoop(rate=servers * load, clients=1, reads=1.0),
        machines=Machine(cores=cores),
        retry=Retry(timeout=1e5),
        duration=duration,
        warmup=duration / 10,
    ).run(seed)
    rows = run.operations
    return float(rows.loc[(rows["called"] > duration / 10) & (rows["status"] == "ok"), "latency"].mean())


def closed_form(
    *, servers: int, copies: int, wait: int, load: float, cores: int, count: int, service: float
) -> Figures:
    """No queues: order statistics. Two servers: (12 - rho) / 8 of M/M/1. Redundancy-d: Gardner et al. 2017."""
    if cores > 1:
        return {"mean time": sum(1 / (copies - i) for i in range(wait))}
    if wait == 2:
        rho = servers * load
        return {"mean time": (12 - rho) / 8 / (1 - rho)}
    return {
        "mean time": sum(
            1 / (servers * comb(servers - 1, copies - 1) / comb(i - 1, copies - 1) - servers * load)
            for i in range(copies, servers + 1)
        )
    }


def _case(name: str, servers: int, copies: int, wait: int, **more: Any) -> Case:
    settings = {"load": 0.5, "cores": 1, "count": 6_000, **more.pop("settings", {})}
    return Case(
        name=name,
        settings={"servers": servers, "copies": copies, "wait": wait, **settings},
        published={"mean time": more.pop("published", None)},
        samples=6,
        **more,
    )


WIDE = {"cores": 64, "load": 0.5, "count": 1500}

RESULT = Published(
    name="fan_out",
    title="Fork-join, redundancy, k of n",
    source=(
        "Flatto and Hahn, SIAM J. Appl. Math. 44(5), 1984; Gardner et al., Redundancy-d, Operations "
        "Research 65(4), 2017"
    ),
    certainty="Closed forms recalled; that of redundancy-d agrees with M/M/1 for d = 1 and for d = all servers.",
    setup=(
        "Each request has a copy at several servers, with exponential service times of their own; it ends "
        "with the answer "
        "that is enough, and then the other copies are called off."
    ),
    unit="mean service times",
    measure=mean_time,
    expect=closed_form,
    expected_by="the closed forms, exactly.",
    settings={"service": 1.0},
    cases=(
        _case("fork-join, 2 of 2, load 0.5", 2, 2, 2, settings={"load": 0.25, "count": 10_000}),
        _case("redundancy, 1 of 2, 2 servers, load 0.5", 2, 2, 1),
        _case("redundancy, 1 of 2, 5 servers, load 0.5", 5, 2, 1),
        _case("redundancy, 1 of 3, 5 servers, load 0.5", 5, 3, 1),
        _case("no queues, 1 of 2", 2, 2, 1, settings=WIDE, fast=True),
        _case("no queues, 2 of 4", 4, 4, 2, settings=WIDE, fast=True),
        _case("no queues, 4 of 8", 8, 8, 4, settings=WIDE),
    ),
    perturbations=(Perturbation(what="service takes 12 % longer", scale={"service": 1.12}),),
    tolerance=0.06,
)
