"""The tail at scale: what waiting for many servers costs, and what a hedge gains (Dean and Barroso, CACM 2013)."""

from __future__ import annotations

from math import exp

from sim.cluster import Machine
from sim.distributions import Exponential, bimodal
from sim.lab import Scenario
from sim.network import constant
from sim.protocols.balancing import Balanced, FanOut, Hedge, Random
from sim.protocols.client import Retry
from sim.validation.arrivals import arrive
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.workload import OpenLoop

__all__ = ["RESULT"]

HEDGES = 8_000


def slow_requests(seed: int, *, copies: int, slow: float, after: float) -> Figures:
    """The share of requests over a second; a share ``slow`` of copies takes 2 s, all others 10 ms. Or of hedges."""
    return _hedged(seed, after) if after else _fanned_out(seed, copies, slow)


def _fanned_out(seed: int, copies: int, slow: float) -> Figures:
    run = Scenario(
        system=FanOut(servers=copies, service=bimodal(0.010, 2.0, slow)),
        network=constant(0.0),
        workload=OpenLoop(rate=100.0, clients=1, reads=1.0),
        machines=Machine(cores=10_000),
        retry=Retry(timeout=1e5),
        duration=5.0,
    ).run(seed)
    early = run.operations[run.operations["called"] < 2.5]
    return {"share over 1 s": float((early["latency"].isna() | (early["latency"] > 1.0)).mean())}


def _hedged(seed: int, after: float) -> Figures:
    system = Balanced(servers=5, policy=Random(), service=Exponential(1.0), resilience=(Hedge(after=after),))
    run = arrive(system, 50.0, HEDGES, seed, Machine(cores=10_000))
    times = run.latencies(0)
    return {
        "share over 1 s": sum(t > 1.0 for t in times) / HEDGES,
        "share over 2.5 s": sum(t > 2.5 for t in times) / HEDGES,
        "extra requests": run.node("b0").dispatcher.hedged / HEDGES,
    }


def closed_form(*, copies: int, slow: float, after: float) -> Figures:
    """1 - (1 - p)^n; with a hedge after D, S(t) until D, and S(t) S(t - D) then; S(D) requests are sent twice."""
    if not after:
        return {"share over 1 s": 1 - (1 - slow) ** copies}
    tail = {f"share over {t:g} s": exp(-t - max(0.0, t - after)) for t in (1.0, 2.5)}
    return {**tail, "extra requests": exp(-after)}


def _hedge(after: float) -> Case:
    return Case(
        name=f"exponential, hedge after {after:g}",
        settings={"copies": 1, "slow": 0.0, "after": after},
        published=dict.fromkeys(("share over 1 s", "share over 2.5 s", "extra requests")),
        samples=4,
        tolerance={"share over 1 s": 0.1, "share over 2.5 s": 0.35, "extra requests": 0.1},
    )


RESULT = Published(
    name="tail_at_scale",
    title="The tail at scale",
    source="Dean and Barroso, The Tail at Scale, CACM 56(2), 2013",
    certainty=(
        "Read (63 % in the text); the formulas are derived. The paper's tables of a real service "
        "cannot be simulated."
    ),
    setup=(
        "A request goes to 100 or 500 servers and waits for all; a server is slow for one request in 100 "
        "or 1,000. And "
        "one request with an exponential service time, of which a copy is sent after a delay."
    ),
    unit="share",
    measure=slow_requests,
    expect=closed_form,
    expected_by="1 - (1 - p)^n, and the product of two tails, exactly.",
    settings={"after": 0.0},
    cases=(
        Case(
            name="1 in 100 slow, 100 servers",
            settings={"copies": 100, "slow": 0.01},
            published={"share over 1 s": 0.63},
            samples=6,
            fast=True,
        ),
        Case(
            name="1 in 1,000 slow, 500 servers",
            settings={"copies": 500, "slow": 0.001},
            published={"share over 1 s": None},
            samples=3,
            tolerance=0.2,
        ),
        _hedge(0.5),
        _hedge(2.0),
    ),
    perturbations=(
        Perturbation(
            what="no server is slow",
            off={"slow": 0.0},
            cases=("1 in 100 slow, 100 servers", "1 in 1,000 slow, 500 servers"),
        ),
        Perturbation(
            what="no hedge is sent",
            off={"after": 1e6},
            cases=("exponential, hedge after 0.5",),
        ),
        Perturbation(
            what="no hedge is sent",
            off={"after": 1e6},
            cases=("exponential, hedge after 2",),
            figures=("share over 2.5 s", "extra requests"),
        ),
        Perturbation(
            what="the hedge is sent after half a second, not after two",
            off={"after": 0.5},
            cases=("exponential, hedge after 2",),
            figures=("share over 1 s",),
        ),
    ),
    tolerance=0.1,
)
