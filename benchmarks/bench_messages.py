"""Delivered messages per second, beside idiomatic SimPy and a bare heapq loop, in one run.

One model: 5 nodes, a message under way for each of 1,000 tokens. Links have an exponential latency and lose one
message in a thousand; a node that is down receives nothing. A node that gets a token sends it on to the next node.

- SimPy's way: a Store as each node's mailbox and a process that serves it; a process for each message under way.
- The bare loop only draws a delay (in blocks), pushes, pops and calls a function: no nodes, no links, no loss.

    python benchmarks/bench_messages.py [messages]
"""

from __future__ import annotations

import random
import sys
from collections.abc import Generator
from typing import Any

import simpy
from side_by_side import Contender, bare_loop, by_engine, compare

from sim.cluster import Cluster, Tracing
from sim.message import message
from sim.network import Exponential, lan
from sim.node import Node
from sim.system import Member

MESSAGES = 200_000
NODES = 5
TOKENS = 1_000
MEAN = 0.001  # seconds of latency
LOSS = 0.001

Process = Generator[simpy.Event, Any, Any]


# --- Ours ---------------------------------------------------------------------------------------------------


@message
class Token:
    """Goes round."""

    number: int
    hops: int


class Relay(Node):
    """Sends each token on to the next node."""

    def on_start(self) -> None:
        self.following = self.members[(self.members.index(self.name) + 1) % len(self.members)]

    def on_token(self, src: str, msg: Token) -> None:
        self.send(self.following, Token(msg.number, msg.hops + 1))


def ours(messages: int, tracing: Tracing = False) -> tuple[int, int]:
    """Delivered messages and heap entries."""
    cluster = Cluster(lan(Exponential(MEAN), loss=LOSS), seed=1, tracing=tracing)
    for i in range(NODES):
        cluster.add(Member(f"n{i}", Relay), place="lan")
    cluster.boot()
    for number in range(TOKENS):
        relay: Any = cluster.hosts[f"n{number % NODES}"].node
        relay.on_token("outside", Token(number, 0))
    cluster.env.run(until=messages * MEAN / TOKENS)
    return sum(host.messages_in for host in cluster.hosts.values()), cluster.env.scheduled


# --- Idiomatic SimPy ------------------------------------------------------------------------------------------


class Mailbox:
    """A node: a Store, and a process that serves it."""

    def __init__(self, env: simpy.Environment, rng: random.Random) -> None:
        self.env = env
        self.rng = rng
        self.inbox = simpy.Store(env)
        self.up = True
        self.received = 0
        self.following: Mailbox = self
        env.process(self.serve())

    def serve(self) -> Process:
        while True:
            token = yield self.inbox.get()
            self.received += 1
            self.send(self.following, token)

    def send(self, to: Mailbox, token: tuple[int, int]) -> None:
        if self.rng.random() >= LOSS:
            self.env.process(self.deliver(to, (token[0], token[1] + 1)))

    def deliver(self, to: Mailbox, token: tuple[int, int]) -> Process:
        yield self.env.timeout(self.rng.expovariate(1 / MEAN))
        if to.up:
            yield to.inbox.put(token)


def idiomatic(messages: int) -> tuple[int, int]:
    """Delivered messages and events."""
    env = simpy.Environment()
    rng = random.Random(1)
    nodes = [Mailbox(env, rng) for _ in range(NODES)]
    for node, following in zip(nodes, nodes[1:] + nodes[:1], strict=True):
        node.following = following
    for number in range(TOKENS):
        nodes[number % NODES].send(nodes[number % NODES].following, (number, 0))
    env.run(until=messages * MEAN / TOKENS)
    return sum(node.received for node in nodes), next(env._eid)


def bare(messages: int) -> tuple[int, int]:
    """Events, twice."""
    events = bare_loop(messages, TOKENS, MEAN)
    return events, events


def main(messages: int = MESSAGES) -> int:
    """Print the table; 1 when a target is missed."""
    print(f"messages between {NODES} nodes, about {messages:,} delivered, {TOKENS:,} under way")
    contenders = [
        Contender("ours", lambda: ours(messages)),
        Contender("idiomatic SimPy", lambda: idiomatic(messages // 4)),
        Contender("bare heapq loop", lambda: bare(messages)),
    ]
    targets = by_engine(
        compiled={"idiomatic SimPy": 20.0, "bare heapq loop": 1.1},
        python={"idiomatic SimPy": 5.0, "bare heapq loop": 0.4},
    )
    return 0 if compare("messages", contenders, targets) else 1


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:])))
