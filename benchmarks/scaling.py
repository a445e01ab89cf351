"""How time and memory grow with the size of a run: each size in a child process of its own, and the exponents.

An exponent is the slope of a straight line through the points in a log-log plot (least squares): 1 means twice the
time for twice the size. Memory is the difference of resident memory (Linux: ``/proc/self/statm``) between the built
package and the end of the run, and, as "peak", of the largest resident memory.

    python benchmarks/scaling.py [--fast] [case ...]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Any

from side_by_side import progress

from sim.lab import Scenario
from sim.lab.simulation import Simulation
from sim.protocols import Abd, Gossip, Raft, Swim
from sim.protocols.balancing import Balanced, Exponential, PowerOfChoices
from sim.workload import ClosedLoop, NoLoad, OpenLoop

SERVERS = 1_000
SERVICE = 0.010  # seconds
RATE = 0.7 * SERVERS / SERVICE  # requests per second: 70 % of what the servers can do
OPERATIONS = 2_000.0  # operations per second


def gossip(nodes: int) -> Simulation:
    """One update spreads for 5 s: members ask a random other one for news every 0.1 s, and compare every second."""
    simulation = Scenario(system=Gossip(nodes=nodes), workload=NoLoad(), duration=5.0).start(1)
    simulation.run(until=0.5)
    first: Any = simulation.nodes["n0"]
    first.epidemic.write("rumour", 1)
    return simulation


def swim(nodes: int) -> Simulation:
    """Twelve protocol periods; in the tenth, all members exchange whole lists."""
    return Scenario(system=Swim(nodes=nodes), workload=NoLoad(), duration=2.5).start(1)


def balancer(requests: int) -> Simulation:
    """Requests to a thousand servers, each to the shorter of two random queues; every one is recorded."""
    system = Balanced(servers=SERVERS, policy=PowerOfChoices(), service=Exponential(SERVICE))
    load = OpenLoop(clients=10, rate=RATE, operations=requests)
    return Scenario(system=system, workload=load, duration=requests / RATE + 1.0).start(1)


def raft(nodes: int) -> Simulation:
    """Raft with ten clients that write one operation after the other, for 2 s."""
    return Scenario(system=Raft(nodes=nodes), workload=ClosedLoop(clients=10), duration=2.0).start(1)


def operations(count: int) -> Simulation:
    """Operations with integers as values, half of them writes, of the registers of three nodes (ABD, without a log)."""
    load = OpenLoop(clients=10, rate=OPERATIONS, operations=count)
    return Scenario(system=Abd(nodes=3), workload=load, duration=count / OPERATIONS + 1.0).start(1)


@dataclass(frozen=True)
class Case:
    """Something that can be made larger.

    Parameters
    ----------
    build: makes a run of a size.
    sizes, few: the sizes, and those of ``--fast``.
    counted: by what memory is divided in the last column.
    unit: the name of that.
    """

    build: Callable[[int], Simulation]
    sizes: tuple[int, ...]
    few: tuple[int, ...]
    counted: Callable[[Simulation], int]
    unit: str


CASES = {
    "gossip": Case(
        gossip, (1_000, 3_000, 10_000), (100, 300), lambda s: len(s.cluster.network.links), "pair"
    ),
    "swim": Case(swim, (500, 1_000, 2_000), (50, 100), lambda s: len(s.members) ** 2, "entry"),
    "balancer": Case(
        balancer,
        (100_000, 300_000, 1_000_000),
        (2_000, 5_000),
        lambda s: len(s.recorder.operations),
        "request",
    ),
    "raft": Case(raft, (11, 31, 101), (5, 11), lambda s: len(s.recorder.operations), "operation"),
    "operations": Case(
        operations,
        (100_000, 300_000, 1_000_000),
        (2_000, 5_000),
        lambda s: len(s.recorder.operations),
        "operation",
    ),
}


def resident() -> int:
    """Bytes of memory that this process has now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(case: Case, size: int) -> dict[str, float]:
    """One run, in this process."""
    case.build(2 * case.few[0] if case.few[0] > 5 else case.few[0]).step()  # imports what a run needs
    gc.collect()
    before, begun = resident(), time.process_time()
    simulation = case.build(size)
    simulation.run()
    simulation.finish()
    seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    gc.collect()
    return {
        "seconds": seconds,
        "messages": sum(row[4] for row in simulation.recorder.links),
        "events": simulation.env.scheduled,
        "memory": resident() - before,
        "peak": peak - before,
        "counted": case.counted(simulation),
    }


def in_child(name: str, size: int) -> dict[str, float]:
    """One run, in a process of its own."""
    command = [sys.executable, __file__, "--child", name, str(size)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} of {size:,} ended with {done.returncode}: {done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def exponent(sizes: list[float], values: list[float]) -> float:
    """The slope of the line of least squares through the logarithms."""
    x, y = [log(size) for size in sizes], [log(max(value, 1e-9)) for value in values]
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - middle_x) ** 2 for a in x)


def show(name: str, case: Case, sizes: tuple[int, ...]) -> None:
    """Measure all sizes of a case and print its table."""
    taken: list[dict[str, float]] = []
    print(f"\n{name}: {(case.build.__doc__ or '').strip()}")
    heads = (
        f"{'size':>10} {'CPU s':>8} {'messages':>11} {'events':>11} {'us/event':>9} {'MB':>7} {'peak MB':>8}"
    )
    print(f"{heads} B/{case.unit}")
    for size in sizes:
        progress(f"{name} {size:,}")
        one = in_child(name, size)
        taken.append(one)
        print(
            f"{size:>10,} {one['seconds']:>8.1f} {one['messages']:>11,.0f} {one['events']:>11,.0f} "
            f"{1e6 * one['seconds'] / one['events']:>9.1f} {one['memory'] / 1e6:>7,.0f} {one['peak'] / 1e6:>8,.0f} "
            f"{one['memory'] / one['counted']:,.0f}",
            flush=True,
        )
    progress("")
    if len(sizes) > 1:
        by_size = [float(size) for size in sizes]
        slopes = {what: [one[what] for one in taken] for what in ("seconds", "messages", "memory")}
        shown = ", ".join(f"{what} {exponent(by_size, values):.2f}" for what, values in slopes.items())
        by_messages = exponent(slopes["messages"], slopes["seconds"])
        print(f"exponents over size: {shown}; seconds over messages: {by_messages:.2f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="case", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--fast", action="store_true", help="small sizes, to try it")
    parser.add_argument("--sizes", type=int, nargs="+", help="other sizes")
    parser.add_argument("--child", nargs=2, metavar=("case", "size"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measure(CASES[given.child[0]], int(given.child[1]))))
        return
    for name in given.cases or CASES:
        if name not in CASES:
            parser.error(f"there is no case {name!r}; there are {', '.join(CASES)}")
        case = CASES[name]
        show(name, case, tuple(given.sizes or (case.few if given.fast else case.sizes)))


if __name__ == "__main__":
    main()
