"""Retry storms: they outlive their trigger, and a budget, a breaker, or shedding ends them (LB2)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim.analysis.balancing_measures import amplification_timeline, goodput
from sim.faults import Slow
from sim.lab import Run, Scenario
from sim.network.topology import constant
from sim.protocols.balancing import (
    Balanced,
    CircuitBreaker,
    Codel,
    Exponential,
    Random,
    Retries,
    RetryBudget,
    Server,
    Timeout,
)
from sim.protocols.client import Retry
from sim.workload import OpenLoop

RATE, SERVERS = 280.0, 4  # 70 % load
TIMEOUT = Timeout(attempt=0.25, carried=False)
RETRIES = Retries(most=3, backoff=0.0, on=("timeout", "error"))
STORM = Scenario(
    system=Balanced(
        servers=(Server(workers=1),) * SERVERS,
        service=Exponential(0.010),
        policy=Random(),
        resilience=(TIMEOUT, RETRIES),
    ),
    network=constant(0.0005),
    workload=OpenLoop(rate=RATE, clients=2, reads=1.0),
    faults=[Slow(f"s{i}", at=4.0, duration=2.0, speed=0.1) for i in range(SERVERS)],
    duration=20.0,
    retry=Retry(timeout=5.0),
    sample_every=0.5,
)


def after_the_trigger(run: Run) -> float:
    """The fraction of what is offered that is served well in the last four seconds."""
    return goodput(run.operations, duration=19.0, warmup=15.0, within=1.0) / RATE


def test_a_retry_storm_stays_after_its_trigger_has_gone() -> None:
    run = STORM.run(seed=1)
    assert goodput(run.operations, duration=4.0, within=1.0) / RATE > 0.95
    assert after_the_trigger(run) < 0.05
    steps = amplification_timeline(run.samples)
    assert steps[steps["time"] < 4.0]["amplification"].mean() == pytest.approx(1.0, abs=0.05)
    assert steps[steps["time"] > 15.0]["amplification"].mean() > 3.5


def test_without_its_trigger_there_is_no_storm() -> None:
    assert after_the_trigger(dataclasses.replace(STORM, faults=()).run(seed=1)) > 0.95


CURES: dict[str, dict[str, Any]] = {
    "budget": {"resilience": (TIMEOUT, dataclasses.replace(RETRIES, budget=RetryBudget(ratio=0.1)))},
    "breaker": {"resilience": (TIMEOUT, RETRIES, CircuitBreaker(failures=5, open_for=2.0, reroute=False))},
    "breaker that reroutes": {"resilience": (TIMEOUT, RETRIES, CircuitBreaker(failures=5, open_for=2.0))},
    "queue limit": {"servers": (Server(workers=1, queue_limit=15),) * SERVERS},
    "controlled delay": {"servers": (Server(workers=1, codel=Codel(0.02, 0.1), queue_limit=100),) * SERVERS},
    "deadlines carried along": {"resilience": (Timeout(attempt=0.25, carried=True), RETRIES)},
}


@pytest.mark.parametrize("change", CURES.values(), ids=list(CURES))
def test_each_of_these_cures_it(change: dict[str, Any]) -> None:
    system = dataclasses.replace(STORM.system, **change)
    assert after_the_trigger(dataclasses.replace(STORM, system=system).run(seed=1)) > 0.95


@pytest.mark.parametrize("where", ["balancer", "client"])
def test_a_run_under_check_keeps_its_books_in_a_storm(where: Any) -> None:
    system = dataclasses.replace(STORM.system, where=where)
    run = dataclasses.replace(STORM, system=system, duration=6.0, check=True).run(seed=2)
    assert run.violation is None
