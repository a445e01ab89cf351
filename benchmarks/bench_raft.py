"""Messages between the replicas of a 5-node Raft, per second of CPU, beside a bare heapq loop; and what options cost.

Raft without batching: every write is one AppendEntries to each follower. The links have exponential latency;
the clients keep one write each under way and do nothing else, so that what is measured is the protocol on its
host. The bare loop (see `side_by_side`) draws a delay, pushes, pops and calls a function, nothing else.

The second table is of writes: the thesis' Raft without options is the Raft of figure 2 (the very same class of node,
the same events), and each option costs what it does, in events and in time, when it is on.

    python benchmarks/bench_raft.py [writes] [clients]
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from side_by_side import Contender, bare_loop, by_engine, compare

from sim.cluster import Cluster
from sim.distributions import Exponential
from sim.network.topology import lan
from sim.node import Node
from sim.protocols import BasicRaft, Raft
from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.command import Command
from sim.system import Member, System

WRITES = 5_000
CLIENTS = 1
MEAN = 0.001  # seconds of latency
IN_FLIGHT = 1_000  # events under way in the bare loop: the very loop of bench_messages
FEW = 100  # for comparison: with fewer under way the heap is shallower and the bare loop faster


class Writer(Node):
    """Writes, one command after the other."""

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


def raft(system: System, writes: int, clients: int) -> tuple[int, int]:
    """Messages between replicas, and events."""
    cluster = Cluster(lan(Exponential(MEAN)), seed=1)
    for member in system.members():
        cluster.add(member, place="lan", settings=member.settings or system)
    for k in range(clients):
        cluster.add(Member(f"c{k}", Writer, group="clients", role="client"), place="lan", settings=k)
    cluster.boot()
    writers: list[Any] = [cluster.hosts[f"c{k}"].node for k in range(clients)]
    while sum(writer.done for writer in writers) < writes:
        cluster.env.run(until=cluster.env.now + 0.5)
    replicas = {member.name for member in system.members()}
    links = cluster.network.links.items()
    messages = sum(link.messages for (a, b), link in links if a != b and {a, b} <= replicas)
    return messages, cluster.env.scheduled


OPTIONS: dict[str, dict[str, Any]] = {
    "PreVote, CheckQuorum": {"pre_vote": True, "check_quorum": True},
    "fast backtracking": {"fast_backtracking": True},
    "snapshots every 1,000": {"snapshot_every": 1000},
    "a pipeline of 8": {"pipeline": 8},
    "batches of 8": {"batch": 8},
    "leadership transfer": {"transfer": True},
    "members by joint consensus": {"membership": "joint"},
    "ReadIndex": {"reads": "index"},
    "leases": {"reads": "lease"},
}


def writes(system: System, count: int, clients: int) -> tuple[int, int]:
    """Writes, and events."""
    return count, raft(system, count, clients)[1]


def options(count: int, clients: int) -> bool:
    """Print what options cost; False when the Raft without options is slower than that of figure 2."""
    together = {name: value for on in OPTIONS.values() for name, value in on.items()}
    systems: dict[str, System] = {
        "Raft, no option on": Raft(nodes=5),
        "Raft of figure 2": BasicRaft(nodes=5),
        **{name: Raft(nodes=5, **on) for name, on in OPTIONS.items()},
        "all of these": Raft(nodes=5, **together),
    }
    contenders = [
        Contender(name, partial(writes, system, count, clients)) for name, system in systems.items()
    ]
    return compare("writes", contenders, {"Raft of figure 2": 0.95})


def main(count: int = WRITES, clients: int = CLIENTS) -> int:
    """Print the ratios; 1 when a target is missed."""
    events = count * 20
    contenders = [
        Contender("Raft of figure 2, 5 nodes", lambda: raft(BasicRaft(nodes=5), count, clients)),
        Contender("Raft of the thesis, no option on", lambda: raft(Raft(nodes=5), count, clients)),
        Contender("bare heapq loop", lambda: (events, bare_loop(events, IN_FLIGHT, MEAN))),
        Contender(f"bare heapq loop, {FEW} under way", lambda: (events, bare_loop(events, FEW, MEAN))),
    ]
    quick = compare("messages", contenders, by_engine({"bare heapq loop": 0.22}, {"bare heapq loop": 0.1}))
    print()
    return 0 if options(count, clients) and quick else 1


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:])))
