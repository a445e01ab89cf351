"""Retries with and without a budget while a share of calls fails (Brooker 2022)."""

from __future__ import annotations

from sim.cluster import Machine
from sim.distributions import Constant
from sim.protocols.balancing import Balanced, Retries, RetryBudget, Server
from sim.validation.arrivals import arrive
from sim.validation.form import Case, Figures, Perturbation, Published

__all__ = ["RESULT"]

CLIENTS, CALLS = 4, 4_000
PRINTED = {  # share of failures -> policy -> load per first try, success
    0.01: {"none": (1.0, 0.99043), "three": (1.0096, 1.0), "budget": (1.0102, 1.0)},
    0.1: {"none": (1.0, 0.89937), "three": (1.112, 0.99987), "budget": (1.0947, 0.98465)},
    0.5: {"none": (1.0, 0.49906), "three": (1.8786, 0.9376), "budget": (1.1043, 0.5529)},
}


def call(seed: int, *, failing: float, policy: str) -> Figures:
    """Calls per first try, and the share of first tries that ended well; a balancer stands for each client."""
    retries = {
        "none": (),
        "three": (Retries(most=3, backoff=0.0),),
        "budget": (Retries(most=1000, backoff=0.0, budget=RetryBudget(ratio=0.1, burst=5)),),
    }[policy]
    system = Balanced(
        servers=(Server(errors=failing, error_time=0.0),),
        service=Constant(1e-9),
        balancers=CLIENTS,
        resilience=retries,
    )
    run = arrive(system, 40.0, CALLS, seed, Machine(cores=10_000))
    return {"load": run.node("s0").received / CALLS, "success": 1 - run.source.failed / CALLS}


def closed_form(*, failing: float, policy: str) -> Figures:
    """A try fails by itself: geometric series. A budget has no closed form."""
    if policy == "budget":
        return {}
    lost = failing ** (1 if policy == "none" else 4)
    return {"load": (1 - lost) / (1 - failing), "success": 1 - lost}


TOLERANCE = {
    0.01: {"load": 0.004, "success": 0.004},
    0.1: {"load": 0.01, "success": 0.01},
    0.5: {"load": 0.02, "success": 0.03},
}


def _name(failing: float, policy: str) -> str:
    return f"{failing:.0%} fail, {policy}"


def _cases(*policies: str) -> tuple[str, ...]:
    return tuple(_name(failing, policy) for failing in PRINTED for policy in policies)


RESULT = Published(
    name="brooker_retries",
    title="Retries, and a budget for them",
    source=(
        "Brooker, Fixing retries with token buckets and circuit breakers, brooker.co.za, 2022, and "
        "its simulator"
    ),
    certainty="Code read; the figures are those of the author's own simulator, about 100,000 calls a row.",
    setup=(
        "Clients call a server that fails each call by itself with a probability. *Three*: up to three more tries. "
        "*Budget*: a token bucket of 5 for each client, 0.1 more with each call; a retry takes one. 1,000 "
        "calls of each "
        "client. The author's circuit breaker is not simulated: it compares rates over all time, ours "
        "counts failures "
        "in a row."
    ),
    unit="calls of the server per call of a client; share of calls that end well",
    measure=call,
    expect=closed_form,
    expected_by="geometric series, exactly; a budget has no closed form, and is judged by the author's simulation.",
    cases=[
        Case(
            name=_name(failing, policy),
            settings={"failing": failing, "policy": policy},
            published=dict(zip(("load", "success"), printed, strict=True)),
            samples=5,
            tolerance=TOLERANCE[failing],
            fast=failing == 0.1,
        )
        for failing, policies in PRINTED.items()
        for policy, printed in policies.items()
    ],
    perturbations=(
        Perturbation(what="no call is tried again", off={"policy": "none"}, cases=_cases("three", "budget")),
        Perturbation(what="calls are tried again three times", off={"policy": "three"}, cases=_cases("none")),
    ),
    tolerance=0.01,
)
