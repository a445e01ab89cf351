"""Customers per second through an M/M/1 queue, beside SimPy's Resource, in one run.

One model: Poisson arrivals at 80 % load, exponential service, one core, first come first served, the time in system
of each customer kept; its mean is checked against theory, 1 / (mu - lambda), for both.

- SimPy's way: a process that creates customers, a process for each customer, a Resource for the core.
- Ours: a node whose timer is the next arrival, and whose `work` queues on the core of its host.

    python benchmarks/bench_mm1.py [customers]
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Generator
from typing import Any

import simpy
from side_by_side import Contender, by_engine, compare

from sim.cluster import Cluster
from sim.network import lan
from sim.node import Node
from sim.system import Member

CUSTOMERS = 100_000
ARRIVALS = 0.8  # a second
SERVICES = 1.0


class Server(Node):
    """An M/M/1 queue: customers arrive by themselves."""

    def on_start(self) -> None:
        self.arrived: list[float] = []
        self.times: list[float] = []
        self.on_arrival_timeout()

    def on_arrival_timeout(self) -> None:
        self.work("service", self.random.exponential(1 / SERVICES), len(self.arrived))
        self.arrived.append(self.now)
        self.set_timer("arrival", self.random.exponential(1 / ARRIVALS))

    def on_service_done(self, customer: int) -> None:
        self.times.append(self.now - self.arrived[customer])


def ours(customers: int) -> tuple[int, int]:
    """Customers served and heap entries."""
    cluster = Cluster(lan(), seed=1)
    cluster.add(Member("server", Server), place="lan")
    cluster.boot()
    cluster.env.run(until=customers / ARRIVALS)
    server: Any = cluster.hosts["server"].node
    return check(server.times), cluster.env.scheduled


def idiomatic(customers: int) -> tuple[int, int]:
    """Customers served and events."""
    env = simpy.Environment()
    core = simpy.Resource(env, capacity=1)
    rng = random.Random(1)
    times: list[float] = []

    def customer() -> Generator[simpy.Event, Any, None]:
        arrived = env.now
        with core.request() as turn:
            yield turn
            yield env.timeout(rng.expovariate(SERVICES))
        times.append(env.now - arrived)

    def source() -> Generator[simpy.Event, Any, None]:
        while True:
            env.process(customer())
            yield env.timeout(rng.expovariate(ARRIVALS))

    env.process(source())
    env.run(until=customers / ARRIVALS)
    return check(times), next(env._eid)


def check(times: list[float]) -> int:
    """The number of customers; AssertionError when their mean time in system is not what theory says.

    A customer's time depends on those before it, so its standard error is that of means of 50 batches.
    """
    size = len(times) // 50
    means = [statistics.fmean(times[i * size : (i + 1) * size]) for i in range(50)]
    error = statistics.stdev(means) / 50**0.5
    mean, theory = statistics.fmean(times), 1 / (SERVICES - ARRIVALS)
    assert abs(mean - theory) < 4 * error, f"mean time in system {mean:.3f}, in theory {theory:.3f}"
    return len(times)


def main(customers: int = CUSTOMERS) -> int:
    """Print the table; 1 when the target is missed."""
    print(f"M/M/1 at {ARRIVALS / SERVICES:.0%} load, about {customers:,} customers")
    contenders = [
        Contender("ours", lambda: ours(customers)),
        Contender("SimPy Resource", lambda: idiomatic(customers)),
    ]
    targets = by_engine(compiled={"SimPy Resource": 6.0}, python={"SimPy Resource": 3.0})
    return 0 if compare("customers", contenders, targets, rounds=5) else 1


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:])))
