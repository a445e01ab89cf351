"""Requests per second through a balancer to ten servers: this package beside idiomatic SimPy, in one run.

The same model twice: Poisson arrivals, constant 0.5 ms links, round-robin over ten servers with one core and
exponential service times at 80 % load, answers back through the balancer, latency of each request kept.
SimPy's way: a Store as each mailbox, a process for each message under way, a Resource for the cores of each
server and a process for each request in it.

    python benchmarks/bench_balancer.py [requests]
"""

from __future__ import annotations

import random
import sys
from collections.abc import Generator
from typing import Any

import simpy
from side_by_side import Contender, by_engine, compare

from sim import distributions as gaps
from sim.cluster import Cluster
from sim.network.topology import constant
from sim.node import Node
from sim.protocols.balancing import Answer, Ask, Balanced, Exponential, RoundRobin
from sim.protocols.command import Command
from sim.system import Member

REQUESTS = 200_000
SERVERS = 10
SERVICE = 0.010
RATE = 0.8 * SERVERS / SERVICE
DELTA = 0.0005


class Source(Node):
    """Sends a request at each arrival, and keeps the latencies of the answers."""

    def on_start(self) -> None:
        self.started: list[float] = []
        self.latencies: list[float] = []
        self.command = Command(0, 1, "get", "key")

    def request(self) -> None:
        self.send("b0", Ask(len(self.started), self.command))
        self.started.append(self.now)

    def on_answer(self, src: str, msg: Answer) -> None:
        self.latencies.append(self.now - self.started[msg.ticket])


def ours(requests: int) -> tuple[list[float], int]:
    """Latencies (seconds) and the number of events."""
    system = Balanced(servers=SERVERS, policy=RoundRobin(), service=Exponential(SERVICE))
    cluster = Cluster(constant(DELTA), seed=1)
    for member in system.members():
        cluster.add(member, place="lan", settings=member.settings or system)
    source = cluster.add(Member("source", Source), place="lan", settings=requests)
    cluster.boot()
    env, node = cluster.env, source.node
    assert isinstance(node, Source)
    gap = gaps.Exponential(1.0 / RATE).sampler(cluster.streams.generator("arrivals"))

    def arrive(left: int) -> None:
        node.request()
        if left:
            env.call_after(gap(), arrive, left - 1)

    env.call_after(gap(), arrive, requests - 1)
    env.run()
    return node.latencies, cluster.env.scheduled


class SimPyModel:
    """The same in idiomatic SimPy."""

    def __init__(self, requests: int) -> None:
        self.env = simpy.Environment()
        self.random = random.Random(1)
        self.requests = requests
        self.latencies: list[float] = []
        self.client, self.balancer = simpy.Store(self.env), simpy.Store(self.env)
        self.servers = [simpy.Store(self.env) for _ in range(SERVERS)]

    def deliver(self, mailbox: simpy.Store, message: Any) -> Generator[Any, Any, None]:
        yield self.env.timeout(DELTA)
        yield mailbox.put(message)

    def send(self, mailbox: simpy.Store, message: Any) -> None:
        self.env.process(self.deliver(mailbox, message))

    def arrivals(self) -> Generator[Any, Any, None]:
        for _ in range(self.requests):
            yield self.env.timeout(self.random.expovariate(RATE))
            self.send(self.balancer, ("ask", self.env.now))

    def balance(self) -> Generator[Any, Any, None]:
        turn = 0
        while True:
            kind, sent = yield self.balancer.get()
            if kind == "ask":
                self.send(self.servers[turn], sent)
                turn = (turn + 1) % SERVERS
            else:
                self.send(self.client, sent)

    def serve(self, mailbox: simpy.Store) -> Generator[Any, Any, None]:
        cores = simpy.Resource(self.env, capacity=1)
        while True:
            sent = yield mailbox.get()
            self.env.process(self.work(cores, sent))

    def work(self, cores: simpy.Resource, sent: float) -> Generator[Any, Any, None]:
        with cores.request() as turn:
            yield turn
            yield self.env.timeout(self.random.expovariate(1.0 / SERVICE))
        self.send(self.balancer, ("answer", sent))

    def collect(self) -> Generator[Any, Any, None]:
        while True:
            sent = yield self.client.get()
            self.latencies.append(self.env.now - sent)

    def run(self) -> tuple[list[float], int]:
        for process in (self.arrivals(), self.balance(), self.collect(), *map(self.serve, self.servers)):
            self.env.process(process)
        self.env.run()
        return self.latencies, next(self.env._eid)


def answered(latencies: list[float], events: int, requests: int) -> tuple[int, int]:
    """Every request must have been answered, or the comparison means nothing."""
    if len(latencies) != requests:
        raise AssertionError(f"{len(latencies)} of {requests} requests were answered")
    return requests, events


def main(requests: int) -> bool:
    """Both take turns until each has had that many requests."""
    rounds = 7
    share = max(1, requests // rounds)
    contenders = [
        Contender("quorumlab", lambda: answered(*ours(share), share)),
        Contender("SimPy", lambda: answered(*SimPyModel(share).run(), share)),
    ]
    targets = by_engine(compiled={"SimPy": 9.0}, python={"SimPy": 4.0})
    return compare("requests", contenders, targets, rounds)


if __name__ == "__main__":
    sys.exit(0 if main(int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS) else 1)
