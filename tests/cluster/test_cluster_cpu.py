"""Queueing theory holds on the cores: M/M/1, M/M/c, M/D/1, processor sharing, priorities, cancellation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from sim.cluster import Cluster, Machine
from sim.network import constant
from sim.node import Node, message
from sim.system import Member


@message
class Customer:
    number: int


class Server(Node):
    """Serves each customer for a time drawn by ``settings``; notes how long each was in the system."""

    def on_start(self) -> None:
        self.arrived: dict[int, float] = {}
        self.stay: list[float] = []

    def on_customer(self, src: str, msg: Customer) -> None:
        self.arrived[msg.number] = self.now
        self.work("service", self.settings(self.random), msg.number)

    def on_service_done(self, number: int) -> None:
        self.stay.append(self.now - self.arrived.pop(number))


def serve(service: Any, rate: float, customers: int, host: Machine, seed: int = 7) -> Any:
    made = Cluster(constant(0.0), seed=seed)
    machine = made.add(Member("s", Server), place="lan", profile=host, settings=service)
    made.boot()
    arrivals = made.streams["arrivals"]
    numbers = iter(range(customers))

    def arrive(_: None) -> None:
        number = next(numbers, None)
        if number is not None:
            machine.receive("source", Customer(number))
            made.env.call_after(arrivals.exponential(1.0 / rate), arrive)

    arrive(None)
    made.env.run()
    return made.nodes["s"]


def mean_and_error(stays: list[float], batches: int = 40) -> tuple[float, float]:
    """Mean and its standard error by batch means: the stays of one run are correlated."""
    values = np.array(stays[len(stays) // 10 :])
    means = np.array([b.mean() for b in np.array_split(values, batches)])
    return float(values.mean()), float(means.std(ddof=1) / math.sqrt(batches))


def erlang_c(c: int, load: float) -> float:
    """Probability that an arrival waits in an M/M/c queue with offered load ``c * rho``."""
    a = c * load
    top = a**c / math.factorial(c) / (1 - load)
    return top / (sum(a**k / math.factorial(k) for k in range(c)) + top)


def exponential(random: Any) -> float:
    return float(random.exponential(1.0))


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_mean_time_in_an_mm1_system_is_1_over_mu_minus_lambda(rho: float) -> None:
    mean, error = mean_and_error(serve(exponential, rho, 60_000, Machine()).stay)
    assert abs(mean - 1 / (1 - rho)) < 3 * error
    assert error < 0.1 / (1 - rho)  # so that the test can fail


def test_mean_time_in_an_mm5_system_is_erlangs() -> None:
    mean, error = mean_and_error(serve(exponential, 5 * 0.8, 80_000, Machine(cores=5)).stay)
    theory = 1 + erlang_c(5, 0.8) / (5 * (1 - 0.8))
    assert theory == pytest.approx(1.55411, abs=1e-5)  # shared figures: queueing, MMc c=5 rho=0.8
    assert abs(mean - theory) < 3 * error
    assert error < 0.05


def test_mean_time_in_an_md1_system_is_pollaczek_khinchines() -> None:
    mean, error = mean_and_error(serve(lambda _: 1.0, 0.8, 60_000, Machine()).stay)
    assert abs(mean - 3.0) < 3 * error
    assert error < 0.15


@pytest.mark.parametrize("invariant", ["exponential", "deterministic", "bimodal"])
def test_under_processor_sharing_the_mean_does_not_depend_on_the_service_law(invariant: str) -> None:
    invariants: dict[str, Any] = {
        "exponential": exponential,
        "deterministic": lambda _: 1.0,
        "bimodal": lambda random: 0.1 if random.chance(0.9) else 9.1,
    }
    host = Machine(discipline="processor-sharing")
    mean, error = mean_and_error(serve(invariants[invariant], 0.7, 60_000, host).stay)
    assert abs(mean - 1 / (1 - 0.7)) < 3 * error
    assert error < 0.4


def test_two_jobs_that_share_a_core_each_take_twice_as_long() -> None:
    made = Cluster(constant(0.0), seed=1)
    host = made.add(
        Member("s", Server),
        place="lan",
        profile=Machine(discipline="processor-sharing"),
        settings=lambda _: 1.0,
    )
    made.boot()
    host.receive("x", Customer(1))
    made.env.call_at(0.5, lambda _: host.receive("x", Customer(2)))
    made.env.run()
    stays: Any = made.nodes["s"]
    assert stays.stay == pytest.approx([1.5, 1.5])  # alone for 0.5 s, then both at half speed for 1 s


class Ranked(Node):
    def on_start(self) -> None:
        self.done: list[str] = []
        self.ended = 0.0
        for key, priority in (("first", 5), ("low", 9), ("high", 1), ("middle", 5)):
            self.work("job", 1.0, key, priority=priority)

    def on_job_done(self, key: str) -> None:
        self.done.append(key)
        self.ended = self.now


def test_by_priority_the_lowest_number_is_served_next_and_what_runs_is_not_interrupted() -> None:
    made = Cluster(constant(0.0), seed=1)
    made.add(Member("s", Ranked), place="lan", profile=Machine(discipline="priority"))
    made.boot()
    made.env.run()
    assert made.nodes["s"].done == ["first", "high", "middle", "low"]  # type: ignore[attr-defined]


class Cancelling(Ranked):
    def on_start(self) -> None:
        super().on_start()
        assert self.backlog == 4
        assert self.cancel_work("job", "middle")
        assert self.cancel_work("job", "first")
        assert not self.cancel_work("job", "first")
        assert self.backlog == 2


@pytest.mark.parametrize("discipline", ["fifo", "priority", "processor-sharing"])
def test_cancelled_work_is_never_done_and_frees_its_core_at_once(discipline: Any) -> None:
    made = Cluster(constant(0.0), seed=1)
    host = made.add(Member("s", Cancelling), place="lan", profile=Machine(discipline=discipline))
    made.boot()
    made.env.run()
    assert sorted(made.nodes["s"].done) == ["high", "low"]  # type: ignore[attr-defined]
    assert made.nodes["s"].ended == pytest.approx(2.0)  # type: ignore[attr-defined]
    assert host.cpu.busy_until(made.env.now) == pytest.approx(2.0)
    assert host.backlog == 0


class Reader(Node):
    def on_start(self) -> None:
        self.read: list[float] = []

    def on_customer(self, src: str, msg: Customer) -> None:
        self.read.append(self.now)


def test_messages_cost_cpu_by_number_and_by_byte_and_queue_for_it() -> None:
    made = Cluster(constant(0.0), seed=1)
    host = made.add(Member("s", Reader), place="lan", profile=Machine(per_message=1.0, per_byte=0.125))
    made.boot()
    for number in range(3):
        host.receive("x", Customer(number))  # 8 bytes each: 2 s
    assert host.backlog == 3
    made.env.run(until=2.5)
    assert host.backlog == 2
    made.env.run()
    assert made.nodes["s"].read == [2.0, 4.0, 6.0]  # type: ignore[attr-defined]
    assert host.cpu.busy_until(6.0) == 6.0


def test_a_slowed_core_serves_later_work_at_its_speed() -> None:
    made = Cluster(constant(0.0), seed=1)
    host = made.add(Member("s", Server), place="lan", settings=lambda _: 1.0)
    made.boot()
    host.cpu.set_speed(0.25)
    host.receive("x", Customer(1))
    made.env.run()
    assert made.env.now == 4.0
    with pytest.raises(ValueError, match="must be positive, not 0"):
        host.cpu.set_speed(0)
