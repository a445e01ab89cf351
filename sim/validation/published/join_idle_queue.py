"""Join-idle-queue: idle servers tell one balancer (Lu et al., Performance Evaluation 68, 2011)."""

from __future__ import annotations

from sim.distributions import Exponential
from sim.protocols.balancing import Balanced, JoinIdleQueue, Policy, Random
from sim.validation.arrivals import arrive
from sim.validation.form import Case, Estimate, Figures, Perturbation, Published

__all__ = ["RESULT"]

SERVERS, BALANCERS = 400, 40


def mean_time(seed: int, *, policy: Policy, load: float) -> float:
    """The mean time in system, in mean service times."""
    system = Balanced(servers=SERVERS, balancers=BALANCERS, policy=policy, service=Exponential(1.0))
    return arrive(system, SERVERS * load, 30_000, seed).mean()


def by_monte_carlo(*, policy: Policy, load: float) -> Figures:
    """Two runs of 200,000 requests of a plain simulation of queues that hold each idle server once, made "
    "beforehand."""
    return {"mean time": Estimate(1.069, 0.0016)}


RESULT = Published(
    name="join_idle_queue",
    title="Join-idle-queue",
    source="Lu, Xie, Kliot, Geller, Larus, Greenberg, Performance Evaluation 68, 2011",
    certainty="Derived: the paper's algorithm in a plain simulation, 1.0682 and 1.0713.",
    setup=(
        "400 servers, 40 balancers, load 0.5, exponential service times. An idle server is in one idle "
        "queue; a balancer "
        "with an empty queue sends the request to a random server."
    ),
    unit="mean service times",
    measure=mean_time,
    expect=by_monte_carlo,
    expected_by="a plain Monte Carlo of the queues, without this simulator.",
    settings={"policy": JoinIdleQueue(), "load": 0.5},
    cases=(Case(name="load 0.5", published={"mean time": None}, samples=4),),
    perturbations=(Perturbation(what="requests go to random servers", off={"policy": Random()}),),
    tolerance=0.03,
)
