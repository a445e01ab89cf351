"""What a trace of messages costs: runs without, with a sample and with all of them, in turn.

"ours / this" is the time with a trace over the time without one: 1.30 means that it takes 30 % longer. The bare relay
(`bench_messages`) does nothing but send messages, so it is the worst case; the others are runs as users make them.

    python benchmarks/bench_tracing.py [rounds]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import bench_messages
from side_by_side import Contender, compare

from sim import Scenario
from sim.cluster import Tracing
from sim.network import Exponential, lan
from sim.protocols import Dynamo, Raft
from sim.system import System
from sim.workload import OpenLoop

ROUNDS = 9
RELAYED = 100_000
TRACES: dict[str, Tracing] = {"none": False, "0.01": 0.01, "0.1": 0.1, "all messages": True}


def requests(system: System, network: Any, trace: Tracing) -> tuple[int, int]:
    """Messages and events of a system under 500 requests a second."""
    load = OpenLoop(clients=5, rate=500.0)
    live = Scenario(system=system, network=network, workload=load, duration=4.0, trace=trace).start(1)
    live.run()
    return sum(link.messages for link in live.cluster.network.links.values()), live.env.scheduled


def main(rounds: int = ROUNDS) -> int:
    """Print a table for each run."""
    runs: dict[str, Callable[[Tracing], tuple[int, int]]] = {
        "a relay that only sends": partial(bench_messages.ours, RELAYED),
        "Raft of five": partial(requests, Raft(nodes=5), lan(Exponential(bench_messages.MEAN))),
        "Raft of five over a stream transport": partial(
            requests, Raft(nodes=5), lan(Exponential(bench_messages.MEAN), transport="stream")
        ),
        "Dynamo": partial(requests, Dynamo(), lan(Exponential(bench_messages.MEAN))),
    }
    for title, run in runs.items():
        print(title)
        compare(
            "messages", [Contender(name, partial(run, trace)) for name, trace in TRACES.items()], {}, rounds
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:])))
