"""A server behind a balancer is the queue of the textbook: means within 3 standard errors over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial
from typing import Any

import pytest

from sim.cluster import Machine
from sim.distributions import Constant, Distribution, Exponential, LogNormal, bimodal
from sim.lab import Scenario
from sim.network.topology import constant
from sim.protocols.balancing import Balanced
from sim.protocols.client import Retry
from sim.workload import OpenLoop

Load = Callable[..., Any]
OffBy = Callable[[Sequence[float], float], float]
SEEDS = 10


def erlang_c(c: int, rho: float) -> float:
    """The probability that a customer of an M/M/c queue waits (Erlang 1917)."""
    a = c * rho
    waiting = a**c / (factorial(c) * (1 - rho))
    return waiting / (sum(a**k / factorial(k) for k in range(c)) + waiting)


def mean_times(
    under_load: Load, service: Distribution, rate: float, host: Machine, count: int = 3000
) -> list[float]:
    """The mean time in system of each of several independent runs, the first tenth left out."""
    means = []
    for seed in range(SEEDS):
        run = under_load(Balanced(servers=1, service=service), rate, count, seed=seed, host=host).run()
        latencies = run.latencies(skip=count // 10)
        means.append(sum(latencies) / len(latencies))
    return means


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_one_core_and_exponential_service_is_m_m_1(under_load: Load, off_by: OffBy, rho: float) -> None:
    means = mean_times(under_load, Exponential(1.0), rho, Machine())
    assert off_by(means, 1 / (1 - rho)) < 3


def test_five_cores_are_m_m_5(under_load: Load, off_by: OffBy) -> None:
    expected = 1 + erlang_c(5, 0.8) / (5 * (1 - 0.8))
    assert expected == pytest.approx(1.55411, abs=1e-5)  # shared/data/published.json, queueing, MMc
    assert off_by(mean_times(under_load, Exponential(1.0), 4.0, Machine(cores=5)), expected) < 3


@pytest.mark.parametrize(
    "service",
    [Constant(1.0), LogNormal.from_mean(1.0, cv=1.5), bimodal(0.5, 3.0, 0.2)],
    ids=["M/D/1", "lognormal", "bimodal"],
)
def test_any_service_law_follows_pollaczek_and_khinchine(
    under_load: Load, off_by: OffBy, service: Distribution
) -> None:
    rho = 0.6
    expected = 1 + rho * (1 + service.cv2()) / (2 * (1 - rho))
    assert off_by(mean_times(under_load, service, rho, Machine()), expected) < 3


@pytest.mark.parametrize("service", [Exponential(1.0), bimodal(0.5, 3.0, 0.2), Constant(1.0)], ids=repr)
def test_processor_sharing_depends_on_the_mean_alone(
    under_load: Load, off_by: OffBy, service: Distribution
) -> None:
    means = mean_times(under_load, service, 0.6, Machine(discipline="processor-sharing"))
    assert off_by(means, 1 / (1 - 0.6)) < 3


def test_priorities_wait_as_cobham_says(under_load: Load, off_by: OffBy) -> None:
    # Cobham 1954, without preemption: W1 = R / (1 - rho1), W2 = R / ((1 - rho1) (1 - rho)), R = rho here.
    times: dict[str, list[float]] = {"get": [], "put": []}
    system = Balanced(servers=1, service=Exponential(1.0), priorities=("get",))
    for seed in range(SEEDS):
        run = under_load(
            system, 0.8, 3000, seed=seed, host=Machine(discipline="priority"), kinds=("get", "put")
        ).run()
        for kind, means in times.items():
            mine = [s for t, s in run.source.latency.items() if run.source.kind[t] == kind and t >= 300]
            means.append(sum(mine) / len(mine))
    assert off_by(times["get"], 1 + 0.8 / (1 - 0.4)) < 3
    assert off_by(times["put"], 1 + 0.8 / ((1 - 0.4) * (1 - 0.8))) < 3


@pytest.mark.parametrize("where", ["balancer", "client"])
def test_a_scenario_sees_the_same_queue(off_by: OffBy, where: Any) -> None:
    scenario = Scenario(
        system=Balanced(servers=1, service=Exponential(0.01), where=where),
        network=constant(0.0),
        workload=OpenLoop(rate=60.0, clients=1, reads=1.0),
        duration=25.0,
        warmup=5.0,
        retry=Retry(timeout=100.0),
    )
    means = [scenario.run(seed).summary()["mean"] for seed in range(SEEDS)]
    assert off_by(means, 0.01 / (1 - 0.6)) < 3


def test_the_yardstick_sees_a_server_that_is_a_tenth_too_slow(under_load: Load, off_by: OffBy) -> None:
    means = mean_times(under_load, Exponential(1.1), 0.8, Machine())
    assert off_by(means, 1 / (1 - 0.8)) > 3
