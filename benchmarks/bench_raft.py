"""Messages between the replicas of a 5-node Raft, per second of CPU, beside a bare heapq loop.

Raft without batching: every write is one AppendEntries to each follower. The links have exponential latency;
the clients keep one write each under way and do nothing else, so that what is measured is the protocol on its
host. The bare loop draws a delay (``random.expovariate``), pushes, pops and calls a function, nothing else.
They take turns in rounds, and the median ratio counts. A bare loop that draws its delays from NumPy in blocks,
as the links here do, is shown too.

    python benchmarks/bench_raft.py [writes] [clients]
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Any

import numpy as np

from sim.cluster import Cluster
from sim.network.distributions import Exponential
from sim.network.topology import lan
from sim.node import Node
from sim.protocols import BasicRaft, Raft
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.kv import Command
from sim.system import Member, System

WRITES = 10_000
CLIENTS = 1
ROUNDS = 5
MEAN = 0.001  # seconds of latency


class Writer(Node):
    """Writes, one command after the other, until it has done its share."""

    def on_start(self) -> None:
        self.done = 0
        self.set_timer("begin", 0.1)

    def on_begin_timeout(self) -> None:
        self.write()

    def write(self) -> None:
        self.send("n0", Request(Command(self.settings, self.done + 1, "put", "key", self.done)))

    def on_reply(self, src: str, msg: Reply) -> None:
        self.done += 1
        self.write()

    def on_redirect(self, src: str, msg: Redirect) -> None:
        raise AssertionError(f"{src} does not lead")


def raft(system: System, writes: int, clients: int) -> float:
    """Messages between replicas per CPU second."""
    cluster = Cluster(lan(Exponential(MEAN)), seed=1)
    for member in system.members():
        cluster.add(member, place="lan", settings=member.settings or system)
    for k in range(clients):
        cluster.add(Member(f"c{k}", Writer, group="clients", role="client"), place="lan", settings=k)
    cluster.boot()
    writers: list[Any] = [cluster.hosts[f"c{k}"].node for k in range(clients)]
    start = time.process_time()
    while sum(writer.done for writer in writers) < writes:
        cluster.env.run(until=cluster.env.now + 0.5)
    took = time.process_time() - start
    replicas = {member.name for member in system.members()}
    links = cluster.network.links.items()
    return sum(n.messages for (a, b), n in links if a != b and {a, b} <= replicas) / took


def bare(events: int, draw: Callable[[], float]) -> float:
    """Events per CPU second of a loop that draws a delay and calls a function."""
    heap: list[Any] = []
    serial = 0

    def receive(argument: int) -> None:
        pass

    for _ in range(100):
        serial += 1
        heappush(heap, (draw(), serial, receive, serial))
    start = time.process_time()
    for _ in range(events):
        now, _, function, argument = heappop(heap)
        function(argument)
        serial += 1
        heappush(heap, (now + draw(), serial, receive, serial))
    return events / (time.process_time() - start)


def expovariate() -> Callable[[], float]:
    """Delays as one would draw them by hand."""
    return partial(random.Random(1).expovariate, 1 / MEAN)


def in_blocks() -> Callable[[], float]:
    """Delays drawn from NumPy in blocks."""
    generator = np.random.default_rng(1)
    block: list[float] = []

    def draw() -> float:
        nonlocal block
        if not block:
            block = generator.exponential(MEAN, 1024).tolist()
        return block.pop()

    return draw


def main(writes: int = WRITES, clients: int = CLIENTS) -> None:
    """Print the ratios."""
    systems = {"figure 2": BasicRaft(nodes=5), "thesis, no option on": Raft(nodes=5)}
    for name, system in systems.items():
        rates, ratios, strict = [], [], []
        for _ in range(ROUNDS):
            loop, blocks = bare(writes * 20, expovariate()), bare(writes * 20, in_blocks())
            rates.append(raft(system, writes, clients))
            ratios.append(rates[-1] / loop)
            strict.append(rates[-1] / blocks)
        rate, ratio, by_blocks = (statistics.median(values) for values in (rates, ratios, strict))
        print(
            f"raft, 5 nodes, {name}: {rate:,.0f} replica messages/s, {ratio:.3f} of a bare heapq loop "
            f"(>= 0.1), {by_blocks:.3f} of one that draws in blocks"
        )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
